"""SentencePiece tokenizers: trained here, or loaded from a published model; T5's sentinels on top."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from plmjax.data.languages import token_names
from plmjax.data.tokenizers.base import Encoding, Tokenizer, check_extra_tokens, extra_metadata
from plmjax.data.tokenizers.vocabulary import SPECIAL_NAMES, make_vocabulary
from plmjax.errors import UserError

MODEL_FILE = "spiece.model"

# The pieces that play each role in the published models (T5, ALBERT, XLNet, CamemBERT, LLaMA and this module's own).
ROLE_PIECES = {
    "pad": ("<pad>", "[PAD]"),
    "bos": ("<s>", "[BOS]"),
    "eos": ("</s>", "[EOS]", "<eos>"),
    "cls": ("<cls>", "[CLS]"),
    "sep": ("<sep>", "[SEP]"),
    "mask": ("<mask>", "[MASK]"),
    "unk": ("<unk>", "[UNK]"),
}

# What each family needs, in the order of the ids: pad=0, eos=1, unk=2 as in T5 wherever they exist.
PRESETS = {
    "bert": ("pad", "unk", "cls", "sep", "mask"),
    "gpt": ("eos", "unk"),
    "t5": ("pad", "eos", "unk"),
    "all": ("pad", "eos", "unk", "bos", "cls", "sep", "mask"),
}
DEFAULT_SENTINELS = {"bert": 0, "gpt": 0, "t5": 100, "all": 100}


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model with further ids above its pieces: sentinels, then extra tokens.

    Args:
        model: the model's file.
        sentinels: their number. Sentinel 0 has the highest of their ids, as in T5.
        extra_tokens: names of special tokens that have the ids from there on.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes, sentinels: int = 0, extra_tokens: Sequence[str] = ()):
        self._model, self._sentinels, self._extra_tokens = model, sentinels, tuple(extra_tokens)
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        count = self._processor.get_piece_size()
        own = [self._processor.id_to_piece(i) for i in range(count)]
        self._pieces = [*own, *(f"<extra_id_{number}>" for number in reversed(range(sentinels))), *self._extra_tokens]
        size = len(self._pieces)
        roles = _roles(self._processor, own)
        control = [i for i in range(count) if self._processor.is_control(i) or self._processor.is_unused(i)]
        special = [*control, *range(count, size)]
        sentinel_ids = range(count + sentinels - 1, count - 1, -1)
        starts = [piece.startswith("▁") for piece in own] + [False] * (size - count)
        self.vocabulary = make_vocabulary(size, roles, sentinel_ids, special, starts, pieces=self._pieces)
        self.special_names = {i: self._pieces[i] for i in {*roles.values(), *special}}

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return self._processor.encode(list(texts), num_threads=-1 if threads is None else threads)

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        return [encoding_of_proto(self._processor.encode(text, return_type="proto"), text) for text in texts]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "SentencePieceTokenizer":
        return SentencePieceTokenizer(self._model, self._sentinels, (*self._extra_tokens, *tokens))

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._processor.decode(ids)

    def _files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self._model}

    def _metadata(self) -> dict[str, object]:
        return {"sentinels": self._sentinels, **extra_metadata(self._extra_tokens)}


def encoding_of_proto(proto: Any, text: str) -> Encoding:
    """The pieces of SentencePiece's ImmutableSentencePieceText with the characters of each.

    The library counts bytes of UTF-8; a byte that continues a character counts to the character.
    """
    lengths = [len(character.encode()) for character in text]
    character_of = [index for index, length in enumerate(lengths) for _ in range(length)] + [len(text)]
    offsets = [(character_of[piece.begin], character_of[piece.end]) for piece in proto.pieces]
    return Encoding([piece.id for piece in proto.pieces], offsets)


def train(
    texts: Iterable[str],
    vocab_size: int = 8000,
    model_type: str = "unigram",
    *,
    byte_fallback: bool = True,
    specials: str = "all",
    sentinels: int | None = None,
    languages: Sequence[str] = (),
    extra_tokens: Sequence[str] = (),
    normalization: str = "nfkc",
    character_coverage: float = 0.9995,
    max_characters: int = 10_000_000,
) -> SentencePieceTokenizer:
    """Trains SentencePiece, quietly and with the same result each time.

    Args:
        texts: paragraphs or sentences; read until `max_characters`, so give a sample that represents a large corpus.
        vocab_size: pieces, special tokens and the 256 bytes included; the sentinels come on top.
        model_type: "unigram" or "bpe".
        byte_fallback: spell a character outside the vocabulary as its UTF-8 bytes, so that nothing is ever unknown.
        specials: the special tokens, one of PRESETS.
        sentinels: how many; None is what the preset needs (100 for "t5" and "all").
        languages: codes of languages that get a token each, `<en>`, behind the special tokens.
        extra_tokens: names of further special tokens ("[R]"), behind those; they count among `vocab_size`.
        normalization: SentencePiece's rule. "nfkc" keeps case, line breaks and the joiners of Indic scripts
            (SentencePiece's own default, "nmt_nfkc", turns the non-joiner into a blank); "identity" keeps every
            character. All merge blanks.
        character_coverage: share of the characters that get a piece of their own.
        max_characters: how much text to train on.

    Raises:
        UserError: an unknown preset or model type, no text, or a vocab_size that the text can't fill.
    """
    if specials not in PRESETS:
        raise UserError(f"No preset of special tokens is named {specials!r}: choose one of {', '.join(PRESETS)}.")
    if model_type not in ("unigram", "bpe"):
        raise UserError(f"No SentencePiece model type is named {model_type!r}: choose unigram or bpe.")
    check_extra_tokens(extra_tokens)
    names = PRESETS[specials]
    ids: dict[str, Any] = {
        f"{name}_id": names.index(name) if name in names else -1 for name in ("pad", "bos", "eos", "unk")
    }
    control = [
        *(ROLE_PIECES[name][0] for name in names if name in ("cls", "sep", "mask")),
        *(token_names(language)[0] for language in languages),
        *extra_tokens,
    ]
    model = io.BytesIO()
    sample = _Sample(texts, max_characters)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            vocab_size=vocab_size,
            model_type=model_type,
            byte_fallback=byte_fallback,
            control_symbols=list(dict.fromkeys(control)),
            normalization_rule_name=normalization,
            character_coverage=character_coverage,
            max_sentence_length=1 << 20,
            num_threads=8,  # fixed: the sums of the EM steps depend on it
            minloglevel=2,
            **ids,
        )
    except (RuntimeError, OSError) as error:
        raise _training_error(error, vocab_size, sample.characters) from error
    return SentencePieceTokenizer(model.getvalue(), DEFAULT_SENTINELS[specials] if sentinels is None else sentinels)


class _Sample:
    """Lines of text up to a number of characters. A line break would end SentencePiece's sentence anyway."""

    def __init__(self, texts: Iterable[str], max_characters: int):
        self._texts = texts
        self._max = max_characters
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            if self.characters >= self._max:
                return
            self.characters += len(text)
            yield from (line for line in text.splitlines() if line.strip())


def _training_error(error: Exception, vocab_size: int, characters: int) -> Exception:
    message = str(error)
    if characters == 0:
        return UserError("There is no text to train a tokenizer on: give sources that hold text.")
    if limit := re.search(r"too high .*value <= (\d+)", message):
        return UserError(
            f"vocab_size {vocab_size} is more than {characters} characters of text can fill: "
            f"set it to at most {limit.group(1)}, or give more text."
        )
    if "smaller than" in message or "too small" in message:
        return UserError(
            f"vocab_size {vocab_size} can't hold the required characters and special tokens: raise it ({message})."
        )
    return UserError(f"SentencePiece could not train a vocabulary of {vocab_size}: {message}")


def load(file: Path, sentinels: int | None = None) -> SentencePieceTokenizer:
    """Loads a SentencePiece model; `sentinels` as in `load_tokenizer`."""
    model = file.read_bytes()
    try:
        tokenizer = SentencePieceTokenizer(model, 0)
    except Exception as error:  # the binding raises several types, none of them documented
        raise UserError(f"{file} is not a SentencePiece model ({error}).") from error
    if sentinels is None:
        sentinels = _published_sentinels(file.parent, tokenizer)
    return SentencePieceTokenizer(model, sentinels) if sentinels else tokenizer


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> Tokenizer:
    """Loads what `SentencePieceTokenizer.save` wrote."""
    file = directory / MODEL_FILE
    if not file.is_file():
        raise UserError(f"The tokenizer in {directory} is damaged: {MODEL_FILE} is missing.")
    tokenizer = load(file, int(metadata["sentinels"]))
    return tokenizer.with_extra_tokens(metadata.get("extra_tokens", ()))


def _roles(processor: sentencepiece.SentencePieceProcessor, pieces: list[str]) -> dict[str, int]:
    """The id of each role: what the model itself declares, then the usual names among its control pieces."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    declared = {
        "pad": processor.pad_id(),
        "bos": processor.bos_id(),
        "eos": processor.eos_id(),
        "unk": processor.unk_id(),
    }
    roles = {}
    for name in SPECIAL_NAMES:
        if declared.get(name, -1) >= 0:
            roles[name] = declared[name]
        elif found := [ids[piece] for piece in ROLE_PIECES[name] if piece in ids]:
            roles[name] = found[0]
    return roles


def _published_sentinels(directory: Path, tokenizer: SentencePieceTokenizer) -> int:
    """The sentinels that belong to a published model."""
    config = directory / "tokenizer_config.json"
    if config.is_file():
        content = json.loads(config.read_text())
        named = [str(token) for token in content.get("additional_special_tokens") or []]
        return sum("<extra_id_" in name for name in named) or int(content.get("extra_ids") or 0)
    vocabulary = tokenizer.vocabulary
    is_t5 = (vocabulary.pad, vocabulary.eos, vocabulary.unk) == (0, 1, 2) and vocabulary.bos is None
    return 100 if is_t5 and vocabulary.mask is None else 0

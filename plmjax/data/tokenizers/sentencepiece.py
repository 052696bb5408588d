"""SentencePiece tokenizers: trained here, or loaded from a published model; T5's sentinels on top."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sentencepiece

from plmjax.data.languages import token_names
from plmjax.data.surrogates import without_surrogates
from plmjax.data.tokenizers.base import (
    Encoding,
    Tokenizer,
    check_extra_tokens,
    extra_metadata,
)
from plmjax.data.tokenizers.folder import SENTINEL, Folder, UnreadTokenizerError, tokens_behind
from plmjax.data.tokenizers.text_rules import TextRules, rules_of
from plmjax.data.tokenizers.vocabulary import SPECIAL_NAMES, make_vocabulary
from plmjax.errors import UserError

MODEL_FILE = "spiece.model"
NO_RULES = TextRules()

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
LONGEST_LINE = 1 << 20  # bytes of a line that the trainer takes
PART = 1 << 14  # characters of the parts that a longer line is cut into
DEFAULT_SENTINELS = {"bert": 0, "gpt": 0, "t5": 100, "all": 100}


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model with further ids above its pieces: sentinels, then extra tokens.

    Args:
        model: the model's file.
        sentinels: their number. Sentinel 0 has the highest of their ids, as in T5.
        extra_tokens: names of special tokens that have the ids from there on.
        added_words: those of these names, or of the pieces, that every text is cut at, with their ids.
        roles: tokens that play a role under another name than the usual ones, by role.
        rules: what is done to a text before.
    """

    kind = "sentencepiece"

    def __init__(
        self,
        model: bytes,
        sentinels: int = 0,
        extra_tokens: Sequence[str] = (),
        added_words: Mapping[str, int] = MappingProxyType({}),
        roles: Mapping[str, str] = MappingProxyType({}),
        rules: TextRules = NO_RULES,
    ):
        self._model, self._sentinels, self._extra_tokens = model, sentinels, tuple(extra_tokens)
        self.added_words, self._own_roles, self.rules = dict(added_words), dict(roles), rules
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=rules.on_model(model))
        count = self._processor.get_piece_size()
        own = [self._processor.id_to_piece(i) for i in range(count)]
        self._pieces = [*own, *(f"<extra_id_{number}>" for number in reversed(range(sentinels))), *self._extra_tokens]
        size = len(self._pieces)
        found = _roles(self._processor, own) | {name: self._pieces.index(token) for name, token in roles.items()}
        control = [i for i in range(count) if self._processor.is_control(i) or self._processor.is_unused(i)]
        words = set(self.added_words.values())
        special = [*control, *(i for i in range(count, size) if i not in words)]
        sentinel_ids = range(count + sentinels - 1, count - 1, -1)
        starts = [piece.startswith("▁") for piece in own] + [i in words for i in range(count, size)]
        self.vocabulary = make_vocabulary(size, found, sentinel_ids, special, starts, pieces=self._pieces)
        self.special_names = {i: self._pieces[i] for i in {*found.values(), *special}}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return self._processor.encode(
            list(map(self.rules.apply, texts)), num_threads=-1 if threads is None else threads
        )

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        return [self._one_with_offsets(text) for text in texts]

    def _one_with_offsets(self, text: str) -> Encoding:
        seen, origins = self.rules.with_origins(text)
        encoding = encoding_of_proto(self._processor.encode(seen, return_type="proto"), seen)
        if self.rules.normalizer is None:
            return encoding
        ends = [*origins, (len(text), len(text))]
        spans = [
            (ends[start][0], ends[end - 1][1]) if end > start else (ends[start][0], ends[start][0])
            for start, end in encoding.offset_mapping
        ]
        return encoding._replace(offset_mapping=spans)

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "SentencePieceTokenizer":
        extra_tokens = (*self._extra_tokens, *tokens)
        more = SentencePieceTokenizer(
            self._model, self._sentinels, extra_tokens, self.added_words, self._own_roles, self.rules
        )
        return more.with_markers(self.markers)

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._processor.decode(ids)

    def _files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self._model}

    def _metadata(self) -> dict[str, object]:
        more = {"added_words": self.added_words, "roles": self._own_roles}
        known = {name: value for name, value in more.items() if value}
        return {"sentinels": self._sentinels, **extra_metadata(self._extra_tokens), **known, **self.rules.metadata()}


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
            max_sentence_length=LONGEST_LINE,
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
            for line in without_surrogates(text).splitlines():
                yield from (part for part in _short_parts(line) if part.strip())


def _short_parts(line: str) -> Iterator[str]:
    """A line in parts that SentencePiece takes, for it drops longer ones silently; cut at its blanks."""
    if len(line) * 4 < LONGEST_LINE or len(line.encode()) < LONGEST_LINE:
        yield line
        return
    start = 0
    while start < len(line):
        end = min(start + PART, len(line))
        if end < len(line) and (blank := line.rfind(" ", start + 1, end)) > 0:
            end = blank
        yield line[start:end]
        start = end


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


def load(file: Path, folder: Folder, sentinels: int | None = None) -> SentencePieceTokenizer:
    """Loads a SentencePiece model; `sentinels` as in `load_tokenizer`.

    Raises:
        UserError: it is no such model.
        UnreadTokenizerError: the class is told to treat its text in a way that plmjax does not.
    """
    if folder.settings.get("split_by_punct"):
        raise UnreadTokenizerError(
            f"{folder.directory} has split_by_punct in its tokenizer_config.json, which plmjax does not do: give its "
            "tokenizer.json."
        )
    plain = _read(file, 0)
    if sentinels is None:
        sentinels = _published_sentinels(folder, plain)
    plain = _read(file, sentinels)
    more = ("[MASK]",) if folder.class_name == "DebertaV2Tokenizer" and "mask" not in folder.named else ()
    behind, words = tokens_behind(folder, plain.vocabulary.pieces or (), more)
    pieces = [*(plain.vocabulary.pieces or ()), *behind]
    tokenizer = SentencePieceTokenizer(
        file.read_bytes(),
        sentinels,
        behind,
        words,
        _named_roles(folder, plain, pieces),
        rules_of(folder.class_name, folder.settings),
    )
    markers = folder.markers(tokenizer.special_names.values())
    if folder.settings.get("legacy") is False and (words or markers):
        raise UnreadTokenizerError(
            f"{folder.directory} has legacy = false in its tokenizer_config.json, and tokens that a text names "
            f"({', '.join([*words, *markers][:3])}), behind which plmjax does not join as the class does: give its "
            "tokenizer.json."
        )
    return tokenizer.with_markers(markers)


def _named_roles(folder: Folder, plain: SentencePieceTokenizer, pieces: Sequence[str]) -> dict[str, str]:
    """The roles that the files give to other tokens than the usual ones, or that the tokens behind the model play."""
    found = {role: getattr(plain.vocabulary, role) for role in SPECIAL_NAMES}
    taken = {pieces[token] for token in found.values() if token is not None}
    roles = {}
    for role, number in found.items():
        named = folder.named.get(role)
        usual = () if role in folder.named else ROLE_PIECES[role] if number is None and folder.class_name else ()
        for token in (named,) if named else usual:
            if token in pieces and token not in taken:
                roles[role] = token
                taken.add(token)
                break
    return roles


def _read(file: Path, sentinels: int, **more: Any) -> SentencePieceTokenizer:
    try:
        return SentencePieceTokenizer(file.read_bytes(), sentinels, **more)
    except Exception as error:  # the binding raises several types, none of them documented
        raise UserError(f"{file} is not a SentencePiece model ({error}).") from error


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> Tokenizer:
    """Loads what `SentencePieceTokenizer.save` wrote."""
    file = directory / MODEL_FILE
    if not file.is_file():
        raise UserError(f"The tokenizer in {directory} is damaged: {MODEL_FILE} is missing.")
    return _read(
        file,
        int(metadata["sentinels"]),
        extra_tokens=metadata.get("extra_tokens", ()),
        added_words=metadata.get("added_words", {}),
        roles=metadata.get("roles", {}),
        rules=TextRules(**metadata.get("text_rules", {})),
    )


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


def _published_sentinels(folder: Folder, tokenizer: SentencePieceTokenizer) -> int:
    """The sentinels that belong to a published model: those that the files list, else T5's 100 above its pieces."""
    vocabulary = tokenizer.vocabulary
    count = tokenizer.vocabulary.size
    listed = sum(bool(SENTINEL.search(name)) for name in folder.additional)
    placed = sum(number >= count and bool(SENTINEL.fullmatch(t.content)) for number, t in folder.added.items())
    if listed or placed:
        return max(listed, placed)
    is_t5 = (vocabulary.pad, vocabulary.eos, vocabulary.unk) == (0, 1, 2) and vocabulary.bos is None
    default = 100 if folder.class_name == "T5Tokenizer" or (is_t5 and vocabulary.mask is None) else 0
    if folder.has_config and folder.class_name != "T5Tokenizer":
        default = 0
    return int(folder.settings.get("extra_ids", default) or 0)

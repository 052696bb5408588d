"""WordPiece, byte-level BPE, GPT-1's BPE and any tokenizer.json, through Hugging Face's `tokenizers` library."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from plmjax.data.tokenizers.base import Encoding, Tokenizer
from plmjax.data.tokenizers.vocabulary import SPECIAL_NAMES, make_vocabulary
from plmjax.errors import UserError

JSON_FILE = "tokenizer.json"

# The usual names of each role, the first that exists wins.
ROLE_TOKENS = {
    "pad": ("[PAD]", "<pad>"),
    "bos": ("<s>", "[BOS]", "<|startoftext|>"),
    "eos": ("</s>", "[EOS]", "<|endoftext|>"),
    "cls": ("[CLS]", "<cls>"),
    "sep": ("[SEP]", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
    "unk": ("[UNK]", "<unk>"),
}
SENTINEL = re.compile(r"<extra_id_(\d+)>")
UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>")
BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")


class FastTokenizer(Tokenizer):
    """A tokenizer of the `tokenizers` library. `roles` maps names in SPECIAL_NAMES to tokens, "[MASK]" for one."""

    kind = "huggingface"

    def __init__(self, backend: tokenizers.Tokenizer, roles: Mapping[str, str]):
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = (
            True  # "[MASK]" in a corpus is text; `encode(special=True)` is the way to the id
        )
        self._backend = backend
        self._json = backend.to_str()
        vocabulary = backend.get_vocab(with_added_tokens=True)
        size = max(vocabulary.values()) + 1
        self._pieces = [""] * size
        for piece, token in vocabulary.items():
            self._pieces[token] = piece
        self._roles = {name: token for name, token in roles.items() if token in vocabulary}
        self._build_vocabulary(vocabulary)

    def _build_vocabulary(self, vocabulary: Mapping[str, int]) -> None:
        specials = {name: vocabulary[token] for name, token in self._roles.items()}
        sentinels = {int(name[1]): token for piece, token in vocabulary.items() if (name := SENTINEL.fullmatch(piece))}
        sentinel_ids = [sentinels[number] for number in sorted(sentinels)]
        added = [token for token, content in self._backend.get_added_tokens_decoder().items() if content.special]
        others = [token for token, piece in enumerate(self._pieces) if not piece or UNUSED.fullmatch(piece)]
        self.vocabulary = make_vocabulary(
            len(self._pieces),
            specials,
            sentinel_ids,
            [*added, *others],
            _word_starts(self._json, self._pieces),
            pieces=self._pieces,
        )
        special_ids = {*specials.values(), *sentinel_ids, *added, *others}
        self.special_names = {token: self._pieces[token] or f"<id_{token}>" for token in special_ids}

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        # The library takes its number of threads from the environment (TOKENIZERS_PARALLELISM, RAYON_NUM_THREADS).
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding(encoding.ids, encoding.offsets) for encoding in encodings]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "FastTokenizer":
        backend = tokenizers.Tokenizer.from_str(self._json)
        backend.add_special_tokens([tokenizers.AddedToken(token, normalized=False, special=True) for token in tokens])
        return FastTokenizer(backend, self._roles)

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._backend.decode(ids, skip_special_tokens=False)

    def _files(self) -> dict[str, bytes]:
        return {JSON_FILE: self._json.encode()}

    def _metadata(self) -> dict[str, object]:
        return {"roles": dict(sorted(self._roles.items()))}


def load_json(file: Path) -> FastTokenizer:
    """Loads a tokenizer.json."""
    try:
        backend = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the binding raises bare Exception
        raise UserError(f"{file} is not a tokenizer.json that the tokenizers library reads ({error}).") from error
    return FastTokenizer(backend, _roles(file.parent, backend.get_vocab(with_added_tokens=True)))


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> FastTokenizer:
    """Loads what `FastTokenizer.save` wrote."""
    file = directory / JSON_FILE
    if not file.is_file():
        raise UserError(f"The tokenizer in {directory} is damaged: {JSON_FILE} is missing.")
    try:
        backend = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # as above
        raise UserError(f"The tokenizer in {directory} is damaged: {JSON_FILE} can't be read ({error}).") from error
    return FastTokenizer(backend, metadata["roles"])


def load_wordpiece(file: Path) -> FastTokenizer:
    """Loads BERT's vocab.txt. Lower-cases as tokenizer_config.json says, else when no piece has a capital letter."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not UTF-8 at byte {error.start}: give BERT's vocab.txt, one piece a line."
        ) from error
    vocabulary = {line.rstrip("\r\n"): token for token, line in enumerate(lines)}
    roles = _roles(file.parent, vocabulary)
    if "unk" not in roles:
        raise UserError(f"{file} is not a WordPiece vocabulary: it has no [UNK] line.")
    config = _json_beside(file.parent, "tokenizer_config.json")
    names = set(roles.values())
    cased = any(piece != piece.lower() for piece in vocabulary if piece not in names and not UNUSED.fullmatch(piece))
    lowercase = bool(config.get("do_lower_case", not cased))
    backend = tokenizers.Tokenizer(
        models.WordPiece(
            vocabulary, unk_token=roles["unk"], continuing_subword_prefix="##", max_input_chars_per_word=100
        )
    )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=lowercase,
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    backend.add_special_tokens(sorted(names, key=vocabulary.__getitem__))
    return FastTokenizer(backend, roles)


def load_gpt2(file: Path) -> FastTokenizer:
    """Loads GPT-2's or RoBERTa's vocab.json and merges.txt (byte-level BPE)."""
    model = _bpe(file.parent, "vocab.json", "merges.txt")
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    vocabulary = backend.get_vocab()
    roles = _roles(file.parent, vocabulary)
    backend.add_special_tokens(sorted(set(roles.values()), key=vocabulary.__getitem__))
    return FastTokenizer(backend, roles)


def load_gpt1(file: Path) -> FastTokenizer:
    """Loads GPT-1's encoder_bpe_40000.json and vocab_40000.bpe (lower-cased, words end in "</w>")."""
    model = _bpe(file.parent, "encoder_bpe_40000.json", "vocab_40000.bpe", unk_token="<unk>", end_of_word_suffix="</w>")
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder(suffix="</w>")
    backend.add_special_tokens(["<unk>"])
    return FastTokenizer(backend, {"unk": "<unk>"})


def _bpe(directory: Path, vocabulary_file: str, merges_file: str, **options) -> models.BPE:
    for name in (vocabulary_file, merges_file):
        if not (directory / name).is_file():
            raise UserError(
                f"The tokenizer in {directory} lacks {name}, which belongs with {vocabulary_file} and {merges_file}."
            )
    vocabulary = _json_beside(directory, vocabulary_file)
    lines = (directory / merges_file).read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    try:
        return models.BPE(vocab=vocabulary, merges=[pair for pair in merges if len(pair) == 2], **options)
    except Exception as error:  # the binding raises bare Exception
        raise UserError(
            f"{vocabulary_file} and {merges_file} in {directory} do not fit each other ({error})."
        ) from error


def _json_beside(directory: Path, name: str) -> dict:
    file = directory / name
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not JSON ({error}).") from error


def _roles(directory: Path, vocabulary: Mapping[str, int]) -> dict[str, str]:
    """The token of each role: as the files beside the tokenizer name it, else the first usual name that exists."""
    named = _json_beside(directory, "tokenizer_config.json") | _json_beside(directory, "special_tokens_map.json")
    roles = {}
    for name in SPECIAL_NAMES:
        token = named.get(f"{name}_token")
        token = token.get("content") if isinstance(token, dict) else token
        candidates = (
            [token] if token else ROLE_TOKENS[name] if not any(f"{n}_token" in named for n in SPECIAL_NAMES) else []
        )
        if found := [candidate for candidate in candidates if candidate in vocabulary]:
            roles[name] = found[0]
    return roles


def _word_starts(backend_json: str, pieces: Sequence[str]) -> list[bool] | None:
    """Whether each piece begins a word, by the mark that this kind of tokenizer uses; None where it marks only ends."""
    content = json.loads(backend_json)
    model = content["model"]
    if model.get("continuing_subword_prefix"):
        return [not piece.startswith(model["continuing_subword_prefix"]) for piece in pieces]
    if model.get("end_of_word_suffix"):
        return None
    steps = json.dumps([content.get("pre_tokenizer"), content.get("decoder"), content.get("normalizer")])
    if '"ByteLevel"' in steps:
        # "Ċ" and its like (line breaks and tabs as bytes) part words as the blank does.
        return [piece[:1] in ("Ġ", "Ċ", "ĉ", "č") for piece in pieces]
    if "▁" in steps or '"Metaspace"' in steps:
        return [piece.startswith("▁") and not BYTE_PIECE.fullmatch(piece) for piece in pieces]
    return None

"""Tokenizers of Hugging Face's `tokenizers` library, and the tokenizer.json that holds one."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import AddedToken

from plmjax.data.tokenizers.base import Encoding, Tokenizer
from plmjax.data.tokenizers.folder import SENTINEL, UNUSED, Folder, UnreadTokenizerError
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError

JSON_FILE = "tokenizer.json"

BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
GAP = re.compile(r"\[gap \d+\]")  # in the place of an id that no piece has, which the library can't leave out
# Classes whose fast form sets BERT's normalizer as tokenizer_config.json says, whatever tokenizer.json has.
WORDPIECE_CLASSES = (
    "BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer", "DPRReaderTokenizer", "ElectraTokenizer", "LayoutLMTokenizer", "LxmertTokenizer",
    "MobileBertTokenizer", "SqueezeBertTokenizer",
)  # fmt: skip


class FastTokenizer(Tokenizer):
    """A tokenizer of the `tokenizers` library. `roles` maps names in SPECIAL_NAMES to tokens, "[MASK]" for one."""

    kind = "huggingface"

    def __init__(self, backend: tokenizers.Tokenizer, roles: Mapping[str, str]):
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = True  # "[MASK]" in a corpus is text; `encode(special=True)` gives the id
        self._json = backend.to_str()
        self._backend = backend
        vocabulary = backend.get_vocab(with_added_tokens=True)
        size = max(vocabulary.values()) + 1
        self._pieces = [""] * size
        for piece, token in vocabulary.items():
            self._pieces[token] = "" if GAP.fullmatch(piece) else piece
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

    def with_markers(self, names: Sequence[str]) -> Self:
        other = super().with_markers(names)
        if other.markers != self.markers:
            other._backend = _with_markers(self._json, names)
        return other

    @property
    def _in_text(self) -> None:
        """The library itself cuts a text at the names that are tokens."""

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        # The library takes its number of threads from the environment (TOKENIZERS_PARALLELISM, RAYON_NUM_THREADS).
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding(encoding.ids, encoding.offsets) for encoding in encodings]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "FastTokenizer":
        backend = tokenizers.Tokenizer.from_str(self._json)
        backend.add_special_tokens([tokenizers.AddedToken(token, normalized=False, special=True) for token in tokens])
        return FastTokenizer(backend, self._roles).with_markers(self.markers)

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._backend.decode(ids, skip_special_tokens=False)

    def _files(self) -> dict[str, bytes]:
        return {JSON_FILE: self._json.encode()}

    def _metadata(self) -> dict[str, object]:
        return {"roles": dict(sorted(self._roles.items()))}


def from_folder(backend: tokenizers.Tokenizer, folder: Folder, roles: Mapping[str, str]) -> FastTokenizer:
    """The tokenizer of a model's files with the tokens that the files beside them add.

    Added tokens have the ids that the files say. A special token that a file names without an id gets the next free
    one, as in `transformers`. `roles`: as for FastTokenizer, of the tokens that are there without these.

    Raises:
        UnreadTokenizerError: a file gives a token another id than the model's files.
    """
    for number, token in sorted(folder.added.items()):
        there = backend.token_to_id(token.content)
        while there is None and (size := backend.get_vocab_size(with_added_tokens=True)) < number:
            backend.add_special_tokens([f"[gap {size}]"])
        backend.add_tokens([token])
        if backend.token_to_id(token.content) != number:
            raise UnreadTokenizerError(
                f"The files in {folder.directory} give the token {token.content!r} the id {number}, where the "
                f"vocabulary has it as {backend.token_to_id(token.content)}: correct its added tokens."
            )
    marked = {token.content for token in backend.get_added_tokens_decoder().values()}
    names = [*folder.unplaced(backend.get_vocab(with_added_tokens=True)), *folder.additional]
    new = [name for name in dict.fromkeys(names) if name not in marked]
    backend.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in new])
    roles = dict(roles) | folder.roles(backend.get_vocab(with_added_tokens=True))
    tokenizer = FastTokenizer(backend, roles)
    return tokenizer.with_markers(folder.markers(tokenizer.special_names.values()))


def filled(vocabulary: Mapping[str, int], size: int) -> dict[str, int]:
    """The vocabulary with a piece that no text has for each id below `size` that no piece has (a line that occurs twice
    has the later number)."""
    taken = set(vocabulary.values())
    return dict(vocabulary) | {f"[gap {number}]": number for number in range(size) if number not in taken}


def load_json(file: Path, folder: Folder) -> FastTokenizer:
    """Loads a tokenizer.json, with what the files beside it change as the class that they name does."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        backend = tokenizers.Tokenizer.from_str(json.dumps(_as_class(content, folder)))
    except Exception as error:  # the binding raises bare Exception
        raise UserError(f"{file} is not a tokenizer.json that the tokenizers library reads ({error}).") from error
    return from_folder(backend, folder, folder.roles(backend.get_vocab(with_added_tokens=True)))


def _as_class(content: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """A tokenizer.json with the settings of tokenizer_config.json, which count for more.

    transformers 4.57: `BertTokenizerFast.__init__` sets the normalizer's, `PreTrainedTokenizerFast.__init__` the blank
    before a text of bytes; what the file leaves out has the class's default.
    """
    settings, normalizer, cut = folder.settings, content.get("normalizer"), content.get("pre_tokenizer")
    if not folder.has_config:
        return content
    if folder.class_name in WORDPIECE_CLASSES and normalizer and normalizer["type"] == "BertNormalizer":
        normalizer |= {
            "lowercase": settings.get("do_lower_case", True),
            "strip_accents": settings.get("strip_accents"),
            "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
        }
    if folder.class_name and cut and "add_prefix_space" in cut:
        cut["add_prefix_space"] = settings.get("add_prefix_space", False)
    return content


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


def _with_markers(content: str, markers: Sequence[str]) -> tokenizers.Tokenizer:
    """The library's tokenizer, to which names of special tokens in a text are text, but for those of `markers`."""
    whole = json.loads(content)
    for token in whole["added_tokens"]:
        token["special"] = token["special"] and token["content"] not in markers
    backend = tokenizers.Tokenizer.from_str(json.dumps(whole))
    backend.encode_special_tokens = True
    return backend


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

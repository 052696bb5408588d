"""Marian's tokenizer: one SentencePiece model for each side of a translation, and one vocabulary for both."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from plmjax.data.surrogates import without_surrogates
from plmjax.data.tokenizers.base import Encoding, Tokenizer, extra_metadata
from plmjax.data.tokenizers.folder import Folder, UnreadTokenizerError, tokens_behind
from plmjax.data.tokenizers.sentencepiece import encoding_of_proto
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError

SOURCE, TARGET, VOCABULARY = "source.spm", "target.spm", "vocab.json"
ROLES = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}


class MarianTokenizer(Tokenizer):
    """Texts are cut by the source's model, and translations, which `encode_targets` takes, by the target's.

    A text may begin with the language that it is to be translated into, ">>fr<<", where the vocabulary has such codes.
    """

    kind = "marian"

    def __init__(self, source: bytes, target: bytes, ids: Mapping[str, int], extra_tokens: Sequence[str] = ()):
        self._models = {SOURCE: source, TARGET: target}
        self._source, self._target = (
            sentencepiece.SentencePieceProcessor(model_proto=model) for model in (source, target)
        )
        self._ids, self._extra_tokens = dict(ids), tuple(extra_tokens)
        for name in self._extra_tokens:
            self._ids.setdefault(name, max(self._ids.values()) + 1)
        size = max(self._ids.values()) + 1
        self._pieces = [""] * size
        for piece, token in self._ids.items():
            self._pieces[token] = piece
        roles = {name: self._ids[piece] for name, piece in ROLES.items()}
        codes = [token for piece, token in self._ids.items() if piece.startswith(">>") and piece.endswith("<<")]
        codes += [self._ids[name] for name in self._extra_tokens]
        gaps = [token for token, piece in enumerate(self._pieces) if not piece]
        self.vocabulary = make_vocabulary(
            size,
            roles,
            (),
            [*codes, *gaps],
            [piece.startswith("▁") for piece in self._pieces],
            pieces=self._pieces,
        )
        self.special_names = {i: self._pieces[i] or f"<id_{i}>" for i in {*roles.values(), *codes, *gaps}}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return [self._cut(self._source, text) for text in texts]

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        return [self._one_with_offsets(text) for text in texts]

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._cut(self._target, without_surrogates(text)) for text in texts]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "MarianTokenizer":
        models = self._models
        return MarianTokenizer(models[SOURCE], models[TARGET], self._ids, (*self._extra_tokens, *tokens))

    def _cut(self, processor: sentencepiece.SentencePieceProcessor, text: str) -> list[int]:
        codes, rest = _split_code(text)
        return self._known([*codes, *processor.encode(rest, out_type=str)])

    def _one_with_offsets(self, text: str) -> Encoding:
        codes, rest = _split_code(text)
        proto = self._source.encode(rest, return_type="proto")
        before = len(text) - len(rest)
        offsets = [(before + start, before + end) for start, end in encoding_of_proto(proto, rest).offset_mapping]
        ids = self._known([*codes, *(piece.piece for piece in proto.pieces)])
        return Encoding(ids, [(0, before)] * len(codes) + offsets)

    def _known(self, pieces: Sequence[str]) -> list[int]:
        """The ids of pieces."""
        unk = self._ids[ROLES["unk"]]
        return [self._ids.get(piece, unk) for piece in pieces]

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._target.decode_pieces([self._pieces[token] for token in ids])

    def _files(self) -> dict[str, bytes]:
        return self._models | {VOCABULARY: json.dumps(self._ids, indent=2).encode()}

    def _metadata(self) -> dict[str, object]:
        return extra_metadata(self._extra_tokens)


def _split_code(text: str) -> tuple[list[str], str]:
    """The code of a language that a text may begin with, and the rest."""
    code, mark, after = text.partition("<<")
    return ([code + mark], after) if text.startswith(">>") and mark else ([], text)


def load(file: Path, folder: Folder) -> MarianTokenizer:
    """Loads source.spm with target.spm and vocab.json beside it, and the tokens that the files beside them add.

    Raises:
        UserError: one of them is missing or damaged, or the two sides have vocabularies of their own.
        UnreadTokenizerError: there are added words.
    """
    plain = _read(file)
    extra_tokens, words = tokens_behind(folder, plain.vocabulary.pieces or ())
    if words:
        raise UnreadTokenizerError(f"{folder.directory} adds words to a Marian tokenizer, which plmjax does not read.")
    return plain._with_appended(extra_tokens) if extra_tokens else plain


def _read(file: Path) -> MarianTokenizer:
    directory = file.parent
    for name in (SOURCE, TARGET, VOCABULARY):
        if not (directory / name).is_file():
            raise UserError(f"The tokenizer in {directory} lacks {name}, which belongs with Marian's {file.name}.")
    if (directory / "target_vocab.json").is_file():
        raise UserError(
            f"{directory} has a target_vocab.json: plmjax reads Marian models whose sides share one vocabulary."
        )
    try:
        ids = json.loads((directory / VOCABULARY).read_text(encoding="utf-8"))
        missing = [piece for piece in ROLES.values() if piece not in ids]
        if missing:
            raise UserError(f"{directory / VOCABULARY} lacks {', '.join(missing)}: it is not a vocabulary of Marian's.")
        return MarianTokenizer((directory / SOURCE).read_bytes(), (directory / TARGET).read_bytes(), ids)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"The tokenizer in {directory} can't be read as Marian's ({error}).") from error


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> Tokenizer:
    """Loads what `MarianTokenizer.save` wrote."""
    return _read(directory / SOURCE).with_extra_tokens(metadata.get("extra_tokens", ()))

"""BPE of words as subword-nmt writes it: CTRL's, PhoBERT's and BERTweet's, whose pieces go on where they end in "@@".

Words are runs of characters that are no blanks, with a line feed behind them where there is one (salesforce/ctrl and
VinAIResearch/PhoBERT use fastBPE; transformers' CTRLTokenizer, `_tokenize` and `bpe`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, models, pre_tokenizers

from plmjax.data.tokenizers.base import Encoding, Tokenizer, extra_metadata
from plmjax.data.tokenizers.bpe import END_OF_WORD, MERGES, VOCABULARY
from plmjax.data.tokenizers.folder import Folder, UnreadTokenizerError, read_json, read_lines, tokens_behind
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError

GOES_ON = "@@"
WORD = Regex(r"[^\s\x1c-\x1f]+\n?")
FAIRSEQ_FILES = ("vocab.txt", "bpe.codes")
FAIRSEQ_ROLES = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}  # the ids 0 to 3
FAIRSEQ_CLASSES = ("PhobertTokenizer", "BertweetTokenizer")


class SubwordNmtTokenizer(Tokenizer):
    """Words that merges cut into pieces.

    Args:
        ids: of the pieces.
        merges: pairs of pieces, those that end a word with "</w>", in the order in which they join.
        roles: the token of each role.
        class_name: the class of `transformers`, whose files these are.
        extra_tokens: names of special tokens behind the pieces.
    """

    kind = "subword-nmt"

    def __init__(
        self,
        ids: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        roles: Mapping[str, str],
        class_name: str,
        extra_tokens: Sequence[str] = (),
    ):
        self._ids, self._merges, self._roles = dict(ids), list(merges), dict(roles)
        self.class_name, self._extra_tokens = class_name, tuple(extra_tokens)
        whole = dict(self._ids)
        for name in self._extra_tokens:
            whole.setdefault(name, max(whole.values(), default=-1) + 1)
        size = max(whole.values()) + 1
        self._pieces = [""] * size
        for piece, token in whole.items():
            self._pieces[token] = piece
        special = {name: whole[token] for name, token in self._roles.items()}
        gaps = [token for token, piece in enumerate(self._pieces) if not piece]
        appended = [whole[name] for name in self._extra_tokens]
        self.vocabulary = make_vocabulary(size, special, (), [*appended, *gaps], pieces=self._pieces)
        self.special_names = {i: self._pieces[i] or f"<id_{i}>" for i in {*special.values(), *appended, *gaps}}
        self._backend, self._id_of = self._built()

    def _built(self) -> tuple[tokenizers.Tokenizer, list[int]]:
        """The library's tokenizer of the merges, and the id of each of its own pieces."""
        spelled = {_spelled(piece) for piece, token in self._ids.items() if token not in self.special_names}
        single = {piece for piece in spelled if len(piece.removesuffix(END_OF_WORD)) == 1}
        joined = {piece for pair in self._merges for piece in (*pair, "".join(pair))}
        own = sorted({*single, *joined})
        unk = self._ids[self._roles["unk"]]
        ids = [self._ids.get(_written(piece), unk) for piece in own] + [unk]
        numbers = {piece: number for number, piece in enumerate(own)} | {"": len(own)}
        model = models.BPE(vocab=numbers, merges=self._merges, unk_token="", end_of_word_suffix=END_OF_WORD)
        backend = tokenizers.Tokenizer(model)
        backend.pre_tokenizer = pre_tokenizers.Split(WORD, "removed", invert=True)
        return backend, ids

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        rows = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[self._id_of[number] for number in row.ids] for row in rows]

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        rows = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding([self._id_of[number] for number in row.ids], row.offsets) for row in rows]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "SubwordNmtTokenizer":
        extra_tokens = (*self._extra_tokens, *tokens)
        more = SubwordNmtTokenizer(self._ids, self._merges, self._roles, self.class_name, extra_tokens)
        return more.with_markers(self.markers)

    def _decode_non_special(self, ids: list[int]) -> str:
        return " ".join(self._pieces[token] for token in ids).replace(f"{GOES_ON} ", "").strip()

    def _files(self) -> dict[str, bytes]:
        """The class's own files."""
        if self.class_name not in FAIRSEQ_CLASSES:
            merges = "".join(f"{first} {second}\n" for first, second in self._merges)
            return {
                VOCABULARY: (json.dumps(self._ids, indent=2, ensure_ascii=False) + "\n").encode(),
                MERGES: f"#version: 0.2\n{merges}".encode(),
            }
        pieces = sorted((token, piece) for piece, token in self._ids.items() if token >= len(FAIRSEQ_ROLES))
        codes = "".join(f"{first} {second} 1\n" for first, second in self._merges)
        vocabulary = "".join(f"{piece} 1\n" for _, piece in pieces)
        return {FAIRSEQ_FILES[0]: vocabulary.encode(), FAIRSEQ_FILES[1]: codes.encode()}

    def _metadata(self) -> dict[str, object]:
        return {"class": self.class_name, "roles": self._roles, **extra_metadata(self._extra_tokens)}


def load_ctrl(file: Path, folder: Folder) -> SubwordNmtTokenizer:
    """Loads CTRL's vocab.json and merges.txt.

    Raises:
        UserError: one of them is missing or is none.
    """
    ids = {str(piece): int(token) for piece, token in read_json(_beside(file, VOCABULARY)).items()}
    roles = folder.roles(ids)
    if "unk" not in roles:
        raise UserError(f"{file.parent / VOCABULARY} has no <unk>: it is not a vocabulary of CTRL's.")
    return _with_tokens_of(folder, ids, _merges(_beside(file, MERGES)), roles, "CTRLTokenizer")


def load_fairseq(file: Path, folder: Folder) -> SubwordNmtTokenizer:
    """Loads PhoBERT's or BERTweet's vocab.txt and bpe.codes, a piece or a pair with its count a line.

    Raises:
        UserError: one of them is missing.
        UnreadTokenizerError: tweets are to be normalised, which takes rules for emoji that plmjax lacks.
    """
    if folder.settings.get("normalization"):
        raise UnreadTokenizerError(
            f"{folder.directory} has normalization in its tokenizer_config.json: plmjax does not normalise tweets as "
            "BertweetTokenizer does."
        )
    ids = {name: number for number, name in enumerate(FAIRSEQ_ROLES.values())}
    for line in read_lines(_beside(file, FAIRSEQ_FILES[0]), "a vocabulary of fairseq, a piece with its count a line"):
        ids[line.strip().rpartition(" ")[0]] = len(ids)
    merges = _merges(_beside(file, FAIRSEQ_FILES[1]))
    return _with_tokens_of(folder, ids, merges, FAIRSEQ_ROLES, str(folder.class_name), ("<mask>",))


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> SubwordNmtTokenizer:
    """Loads what `SubwordNmtTokenizer.save` wrote."""
    name = metadata["class"]
    folder = Folder(directory, {}, name, True, True, {})
    file = directory / (FAIRSEQ_FILES[0] if name in FAIRSEQ_CLASSES else VOCABULARY)
    plain = (load_fairseq if name in FAIRSEQ_CLASSES else load_ctrl)(file, folder)
    return SubwordNmtTokenizer(plain._ids, plain._merges, metadata["roles"], name, metadata.get("extra_tokens", ()))


def _with_tokens_of(
    folder: Folder,
    ids: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    roles: Mapping[str, str],
    class_name: str,
    more: Sequence[str] = (),
) -> SubwordNmtTokenizer:
    plain = SubwordNmtTokenizer(ids, merges, roles, class_name)
    behind, words = tokens_behind(folder, plain.vocabulary.pieces or (), more)
    if words:
        raise UnreadTokenizerError(f"{folder.directory} adds words to a {class_name}, which plmjax does not read.")
    roles = dict(roles) | folder.roles([*ids, *behind])
    tokenizer = SubwordNmtTokenizer(ids, merges, roles, class_name, behind)
    return tokenizer.with_markers(folder.markers(tokenizer.special_names.values()))


def _merges(file: Path) -> list[tuple[str, str]]:
    lines = [line.split() for line in read_lines(file, "a list of merges, a pair a line") if line[:8] != "#version"]
    return [(line[0], line[1]) for line in lines if len(line) in (2, 3)]


def _beside(file: Path, name: str) -> Path:
    found = file.parent / name
    if not found.is_file():
        raise UserError(f"The tokenizer in {file.parent} lacks {name}, which belongs with {file.name}.")
    return found


def _spelled(piece: str) -> str:
    """A piece as the merges write it."""
    return piece.removesuffix(GOES_ON) if piece.endswith(GOES_ON) and piece != GOES_ON else piece + END_OF_WORD


def _written(piece: str) -> str:
    """A piece as the vocabulary writes it."""
    return piece.removesuffix(END_OF_WORD) if piece.endswith(END_OF_WORD) else piece + GOES_ON

"""Consecutive chunks of the token stream."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in, too_small
from plmjax.errors import UserError


@dataclass(slots=True, unsafe_hash=True)
class Chunks:
    """Consecutive chunks of the token stream, as GPT and T5 read it. A tail shorter than a chunk is left out.

    Attributes:
        separator: put the vocabulary's eos after each document.
        isolate: number the documents of a chunk in `segments` and start `positions` anew in each.
        overlap: tokens that a chunk shares with the next; 1 for windows of length + 1 whose first token is only read.
    """

    gives: ClassVar[frozenset[str]] = STREAM_FIELDS

    separator: bool = True
    isolate: bool = False
    overlap: int = 0

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "ChunkWindows":
        """Cuts a split into chunks of `length` tokens; nothing depends on the seed.

        Raises:
            UserError: the split is shorter than a chunk, the overlap leaves nothing, or the vocabulary has no eos.
        """
        if not 0 <= self.overlap < length:
            raise UserError(
                f"Chunks of {length} tokens can't overlap by {self.overlap}: take an overlap from 0 to {length - 1}."
            )
        if self.separator:
            vocabulary.require("eos")
        return ChunkWindows(self, split, vocabulary, length)


class TokenStream:
    """The documents of a split one after the other, with a separator after each where there is one.

    The separators are not in the store: position p of the stream is worked out.

    Attributes:
        starts: int64 [documents + 1], where each document starts in the stream, and the stream's end.
        total: tokens of the stream.
    """

    def __init__(self, split: Split, separator: int | None):
        self._tokens = split.tokens
        self._separator = separator
        self.starts = np.asarray(split.document_starts) + self.separators_before(np.arange(split.documents + 1))
        self.total = int(self.starts[-1])

    def separators_before(self, documents: np.ndarray) -> np.ndarray:
        """How many separators stand before each document of these numbers."""
        return documents * int(self._separator is not None)

    def documents(self, positions: np.ndarray) -> np.ndarray:
        """The number of the document that each position is in; a separator is of the one before it."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def tokens(self, positions: np.ndarray, documents: np.ndarray | None = None) -> np.ndarray:
        """int32 ids at the positions; `documents` of them, if they are known."""
        if self._separator is None:
            return np.asarray(self._tokens[positions], np.int32)
        documents = self.documents(positions) if documents is None else documents
        is_separator = positions + 1 == self.starts[documents + 1]
        # A separator's own position is the next document's first token, or past the end: any token will do there.
        raw = np.minimum(positions - documents, len(self._tokens) - 1)
        return np.where(is_separator, np.int32(self._separator), np.asarray(self._tokens[raw], np.int32))


class ChunkWindows(Windows):
    """The chunks of a split."""

    def __init__(self, config: Chunks, split: Split, vocabulary: Vocabulary, length: int):
        self.length = length
        self.padding = vocabulary.padding
        self._isolate = config.isolate
        self._stride = length - config.overlap
        self._stream = TokenStream(split, vocabulary.eos if config.separator else None)
        total = self._stream.total
        self._count = (total - config.overlap) // self._stride if total >= length else 0
        if self._count == 0:
            raise too_small(split, length, f"{total} tokens")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Window:
        return {name: values[0] for name, values in self.batch(np.array([index])).items()}

    def batch(self, indices: np.ndarray) -> Window:
        begin_B1 = np.array([index_in(int(index), self._count) for index in indices])[:, None] * self._stride
        stream_position_BL = begin_B1 + np.arange(self.length)
        if not self._isolate:
            return self._one_piece(self._stream.tokens(stream_position_BL))
        document_BL = self._stream.documents(stream_position_BL)
        start_BL = np.maximum(self._stream.starts[document_BL], begin_B1)
        return {
            "tokens": self._stream.tokens(stream_position_BL, document_BL),
            "positions": (stream_position_BL - start_BL).astype(np.int32),
            "segments": (document_BL - document_BL[:, :1] + 1).astype(np.int32),
        }

    def _one_piece(self, tokens_BL: np.ndarray) -> Window:
        positions_L = np.arange(self.length, dtype=np.int32)
        return {
            "tokens": tokens_BL,
            "positions": np.tile(positions_L, (len(tokens_BL), 1)),
            "segments": np.ones_like(tokens_BL),
        }

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


class ChunkWindows(Windows):
    """The chunks of a split. The separators are not in the store: position p of the stream is worked out."""

    def __init__(self, config: Chunks, split: Split, vocabulary: Vocabulary, length: int):
        self.length = length
        self.padding = vocabulary.padding
        self._config = config
        self._tokens = split.tokens
        self._stride = length - config.overlap
        self._separators = int(config.separator)
        self._eos = self.padding if vocabulary.eos is None else vocabulary.eos
        # Where each document starts in the stream with separators.
        self._starts = np.asarray(split.document_starts) + self._separators * np.arange(split.documents + 1)
        total = int(self._starts[-1])
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
        if not (self._separators or self._config.isolate):
            return self._one_piece(np.asarray(self._tokens[stream_position_BL], np.int32))
        document_BL = np.searchsorted(self._starts, stream_position_BL, side="right") - 1
        tokens_BL = self._tokens_at(stream_position_BL, document_BL)
        if not self._config.isolate:
            return self._one_piece(tokens_BL)
        start_BL = np.maximum(self._starts[document_BL], begin_B1)
        return {
            "tokens": tokens_BL,
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

    def _tokens_at(self, stream_position_BL: np.ndarray, document_BL: np.ndarray) -> np.ndarray:
        if not self._separators:
            return np.asarray(self._tokens[stream_position_BL], np.int32)
        is_separator_BL = stream_position_BL + 1 == self._starts[document_BL + 1]
        # A separator's own position is the next document's first token, or past the end: any token will do there.
        raw_BL = np.minimum(stream_position_BL - document_BL, len(self._tokens) - 1)
        return np.where(is_separator_BL, np.int32(self._eos), np.asarray(self._tokens[raw_BL], np.int32))

"""Chunks of the token stream that are read one after the other, so that a network may remember what it has read."""

from dataclasses import dataclass

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window
from plmjax.data.windows.chunks import Chunks, ChunkWindows


@dataclass(slots=True, unsafe_hash=True)
class Streams:
    """The windows of `Chunks` in order: with B rows in a batch, row b reads the b-th of B equal stretches of the text.

    The loader says in `continues` (0 or 1) whether a row continues where the batch before stopped. Text that is
    left over after the last whole stretch is not read.

    Attributes:
        separator: put the vocabulary's eos after each document.
        overlap: tokens that a chunk shares with the next; 1 for windows of length + 1 whose first token is only read.
        both_ways: the second half of the rows reads the stretches of the first from their end, chunk by chunk and
            token by token; the loader says so in `backward` (0 or 1) (XLNet's bi_data).
    """

    separator: bool = True
    overlap: int = 1
    both_ways: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return STREAM_FIELDS | {"continues"} | ({"backward"} if self.both_ways else set())

    def stride(self, length: int) -> int:
        """Tokens after which the next of windows of `length` begins."""
        return length - self.overlap

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "StreamWindows":
        """Cuts a split as `Chunks.build` does, with the same errors."""
        chunks = Chunks(self.separator, overlap=self.overlap)
        chunks.build(split, vocabulary, length, seed)  # checks
        windows = StreamWindows(chunks, split, vocabulary, length)
        windows.both_ways = self.both_ways
        return windows


class StreamWindows(ChunkWindows):
    """Chunks for a loader that keeps their order."""

    consecutive = True

    def batch_backward(self, indices: np.ndarray) -> Window:
        window = self.batch(indices)
        return window | {"tokens": window["tokens"][:, ::-1]}

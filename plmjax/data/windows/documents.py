"""Parts of one document each."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in, too_small


@dataclass(slots=True, unsafe_hash=True)
class DocumentChunks:
    """Consecutive parts of a document, as T5's objectives read it that do not concatenate documents.

    A document's last part may be shorter, and is filled up; one of fewer than two tokens is left out.
    """

    gives: ClassVar[frozenset[str]] = STREAM_FIELDS

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "DocumentWindows":
        """Cuts the documents of a split; nothing depends on the seed. Raises UserError where none has two tokens."""
        windows = DocumentWindows(split, vocabulary, length)
        if not len(windows):
            raise too_small(split, length, "no document of two tokens or more")
        return windows


class DocumentWindows(Windows):
    """The parts of a split's documents, in order."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int):
        self.length, self.padding = length, vocabulary.padding
        self._tokens = split.tokens
        self._documents = np.asarray(split.document_starts)
        sizes = np.diff(self._documents)
        parts = sizes // length + (sizes % length >= 2)
        self._firsts = np.concatenate([[0], np.cumsum(parts)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, index: int) -> Window:
        document = int(np.searchsorted(self._firsts, index_in(index, len(self)), side="right")) - 1
        begin = int(self._documents[document]) + (index - int(self._firsts[document])) * self.length
        part = np.asarray(self._tokens[begin : min(begin + self.length, int(self._documents[document + 1]))], np.int32)
        tokens_L = np.full(self.length, self.padding, np.int32)
        tokens_L[: len(part)] = part
        position_L = np.arange(self.length, dtype=np.int32)
        return {"tokens": tokens_L, "positions": position_L, "segments": (position_L < len(part)).astype(np.int32)}

"""Token counts: the number of times each id occurs in a store's training text."""

from dataclasses import dataclass

import numpy as np

from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """The counts of a split's ids, which `np.asarray` gives as int64 [rows].

    A large text takes minutes to count, and few objectives ask for it: it is counted when first read as an array, and
    the counts are kept in the split's index cache.

    Attributes:
        split: the text.
        rows: of the embedding table.
    """

    split: Split
    rows: int

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        counts = cached_index(self.split, f"token counts/{self.rows}", lambda: count(self.split.tokens, self.rows))
        return np.array(counts, dtype)


def count(tokens: np.ndarray, rows: int, chunk: int = 1 << 24) -> np.ndarray:
    """int64 [rows]: how often each id occurs; a chunk of the tokens in memory at a time."""
    counts = np.zeros(rows, np.int64)
    for start in range(0, len(tokens), chunk):
        counts += np.bincount(tokens[start : start + chunk], minlength=rows)
    return counts

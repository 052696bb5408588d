"""The base of all windows: the interface, the field names, and how a row of texts becomes a window."""

from abc import ABC, abstractmethod

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.templates import PackedTexts
from plmjax.errors import UserError

Window = dict[str, np.ndarray]

STREAM_FIELDS = frozenset({"tokens", "positions", "segments"})
SENTENCE_FIELDS = STREAM_FIELDS | {"token_types"}
PAIR_FIELDS = SENTENCE_FIELDS | {"sentence_label"}


class Windows(ABC):
    """A random-access sequence of windows. Items are pure functions of the index, and safe to take in threads.

    Attributes:
        length: the tokens of a window.
        padding: the id at unused positions.
        consecutive: a window continues where the one before stops, and each row of the batches reads them in order.
        both_ways: half of the rows of consecutive windows reads them from the end, by `batch_backward`.
    """

    length: int
    padding: int
    consecutive: bool = False
    both_ways: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Window: ...

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices`, stacked along a leading axis."""
        items = [self[int(index)] for index in indices]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def batch_backward(self, indices: np.ndarray) -> Window:
        """The windows at `indices` of a text that is read from its end, for those that are read both ways."""
        raise NotImplementedError


def index_in(index: int, count: int) -> int:
    """`index`, checked to lie in [0, count)."""
    if not 0 <= index < count:
        raise IndexError(f"window {index} of {count}")
    return index


def too_small(split: Split, length: int, has: str) -> UserError:
    """The error for a split that gives no window."""
    return UserError(
        f"The {split.name} split is too small for one window of {length} tokens: it has {has}; "
        "give more text or a shorter length."
    )


def packed_window(row: PackedTexts, length: int, padding: int) -> Window:
    """A window of `length` tokens whose first are the row's."""
    tokens_L = np.full(length, padding, np.int32)
    token_types_L = np.zeros(length, np.int32)
    segments_L = np.zeros(length, np.int32)
    end = len(row.tokens)
    tokens_L[:end], token_types_L[:end], segments_L[:end] = row.tokens, row.types, 1
    return {
        "tokens": tokens_L,
        "token_types": token_types_L,
        "positions": np.arange(length, dtype=np.int32),
        "segments": segments_L,
    }

"""Passages: whole sentences of one document, as many as fit, and where each begins (BART, mBART, MASS)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.languages import NONE, smoothed
from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in, too_small
from plmjax.data.windows.languages import Shared, checked, spoken

PASSAGE_FIELDS = STREAM_FIELDS | {"sentence_starts"}


@dataclass(slots=True, unsafe_hash=True)
class Passages:
    """Consecutive whole sentences of a document up to the length or to its end, without special tokens.

    `sentence_starts` is 1 at each token that begins a sentence. A sentence longer than a window is cut, and each part
    counts as a sentence.
    """

    gives: ClassVar[frozenset[str]] = PASSAGE_FIELDS

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PassageWindows":
        """Packs a split; nothing depends on the seed. Raises UserError if it has no text."""
        ranges = passages(split, length, separators=0)
        if not len(ranges):
            raise too_small(split, length, "no text")
        return PassageWindows(split, vocabulary.padding, length, ranges)


@dataclass(slots=True, unsafe_hash=True)
class LanguagePassages:
    """Passages of one language each, eos after each sentence; `language` is the language's id (mBART, Sec. 2.2).

    In training the language i has the share q_i ~ p_i^alpha of the windows, p_i being its share of them; the validation
    split is read once, as it is. Translations are left out.

    Attributes:
        alpha: 1 leaves the shares as they are, 0 or -1 makes them alike.
    """

    gives: ClassVar[frozenset[str]] = PASSAGE_FIELDS | {"language"}

    alpha: float = 0.7

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> Shared:
        """Packs a split's languages; nothing depends on the seed.

        Raises:
            UserError: the split has no languages or no text in them, or the vocabulary has no eos.
        """
        vocabulary.require("eos")
        ranges = passages(split, length, separators=1)
        documents = np.searchsorted(split.document_starts, ranges[:, 0], side="right") - 1
        parts = [
            PassageWindows(split, vocabulary.padding, length, ranges[of_language], vocabulary.eos, language)
            for language in range(len(spoken(split)))
            if (of_language := _written_in(split, language)[documents]).any()
        ]
        if not parts:
            raise too_small(split, length, "no text besides translations")
        return Shared(parts, self._shares(split, parts))

    def _shares(self, split: Split, parts: Sequence[Windows]) -> np.ndarray | None:
        return None if split.name == "validation" else smoothed([len(part) for part in parts], checked(self.alpha))


class PassageWindows(Windows):
    """Windows over ranges of the store's tokens.

    Args:
        ranges: int64 [windows, 2], of `passages`.
        eos: put after each sentence; None: nothing is.
        language: id of the language of all; None: the windows have no such field.
    """

    def __init__(
        self,
        split: Split,
        padding: int,
        length: int,
        ranges: np.ndarray,
        eos: int | None = None,
        language: int | None = None,
    ):
        self.length, self.padding = length, padding
        self._tokens, self._ranges, self._eos, self._language = split.tokens, ranges, eos, language
        self._sentences = sentence_borders(split, length, separators=int(eos is not None))

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> Window:
        start, end = (int(position) for position in self._ranges[index_in(index, len(self))])
        first, last = np.searchsorted(self._sentences, [start, end])
        borders = self._sentences[first : last + 1] - start  # of its sentences, the end included
        text = np.asarray(self._tokens[start:end], np.int32)
        if self._eos is not None:
            text = np.insert(text, borders[1:], self._eos)
            borders = borders + np.arange(len(borders))
        tokens_L = np.full(self.length, self.padding, np.int32)
        tokens_L[: len(text)] = text
        starts_L = np.zeros(self.length, np.int32)
        starts_L[borders[:-1]] = 1
        position_L = np.arange(self.length, dtype=np.int32)
        window = {
            "tokens": tokens_L,
            "positions": position_L,
            "segments": (position_L < len(text)).astype(np.int32),
            "sentence_starts": starts_L,
        }
        return window if self._language is None else window | {"language": np.array(self._language, np.int32)}


def passages(split: Split, length: int, separators: int) -> np.ndarray:
    """int64 [passages, 2]: start and end of each, in the order of the text, which they cover once.

    Args:
        split: the text.
        length: tokens that a passage holds at most, separators included.
        separators: how many follow each sentence, 0 or 1.
    """
    return cached_index(split, f"passages/{separators}/{length}", lambda: _pack(split, length, separators))


def _pack(split: Split, length: int, separators: int) -> np.ndarray:
    borders = sentence_borders(split, length, separators)
    cost = borders + separators * np.arange(len(borders))
    ends = np.searchsorted(borders, split.document_starts)  # where each document begins, and where the last one ends
    found: list[tuple[int, int]] = []
    for first, last in itertools.pairwise(ends):
        while first < last:
            after = min(int(np.searchsorted(cost, cost[first] + length, side="right")) - 1, last)
            found.append((borders[first], borders[after]))
            first = after
    return np.array(found, np.int64).reshape(-1, 2)


def sentence_borders(split: Split, length: int, separators: int) -> np.ndarray:
    """int64: where sentences begin and where the last one ends, those that do not fit into a passage cut in pieces."""
    borders = np.asarray(split.sentence_starts)
    room = length - separators
    sizes = np.diff(borders)
    pieces = np.maximum(-(-sizes // room), 1)
    if (pieces == 1).all():
        return borders
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(np.repeat(borders[:-1], pieces) + number * room, borders[-1])


def _written_in(split: Split, language: int) -> np.ndarray:
    """bool [documents]: of this language alone."""
    languages = np.asarray(split.document_languages)
    return (languages[:, 0] == language) & (languages[:, 1] == NONE)

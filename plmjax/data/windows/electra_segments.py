"""ELECTRA's windows: `[cls] A [sep] B [sep]` of consecutive text, now and then `[cls] A [sep]`, of one document each.

The rule is that of google-research/electra, build_pretraining_dataset.py:34-114 (ExampleBuilder); the paper says
nothing of segments.
"""

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split
from plmjax.data.templates import cls_sep_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import SENTENCE_FIELDS, Window, Windows, index_in, packed_window, too_small
from plmjax.errors import UserError

# Of the released code:
SHORTEST = 5  # tokens that a window aims at, special ones counted (line 91)
WHOLE = 100_000  # tokens that a first segment aims at which takes all (line 61)
COIN = 0.5  # how often a sentence that takes the first segment over its length still goes there (line 76)


@dataclass(slots=True, unsafe_hash=True)
class ElectraSegments:
    """Sentences of one document up to the length, split into a first and a second segment.

    A window takes sentences until they have as many tokens as it aims at, or the document ends; what is over the length
    is cut. The first segment aims at half of the window. As released, a short sentence may still go there after a long
    one has begun the second segment.

    Attributes:
        single_probability: share of the windows whose first segment takes all.
        short_probability: share of the windows that aim at a random length from 5 tokens on.
    """

    gives: ClassVar[frozenset[str]] = SENTENCE_FIELDS

    single_probability: float = 0.1
    short_probability: float = 0.05

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "ElectraWindows":
        """Draws the windows of a split. Raises UserError for too small a length or split."""
        if length < SHORTEST:
            raise UserError(
                f"A window of {length} tokens is too short for ELECTRA's segments: take {SHORTEST} or more."
            )
        if split.sentences == 0:
            raise too_small(split, length, "no text")
        return ElectraWindows(self, split, vocabulary, length, seed)


class ElectraWindows(Windows):
    """The windows of an index, int64 [sentences]: twice the number of its window, and 1 more in the second segment."""

    def __init__(self, config: ElectraSegments, split: Split, vocabulary: Vocabulary, length: int, seed: int):
        self.length = length
        self.padding = vocabulary.padding
        self._template = cls_sep_template(vocabulary, token_types="segments")
        self._split = split
        description = f"electra/{config.single_probability}/{config.short_probability}/{length}/{seed}"
        rng = random.Random(f"electra segments {seed}")
        self._places = cached_index(split, description, lambda: draw(config, split, length, rng))

    def __len__(self) -> int:
        return int(self._places[-1]) // 2 + 1

    def __getitem__(self, index: int) -> Window:
        number = 2 * index_in(index, len(self))
        begin, end = np.searchsorted(self._places, [number, number + 2])
        segments: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        starts = self._split.sentence_starts
        for sentence in range(begin, end):
            place = int(self._places[sentence]) - number
            segments[place].append(self._split.tokens[int(starts[sentence]) : int(starts[sentence + 1])])
        first, second = (np.concatenate(parts) if parts else np.empty(0, np.int32) for parts in segments)
        first = first[: self.length - 2]
        second = second[: max(0, self.length - len(first) - 3)]
        row = self._template.pack(first, second) if len(second) else self._template.pack(first)
        return packed_window(row, self.length, self.padding)


def draw(config: ElectraSegments, split: Split, length: int, rng: random.Random) -> np.ndarray:
    """The index of a split; random numbers are drawn in the order of the released code."""
    sizes = np.diff(np.asarray(split.sentence_starts)).tolist()
    borders = np.asarray(split.document_sentences).tolist()
    places = np.empty(len(sizes), np.int64)
    window, target = 0, length
    for first, last in pairwise(borders):
        begin, gathered = first, 0
        for sentence in range(first, last):
            gathered += sizes[sentence]
            if gathered < target and sentence + 1 < last:
                continue
            room = WHOLE if rng.random() < config.single_probability else (target - 3) // 2
            seconds = assign(sizes[begin : sentence + 1], room, rng)
            places[begin : sentence + 1] = 2 * window + np.array(seconds)
            target = rng.randint(SHORTEST, length) if rng.random() < config.short_probability else length
            window, begin, gathered = window + 1, sentence + 1, 0
    return places


def assign(sizes: list[int], room: int, rng: random.Random) -> list[bool]:
    """For each sentence of a window, by its tokens, whether it goes to the second segment; the first aims at `room`."""
    first = second = 0
    seconds = []
    for size in sizes:
        is_first = first == 0 or first + size < room or (second == 0 and first < room and rng.random() < COIN)
        first, second = (first + size, second) if is_first else (first, second + size)
        seconds.append(not is_first)
    return seconds

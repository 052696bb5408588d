"""Pairs of segments with a label that says whether the second follows the first: `[cls] A [sep] B [sep]`.

SegmentPair is BERT's algorithm (Devlin et al. 2018, Sec. 3.1 and A.2, as its released code has it); SentencePair is the
variant with single sentences of RoBERTa (Liu et al. 2019, Sec. 4.2); SentenceOrderPair is ALBERT's, whose label says
whether the two are swapped (Lan et al. 2020, Sec. 3.1).
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split
from plmjax.data.templates import cls_sep_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import PAIR_FIELDS, Window, Windows, index_in, packed_window
from plmjax.errors import UserError

SPECIAL_TOKENS = 3  # [cls] A [sep] B [sep]
TRIES = 10  # draws of another document before the same one is accepted, as BERT has it

Range = tuple[int, int]
Pair = tuple[Range, Range, int]


@dataclass(slots=True, unsafe_hash=True)
class SegmentPair:
    """BERT's pairs of segments of several sentences each.

    Attributes:
        short_probability: share of the passes over a document that aim at a random shorter length.
        next_probability: share of the pairs whose second segment follows the first, where the text allows it.
        duplicates: passes over the corpus with fresh draws (BERT: 10).
    """

    gives: ClassVar[frozenset[str]] = PAIR_FIELDS

    short_probability: float = 0.1
    next_probability: float = 0.5
    duplicates: int = 1

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PairWindows":
        """Draws the pairs of a split. Raises UserError for fewer than two documents or too small a length."""
        _require_two_documents(split)
        description = f"segments/{self.short_probability}/{self.next_probability}/{self.duplicates}/{length}/{seed}"
        return PairWindows(
            split, vocabulary, length, description, _ranges(self, split, length, f"segment pairs {seed}")
        )

    def _pairs(self, text: "_Text", document: int, room: int) -> Iterator[Pair]:
        """The pairs of one pass over a document."""
        rng, starts = text.rng, text.starts
        sentence, last = text.bounds(document)
        target = rng.randint(2, room) if rng.random() < self.short_probability else room
        while sentence < last:
            stop = text.chunk_end(sentence, last, target)
            middle = sentence + 1 if stop - sentence == 1 else rng.randint(sentence + 1, stop - 1)
            first = (starts[sentence], starts[middle])
            if stop - sentence == 1 or rng.random() >= self.next_probability:
                second = text.random_segment(document, max(target - (first[1] - first[0]), 1))
                label, sentence = 1, middle  # sentences that were not used are put back
            else:
                second, label, sentence = (starts[middle], starts[stop]), 0, stop
            yield *truncate(first, second, room, rng), label


@dataclass(slots=True, unsafe_hash=True)
class SentencePair:
    """RoBERTa's pairs of single sentences; much shorter than the window as a rule.

    Attributes:
        next_probability: share of the pairs whose second sentence follows the first, where the text allows it.
        duplicates: passes over the corpus with fresh draws.
    """

    gives: ClassVar[frozenset[str]] = PAIR_FIELDS

    next_probability: float = 0.5
    duplicates: int = 1

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PairWindows":
        """Draws the pairs of a split. Raises UserError for fewer than two documents or too small a length."""
        _require_two_documents(split)
        description = f"sentences/{self.next_probability}/{self.duplicates}/{length}/{seed}"
        return PairWindows(
            split, vocabulary, length, description, _ranges(self, split, length, f"sentence pairs {seed}")
        )

    def _pairs(self, text: "_Text", document: int, room: int) -> Iterator[Pair]:
        rng, starts = text.rng, text.starts
        sentence, last = text.bounds(document)
        while sentence < last:
            first = (starts[sentence], starts[sentence + 1])
            sentence += 1
            if sentence == last or rng.random() >= self.next_probability:
                second, label = text.random_segment(document, 1), 1
            else:
                second, label = (starts[sentence], starts[sentence + 1]), 0
                sentence += 1
            yield *truncate(first, second, room, rng), label


@dataclass(slots=True, unsafe_hash=True)
class SentenceOrderPair:
    """ALBERT's pairs: two consecutive segments in order (label 0) or swapped (label 1) (Lan et al. 2020, Sec. 3.1).

    Segments are collected as BERT's are. Where a chunk has one sentence alone, which has no order, it is cut in two at
    a random token; the paper does not say what then, and the released code puts a random text behind it, with label 1
    (google-research/albert, create_pretraining_data.py:314-337).

    Attributes:
        short_probability: share of the passes over a document that aim at a random shorter length.
        swap_probability: share of the pairs that are swapped.
        lone_sentence: what becomes of a chunk of one sentence, "cut" or, as released, "random".
        duplicates: passes over the corpus with fresh draws (ALBERT: 40).
    """

    gives: ClassVar[frozenset[str]] = PAIR_FIELDS

    short_probability: float = 0.1
    swap_probability: float = 0.5
    lone_sentence: str = "cut"
    duplicates: int = 1

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PairWindows":
        """Draws the pairs of a split. Raises UserError for too small a length or split."""
        if self.lone_sentence not in ("cut", "random"):
            raise UserError(f"objective.window.lone_sentence is {self.lone_sentence!r}; it must be 'cut' or 'random'.")
        if self.lone_sentence == "random":
            _require_two_documents(split)
        lone = "" if self.lone_sentence == "cut" else "random/"
        description = (
            f"order cut last/{lone}{self.short_probability}/{self.swap_probability}/{self.duplicates}/{length}/{seed}"
        )
        return PairWindows(
            split, vocabulary, length, description, _ranges(self, split, length, f"sentence order {seed}")
        )

    def _pairs(self, text: "_Text", document: int, room: int) -> Iterator[Pair]:
        """The pairs of one pass over a document."""
        rng, starts = text.rng, text.starts
        sentence, last = text.bounds(document)
        target = rng.randint(2, room) if rng.random() < self.short_probability else room
        while sentence < last:
            stop = text.chunk_end(sentence, last, target)
            begin, end, is_lone = starts[sentence], starts[stop], stop - sentence == 1
            if is_lone and self.lone_sentence == "random":
                sentence = stop
                second = text.random_segment(document, max(target - (end - begin), 1))
                yield *truncate((begin, end), second, room, rng), 1
                continue
            if is_lone:
                middle = rng.randint(begin + 1, max(begin + 1, end - 1))
            else:
                middle = starts[rng.randint(sentence + 1, stop - 1)]
            sentence = stop
            if middle >= end:
                continue  # one token
            first, second, label = (begin, middle), (middle, end), 0
            if rng.random() < self.swap_probability:
                first, second, label = second, first, 1
            # Cut after the swap: truncation may leave the first text a token more, which would tell the order.
            yield *truncate(first, second, room, rng), label


class PairWindows(Windows):
    """The pairs of an index, int64 [pairs, 5]: start and end of A, start and end of B, label."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int, description: str, build):
        self.length = length
        self.padding = vocabulary.padding
        self._template = cls_sep_template(vocabulary, token_types="segments")
        if length < SPECIAL_TOKENS + 2:
            raise UserError(
                f"A window of {length} tokens has no room for two segments and {SPECIAL_TOKENS} special tokens: "
                f"take {SPECIAL_TOKENS + 2} or more."
            )
        self._tokens = split.tokens
        self._ranges = cached_index(split, description, build)

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> Window:
        a_start, a_end, b_start, b_end, label = self._ranges[index_in(index, len(self))].tolist()
        first, second = self._tokens[a_start:a_end], self._tokens[b_start:b_end]
        window = packed_window(self._template.pack(first, second), self.length, self.padding)
        window["sentence_label"] = np.array(label, np.int32)
        return window


class _Text:
    """The borders of sentences and documents as lists, which single look-ups are faster in, and the generator."""

    def __init__(self, split: Split, rng: random.Random):
        self.rng = rng
        self.starts: list[int] = np.asarray(split.sentence_starts).tolist()
        self._document_sentences: list[int] = split.document_sentences.tolist()
        self._documents = split.documents

    def bounds(self, document: int) -> Range:
        """The document's first sentence and the one after its last."""
        return self._document_sentences[document], self._document_sentences[document + 1]

    def chunk_end(self, sentence: int, last: int, target: int) -> int:
        """The first border after `sentence` at which there are `target` tokens, or the document's end."""
        return min(bisect_left(self.starts, self.starts[sentence] + target, sentence + 1), last)

    def random_segment(self, document: int, target: int) -> Range:
        """Sentences from a random position in another document, until `target` tokens or that document's end."""
        other = document
        for _ in range(TRIES):
            other = self.rng.randint(0, self._documents - 1)
            if other != document:
                break
        first, last = self.bounds(other)
        sentence = self.rng.randint(first, last - 1)
        start = self.starts[sentence]
        stop = min(bisect_left(self.starts, start + target, sentence + 1), last)
        return start, self.starts[stop]


def truncate(first: Range, second: Range, room: int, rng: random.Random) -> tuple[Range, Range]:
    """Takes tokens from the longer of two ranges, at its front or back by a coin, until both fit into `room`."""
    (a_start, a_end), (b_start, b_end) = first, second
    while (a := a_end - a_start) + (b := b_end - b_start) > room:
        front = rng.random() < 0.5
        if a > b:
            a_start, a_end = (a_start + 1, a_end) if front else (a_start, a_end - 1)
        else:
            b_start, b_end = (b_start + 1, b_end) if front else (b_start, b_end - 1)
    return (a_start, a_end), (b_start, b_end)


def _require_two_documents(split: Split) -> None:
    if split.documents < 2:
        raise UserError(
            f"The {split.name} split has {split.documents} documents, and random pairs need two: give "
            "experiments.prepare more documents, --documents=blank_lines, or a larger --validation_fraction."
        )


def _ranges(config: Any, split: Split, length: int, draws: str) -> Callable[[], np.ndarray]:
    """A function that draws the pairs of `config.duplicates` passes, int64 [pairs, 5]; `draws` is its seed."""

    def draw() -> np.ndarray:
        text = _Text(split, random.Random(draws))
        pairs = (
            pair
            for _ in range(config.duplicates)
            for document in range(split.documents)
            for pair in config._pairs(text, document, length - SPECIAL_TOKENS)
        )
        rows = ((*first, *second, label) for first, second, label in pairs)
        return np.fromiter((value for row in rows for value in row), np.int64).reshape(-1, 5)

    return draw

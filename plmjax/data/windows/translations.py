"""Translations as two sequences: what an encoder reads, and what a decoder writes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.languages import NONE, smoothed
from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in
from plmjax.data.windows.languages import Shared, checked, spoken
from plmjax.errors import UserError


@dataclass(slots=True, unsafe_hash=True)
class Translations:
    """Pairs of a source text in `tokens` and its translation in `target_tokens`, without special tokens.

    `target_segments` is 1 where a target has a token; `language` and `target_language` are ids. In training each
    direction has a share of the windows as LanguagePassages has it; the validation split is read once. Pairs of which a
    side has more tokens than fit are left out.

    Attributes:
        directions: "en-de" and the like, each of a language to another one of the store.
        alpha: 1 leaves the shares of the directions as they are, 0 or -1 makes them alike.
    """

    gives: ClassVar[frozenset[str]] = STREAM_FIELDS | {
        "target_tokens", "target_segments", "language", "target_language",
    }  # fmt: skip

    directions: tuple[str, ...] = ("en-de",)
    alpha: float = 1.0

    @property
    def targets(self) -> tuple[str, ...]:
        """The languages that are translated into."""
        return tuple(dict.fromkeys(ends(direction)[1] for direction in self.directions))

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> Shared:
        """The translations of a split; nothing depends on the seed.

        Raises:
            UserError: the split has no languages, or for a direction no translation that fits.
        """
        known = spoken(split)
        parts = []
        for direction in self.directions:
            source, target = ends(direction)
            if source not in known or target not in known:
                raise UserError(
                    f"objective.window.directions has {direction!r}, but the store's languages are "
                    f"{', '.join(known)}: name two of them, as {known[0]}-{known[-1]}."
                )
            part = DirectedPairs(split, vocabulary.padding, length, known.index(source), known.index(target))
            if not len(part):
                raise UserError(
                    f"The {split.name} split has no translations from {source} to {target} that fit into {length} "
                    f"tokens a side: give some, as --input={source}-{target}=FILE,FILE, or a longer length."
                )
            parts.append(part)
        shares = None if split.name == "validation" else smoothed([len(part) for part in parts], checked(self.alpha))
        return Shared(parts, shares)


class DirectedPairs(Windows):
    """The translations of two languages, read in one direction, whichever side the store has first."""

    def __init__(self, split: Split, padding: int, length: int, source: int, target: int):
        self.length, self.padding = length, padding
        self._split, self._source, self._target = split, source, target
        self._ranges = cached_index(
            split, f"directed/{source}/{target}/{length}", lambda: _fitting(split, length, source, target)
        )

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> Window:
        split = self._split
        document = int(self._ranges[index_in(index, len(self))])
        assert split.document_languages is not None
        sentence = int(split.document_sentences[document])
        start, middle, end = (int(position) for position in split.sentence_starts[sentence : sentence + 3])
        sides = [split.tokens[start:middle], split.tokens[middle:end]]
        if int(split.document_languages[document][0]) != self._source:
            sides.reverse()
        (tokens, segments), (target_tokens, target_segments) = (self._row(side) for side in sides)
        return {
            "tokens": tokens,
            "positions": np.arange(self.length, dtype=np.int32),
            "segments": segments,
            "target_tokens": target_tokens,
            "target_segments": target_segments,
            "language": np.array(self._source, np.int32),
            "target_language": np.array(self._target, np.int32),
        }

    def _row(self, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens_L = np.full(self.length, self.padding, np.int32)
        tokens_L[: len(side)] = side
        return tokens_L, (np.arange(self.length) < len(side)).astype(np.int32)


def ends(direction: str) -> tuple[str, str]:
    """The two languages of "en-de". Raises UserError for anything else."""
    parts = direction.split("-")
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise UserError(
            f"objective.window.directions has {direction!r}: write a language, a hyphen and another one, as en-de."
        )
    return parts[0], parts[1]


def _fitting(split: Split, length: int, source: int, target: int) -> np.ndarray:
    """int64, the documents that translate one into the other and have no longer side."""
    languages = np.asarray(split.document_languages)
    is_pair = (languages[:, 1] != NONE) & (np.sort(languages, axis=1) == sorted((source, target))).all(1)
    found = np.flatnonzero(is_pair)
    first = split.document_sentences[found]
    sizes = np.diff(np.asarray(split.sentence_starts))
    return found[(sizes[first] <= length) & (sizes[first + 1] <= length)].astype(np.int64)

"""Sentences one after the other, read both ways at once: what a bidirectional language model is trained on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.characters import LENGTH, spell_vocabulary
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in, too_small

BOTH_WAYS_FIELDS = STREAM_FIELDS | {
    "targets",
    "characters",
    "backward_tokens",
    "backward_targets",
    "backward_characters",
    "continues",
}


@dataclass(slots=True, unsafe_hash=True)
class SentenceStreams:
    """Consecutive chunks of two streams of the same sentences, which row b of the batches reads on in, as in `Streams`.

    A sentence w_1 ... w_n has n + 1 positions in each. Forward, <S> w_1 ... w_n predict w_1 ... w_n </S>. Backward, as
    the released code reads, sentences still follow each other in the corpus's order, each turned round: </S> w_n ...
    w_1 predict w_n ... w_1 <S>. (The released code draws the order of the sentences for each direction by itself.)

    Attributes:
        characters: length of a word's spelling; must be the network's.
    """

    gives: ClassVar[frozenset[str]] = BOTH_WAYS_FIELDS

    characters: int = LENGTH

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "SentenceStreamWindows":
        """Cuts a split into chunks of `length` positions; nothing depends on the seed.

        Raises:
            UserError: the split is shorter than a chunk, or the vocabulary lacks a mark.
        """
        vocabulary.require("bos", "eos")
        return SentenceStreamWindows(self, split, vocabulary, length)


class SentenceStreamWindows(Windows):
    """The chunks of a split: `characters` and `backward_characters` [L, C] beside the ids."""

    consecutive = True

    def __init__(self, config: SentenceStreams, split: Split, vocabulary: Vocabulary, length: int):
        self.length = length
        self.padding = vocabulary.padding
        self._vocabulary = vocabulary
        self._spelling = spell_vocabulary(vocabulary, config.characters)
        self._tokens = split.tokens
        self._sentences = np.asarray(split.sentence_starts)
        self._starts = self._sentences + np.arange(len(self._sentences))  # of the sentences, in positions
        total = int(self._starts[-1])
        self._count = total // length
        if self._count == 0:
            raise too_small(split, length, f"{total} words and ends of sentences")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Window:
        return {name: values[0] for name, values in self.batch(np.array([index])).items()}

    def batch(self, indices: np.ndarray) -> Window:
        begin_B1 = np.array([index_in(int(index), self._count) for index in indices])[:, None] * self.length
        position_BL = begin_B1 + np.arange(self.length)
        sentence_BL = np.searchsorted(self._starts, position_BL, side="right") - 1
        at_BL = position_BL - self._starts[sentence_BL]
        last_BL = self._starts[sentence_BL + 1] - self._starts[sentence_BL]  # the position of </S>; <S> is at 0
        forward_BL, backward_BL = (self._word(sentence_BL, at, last_BL) for at in (at_BL, last_BL - at_BL))
        return {
            "tokens": forward_BL,
            "positions": np.tile(np.arange(self.length, dtype=np.int32), (len(indices), 1)),
            "segments": np.ones_like(forward_BL),
            "targets": self._predicted(self._word(sentence_BL, at_BL + 1, last_BL)),
            "characters": self._spelling[forward_BL],
            "backward_tokens": backward_BL,
            "backward_targets": self._predicted(self._word(sentence_BL, last_BL - at_BL - 1, last_BL)),
            "backward_characters": self._spelling[backward_BL],
        }

    def _word(self, sentence_BL: np.ndarray, at_BL: np.ndarray, last_BL: np.ndarray) -> np.ndarray:
        """int32 ids of the words at positions 0 to `last` of the sentences."""
        raw_BL = np.minimum(self._sentences[sentence_BL] + np.maximum(at_BL - 1, 0), len(self._tokens) - 1)
        word_BL = np.asarray(self._tokens[raw_BL], np.int32)
        word_BL = np.where(at_BL == last_BL, np.int32(self._vocabulary.eos), word_BL)
        return np.where(at_BL == 0, np.int32(self._vocabulary.bos), word_BL)

    def _predicted(self, word_BL: np.ndarray) -> np.ndarray:
        """The ids, unk for those that no softmax has."""
        known = word_BL < self._vocabulary.shortlist
        return word_BL if known.all() else np.where(known, word_BL, np.int32(self._vocabulary.unk))

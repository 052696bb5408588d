"""Windows of several languages: continuous streams of one, and translations (XLM, Lample & Conneau 2019, Sec. 3).

The streams and pairs are as the released code cuts them (src/data/dataset.py; concat_batches of src/utils.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.languages import NONE, smoothed
from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.split import Split
from plmjax.data.templates import Template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import SENTENCE_FIELDS, Window, Windows, index_in, too_small
from plmjax.errors import UserError

SEPARATORS = 4  # of translations: each side stands between two

LANGUAGE_FIELDS = SENTENCE_FIELDS | {"translation"}


@dataclass(slots=True, unsafe_hash=True)
class LanguageStreams:
    """Streams of one language each: any number of sentences, eos after each, cut every `length` tokens.

    In training the language i has the share q_i ~ p_i^alpha of the windows, p_i being its share of the text; the
    validation split is read as it is, once. token_types are ids of languages. A tail shorter than a window is left out.

    Attributes:
        alpha: 1 leaves the shares as they are, 0 or -1 makes them alike (XLM: .5; its larger models: .7).
        overlap: tokens that a window shares with the next; 1 for causal LM.
    """

    gives: ClassVar[frozenset[str]] = LANGUAGE_FIELDS

    alpha: float = 0.5
    overlap: int = 0

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "Shared":
        """Cuts a split's languages; nothing depends on the seed.

        Raises:
            UserError: the split has no languages or is shorter than a window, the overlap leaves nothing, or the
                vocabulary has no eos.
        """
        if not 0 <= self.overlap < length:
            raise UserError(
                f"Streams of {length} tokens can't overlap by {self.overlap}: take an overlap from 0 to {length - 1}."
            )
        parts = [
            part
            for language in range(len(spoken(split)))
            if len(part := Stream(split, vocabulary, length, self.overlap, language))
        ]
        if not parts:
            raise too_small(split, length, "less text in each language")
        return Shared(parts, self._shares(split, parts))

    def _shares(self, split: Split, parts: Sequence[Windows]) -> np.ndarray | None:
        return None if split.name == "validation" else smoothed([len(part) for part in parts], checked(self.alpha))


@dataclass(slots=True, unsafe_hash=True)
class TranslationPairs:
    """`</s> A </s> </s> B </s>`: positions start again at 0 with B's first </s>, where the language changes too.

    The pairs of each two languages have the share q_i ~ p_i^alpha, as in LanguageStreams. Pairs that do not fit into
    the window are left out, as in the released code.

    Attributes:
        alpha: as LanguageStreams'.
    """

    gives: ClassVar[frozenset[str]] = LANGUAGE_FIELDS

    alpha: float = 0.5

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "Shared":
        """The translations of a split; nothing depends on the seed.

        Raises:
            UserError: the split has no languages or no translation that fits, or the vocabulary has no eos.
        """
        fitting = cached_index(split, f"translations/{length}", lambda: fitting_pairs(split, length))
        if not len(fitting):
            raise UserError(
                f"The {split.name} split has no translations that fit into {length} tokens: give some, as "
                "--input=en-hi=FILE,FILE, or a longer length."
            )
        pairs = np.asarray(split.document_languages)[fitting]
        parts = [
            TranslationPairWindows(split, vocabulary, length, fitting[(pairs == two).all(1)])
            for two in np.unique(pairs, axis=0)
        ]
        shares = None if split.name == "validation" else smoothed([len(part) for part in parts], checked(self.alpha))
        return Shared(parts, shares)


@dataclass(slots=True, unsafe_hash=True)
class StreamsAndTranslations:
    """Streams and translations, for MLM + TLM. The released code alternates batches of the two; here they are mixed.

    Attributes:
        alpha: as LanguageStreams'.
        translations: share of the training examples that are translations.
    """

    gives: ClassVar[frozenset[str]] = LANGUAGE_FIELDS

    alpha: float = 0.5
    translations: float = 0.5

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "Shared":
        """Raises UserError as the two do, and for a share that leaves one of them out."""
        if not 0 < self.translations < 1:
            raise UserError(
                f"objective.window.translations is {self.translations}: give a share between 0 and 1, or choose "
                "LanguageStreams or TranslationPairs alone."
            )
        streams = LanguageStreams(self.alpha).build(split, vocabulary, length, seed)
        pairs = TranslationPairs(self.alpha).build(split, vocabulary, length, seed)
        shares = None if split.name == "validation" else np.array([1 - self.translations, self.translations])
        return Shared([streams, pairs], shares)


class Shared(Windows):
    """Several windows in stated shares, one part after the other: the loader's permutation mixes them.

    An epoch is as long as it takes for the part that is favoured least to be read once; the others are read again and
    again, from their start. The share of a part in an epoch is then exact, up to one example. `shares` None: each once.
    """

    def __init__(self, parts: Sequence[Windows], shares: np.ndarray | None):
        self.length, self.padding = parts[0].length, parts[0].padding
        self._parts = list(parts)
        sizes = np.array([len(part) for part in parts], np.int64)
        if shares is not None:
            total = np.max(sizes / shares)
            sizes = np.maximum(sizes, np.round(shares * total).astype(np.int64))
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Window:
        number = int(np.searchsorted(self._starts, index_in(index, len(self)), side="right")) - 1
        part = self._parts[number]
        return part[(index - int(self._starts[number])) % len(part)]


class Stream(Windows):
    """The windows of one language: eos, then its sentences, each with eos behind it."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int, overlap: int, language: int):
        vocabulary.require("eos")
        assert vocabulary.eos is not None and split.document_languages is not None
        self.length, self.padding = length, vocabulary.padding
        self._tokens, self._eos, self._language = split.tokens, vocabulary.eos, language
        languages = np.asarray(split.document_languages)
        is_own = (languages[:, 0] == language) & (languages[:, 1] == NONE)
        first, last = split.document_sentences[:-1][is_own], split.document_sentences[1:][is_own]
        sentences = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)] or [first])
        starts = np.asarray(split.sentence_starts)
        self._begins = starts[sentences]  # of each sentence in the store
        # Where each starts in the stream, whose first token is eos; then the stream's end.
        self._starts = 1 + np.concatenate([[0], np.cumsum(starts[sentences + 1] - self._begins + 1)])
        self._stride = length - overlap
        total = int(self._starts[-1]) if len(sentences) else 0
        self._count = (total - overlap) // self._stride if total >= length else 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Window:
        position_L = index_in(index, self._count) * self._stride + np.arange(self.length)
        sentence_L = np.searchsorted(self._starts, position_L, side="right") - 1  # -1: the first eos
        is_eos_L = (sentence_L < 0) | (position_L + 1 == self._starts[sentence_L + 1])
        raw_L = np.where(is_eos_L, 0, self._begins[sentence_L] + position_L - self._starts[sentence_L])
        return {
            "tokens": np.where(is_eos_L, self._eos, self._tokens[raw_L]).astype(np.int32),
            "token_types": np.full(self.length, self._language, np.int32),
            "positions": np.arange(self.length, dtype=np.int32),
            "segments": np.ones(self.length, np.int32),
            "translation": np.array(0, np.int32),
        }


class TranslationPairWindows(Windows):
    """Translations, by the numbers of their documents."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int, documents: np.ndarray):
        vocabulary.require("eos")
        assert vocabulary.eos is not None
        self.length, self.padding = length, vocabulary.padding
        self._split, self._documents = split, documents
        eos = (vocabulary.eos,)
        self._template = Template(eos, eos + eos, eos)

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Window:
        split = self._split
        document = int(self._documents[index_in(index, len(self))])
        sentence = int(split.document_sentences[document])
        start, middle, end = (int(position) for position in split.sentence_starts[sentence : sentence + 3])
        assert split.document_languages is not None
        left, right = (int(language) for language in split.document_languages[document])
        first, last = middle - start + 2, end - middle + 2  # tokens of each side with its separators
        tokens_L = np.full(self.length, self.padding, np.int32)
        tokens_L[: first + last] = self._template.pack(split.tokens[start:middle], split.tokens[middle:end]).tokens
        position_L = np.arange(self.length, dtype=np.int32)
        is_second_L = position_L >= first
        is_real_L = position_L < first + last
        return {
            "tokens": tokens_L,
            "token_types": np.where(is_second_L & is_real_L, right, left).astype(np.int32),
            "positions": (np.where(is_second_L, position_L - first, position_L) * is_real_L).astype(np.int32),
            "segments": is_real_L.astype(np.int32),
            "translation": np.array(1, np.int32),
        }


def fitting_pairs(split: Split, length: int) -> np.ndarray:
    """int64, the documents that are translations and fit with their separators."""
    spoken(split)
    assert split.document_languages is not None
    tokens = np.diff(np.asarray(split.document_starts))
    is_pair = np.asarray(split.document_languages)[:, 1] != NONE
    return np.flatnonzero(is_pair & (tokens + SEPARATORS <= length)).astype(np.int64)


def spoken(split: Split) -> tuple[str, ...]:
    """The split's languages. Raises UserError where its sources named none."""
    if split.document_languages is None:
        raise UserError(
            f"The {split.name} split has no languages: prepare it from sources that name their language, as "
            "--input=en=PATH --input=hi=PATH."
        )
    return split.languages


def checked(alpha: float) -> float:
    """Raises UserError unless it is -1 or at least 0."""
    if alpha != -1 and alpha < 0:
        raise UserError(f"objective.window.alpha is {alpha}: give 0 or more, or -1 to weight all languages alike.")
    return alpha

"""Masking strategies: masked LM predicts single tokens, whole words or runs of words. One class each, by name.

A strategy gives span ids: the tokens of one span share one draw of what becomes of them (mask, random, kept).

Legend: L length.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.noise import masking, ngrams, phrases, span_masking

LAST_WORD = 8  # pieces that there is room for of a word that passes the budget


class MaskableText(NamedTuple):
    """One example as a strategy sees it.

    Attributes:
        tokens_L: int32 ids.
        candidates_L, starts_L, is_real_L: bool; ordinary and unknown tokens, first tokens of words (None where the
            tokenizer can't tell), and everything but padding.
        vocabulary: see data.tokenizers.vocabulary.
        phrases_L: int32 marks of phrases, where the window gives them; see data.sources.phrases.
    """

    tokens_L: jax.Array
    candidates_L: jax.Array
    starts_L: jax.Array | None
    is_real_L: jax.Array
    vocabulary: Vocabulary
    phrases_L: jax.Array | None = None

    @classmethod
    def of(cls, example: Mapping[str, jax.Array], vocabulary: Vocabulary) -> "MaskableText":
        """The text of a window's fields.

        The unknown token is a word like others: BERT's, ALBERT's and ELECTRA's codes pass over [CLS] and [SEP] alone
        (google-research/bert, create_pretraining_data.py:347-349; albert, create_pretraining_data.py:436-439; electra,
        pretrain/pretrain_helpers.py:135, [MASK] as well).
        """
        tokens_L, segments_L = example["tokens"], example["segments"]
        ordinary, starts = ~vocabulary.is_special, vocabulary.word_start
        if vocabulary.unk is not None:
            is_unknown = np.arange(len(ordinary)) == vocabulary.unk
            ordinary, starts = ordinary | is_unknown, None if starts is None else starts | is_unknown
        candidates_L = (segments_L > 0) & jnp.asarray(ordinary)[tokens_L]
        starts_L = None if starts is None else jnp.asarray(starts)[tokens_L]
        return cls(tokens_L, candidates_L, starts_L, segments_L > 0, vocabulary, example.get("phrases"))


class MaskingStrategy(Protocol):
    """Chooses the tokens that masked LM predicts."""

    def check(self, vocabulary: Vocabulary) -> None:
        """UserError for settings that are wrong or that the vocabulary can't serve."""

    def budget(self, text: MaskableText, rate: float) -> jax.Array:
        """How many tokens to choose, as `span_ids` takes it."""

    def max_predictions(self, length: int, rate: float) -> int:
        """The largest budget of a text of `length` tokens."""

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        """int32 [L]: 0 where a token is not chosen, else 1 + the position of the first token of its span."""


@dataclass(slots=True)
class TokenMasking:
    """Single tokens, every set of them as likely (BERT)."""

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""

    def budget(self, text: MaskableText, rate: float) -> jax.Array:
        counts = masking.prediction_counts(text.tokens_L.shape[0], rate)
        return jnp.asarray(counts)[jnp.sum(text.is_real_L)]

    def max_predictions(self, length: int, rate: float) -> int:
        return masking.max_predictions(length, rate)

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        return masking.token_span_ids(masking.choose_tokens(key, text.candidates_L, budget))


@dataclass(slots=True)
class AnyTokenMasking(TokenMasking):
    """XLM's masking: any token but the first of the window, separators too.

    The released code tosses a coin for each token; here as many as it takes on average are chosen. With `alpha` above 0
    a token's chance goes with count^-alpha, count being how often it is in the training text, so that rare tokens are
    predicted more; what the text does not have, separators among it, is then left alone (mask_scores of its code).
    """

    alpha: float = 0.0  # sample_alpha of the released code

    def check(self, vocabulary: Vocabulary) -> None:
        if self.alpha < 0:
            raise UserError(f"objective.masking.strategies.any_tokens.alpha is {self.alpha}; give 0 or more.")
        if self.alpha and vocabulary.token_counts is None:
            raise UserError(
                "objective.masking.strategies.any_tokens.alpha needs the counts of a token store's text; set it to 0."
            )

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        candidates_L = text.is_real_L & (jnp.arange(text.tokens_L.shape[0]) > 0)
        if not self.alpha:
            return masking.token_span_ids(masking.choose_tokens(key, candidates_L, budget))
        counts = np.asarray(text.vocabulary.token_counts, np.float64)
        weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -self.alpha, 0.0)
        weights_L = jnp.asarray(weights / weights.max(), jnp.float32)[text.tokens_L]
        candidates_L &= weights_L > 0
        return masking.token_span_ids(masking.choose_weighted(key, candidates_L, weights_L, budget))


@dataclass(slots=True)
class EveryTokenMasking(TokenMasking):
    """Fairseq's masking, RoBERTa's: any token, <s> and </s> too; a fraction of a token is one more with that chance.

    Source: facebookresearch/fairseq, fairseq/data/mask_tokens_dataset.py:141-148.
    """

    def budget(self, text: MaskableText, rate: float) -> jax.Array:
        """float32: how many tokens to choose on average."""
        return rate * jnp.sum(text.is_real_L).astype(jnp.float32)

    def max_predictions(self, length: int, rate: float) -> int:
        return min(length, math.floor(rate * length) + 1)

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        choice_key, count_key = jax.random.split(key)
        count = jnp.floor(budget + jax.random.uniform(count_key)).astype(jnp.int32)
        return masking.token_span_ids(masking.choose_tokens(choice_key, text.is_real_L, count))


@dataclass(slots=True)
class WholeWordMasking(TokenMasking):
    """Whole words in random order; each token has its own draw, as BERT's whole-word code."""

    def check(self, vocabulary: Vocabulary) -> None:
        require_words("whole_words", vocabulary)

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        return masking.token_span_ids(masking.choose_words(key, text.candidates_L, text.starts_L, budget))


@dataclass(slots=True)
class NGramMasking(TokenMasking):
    """Runs of whole words, shorter ones likelier (ALBERT); each token has its own draw, as released."""

    longest: int = 3  # words in a run
    favour_shorter: bool = True  # a run of n words is likely as 1 / n; False: the other way round

    def check(self, vocabulary: Vocabulary) -> None:
        require_words("ngrams", vocabulary)
        if self.longest < 1:
            raise UserError(f"objective.masking.strategies.ngrams.longest is {self.longest}; give at least 1 word.")

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        shares = ngrams.ngram_shares(self.longest, self.favour_shorter)
        return masking.token_span_ids(ngrams.choose_ngrams(key, text.candidates_L, text.starts_L, budget, shares))


@dataclass(slots=True)
class NGramWindowMasking(TokenMasking):
    """DeBERTa's released masking: a run of n whole words in each n * `window` words, cut from the left at the budget.

    As NGramMaskGenerator (microsoft/DeBERTa, apps/tasks/mlm_task.py:41-120), which never masks [UNK]; the paper says
    spans of up to three words. The last word is masked whole, past the budget, with up to LAST_WORD pieces. With
    `longest` 1, as version 3 has it (rtd_task.py:145), words are not kept whole: one token of each window is masked.
    """

    longest: int = 3  # words in a run; a run of n is likely as 1 / n
    window: int = 6  # int(1 / .15)

    def check(self, vocabulary: Vocabulary) -> None:
        if self.longest < 1 or self.window < 1:
            raise UserError(
                f"objective.masking.strategies.ngram_windows.longest is {self.longest} and its window {self.window}; "
                "give at least 1 word each."
            )
        if self.longest > 1:
            require_words("ngram_windows", vocabulary)

    def max_predictions(self, length: int, rate: float) -> int:
        most = masking.max_predictions(length, rate)
        return most if self.longest == 1 else min(length, most + LAST_WORD - 1)

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        candidates_L, starts_L = text.candidates_L, text.starts_L
        if text.vocabulary.unk is not None:
            candidates_L = candidates_L & (text.tokens_L != text.vocabulary.unk)
        if self.longest == 1:
            starts_L = jnp.ones_like(candidates_L)
        shares = ngrams.ngram_shares(self.longest)
        chosen_L = ngrams.choose_ngrams_by_window(key, candidates_L, starts_L, budget, shares, self.window)
        return masking.token_span_ids(chosen_L & (jnp.cumsum(chosen_L) < budget + LAST_WORD))


class CandidateBudget:
    """The budget of SpanBERT's maskings: a share of the ordinary tokens."""

    __slots__ = ()

    def budget(self, text: MaskableText, rate: float) -> jax.Array:
        return jnp.asarray(span_masking.span_budgets(text.tokens_L.shape[0], rate))[jnp.sum(text.candidates_L)]

    def max_predictions(self, length: int, rate: float) -> int:
        return int(span_masking.span_budgets(length, rate)[-1])


@dataclass(slots=True)
class SpanMasking(CandidateBudget):
    """Spans of whole words with geometric lengths; the tokens of a span share one draw (SpanBERT)."""

    stop: float = 0.2  # chance that a span ends after each of its words
    longest: int = 10  # words in a span

    def check(self, vocabulary: Vocabulary) -> None:
        require_words("spans", vocabulary)
        if not 0 < self.stop < 1 or self.longest < 1:
            raise UserError(
                f"objective.masking.strategies.spans.stop is {self.stop} and its longest {self.longest}; the first "
                "must lie between 0 and 1, the second be at least 1."
            )

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        shares = span_masking.span_shares(self.stop, self.longest)
        chosen_L = span_masking.choose_spans(key, text.candidates_L, text.starts_L, budget, shares)
        return span_masking.run_span_ids(chosen_L)


@dataclass(slots=True)
class PhraseMasking(CandidateBudget):
    """A tagger's phrases and whole words, one or the other at each draw; the tokens of each share one draw.

    SpanBERT's Table 6: named entities, noun phrases. The window must give `phrases`.
    """

    share: float = 0.5  # chance that a draw is of a phrase, not a word

    def check(self, vocabulary: Vocabulary) -> None:
        require_words("phrases", vocabulary)
        if not 0 <= self.share <= 1:
            raise UserError(f"objective.masking.strategies.phrases.share is {self.share}; it must lie between 0 and 1.")

    def span_ids(self, key: jax.Array, text: MaskableText, budget: jax.Array) -> jax.Array:
        return phrases.choose_phrases(key, text.candidates_L, text.starts_L, text.phrases_L, budget, self.share)


@dataclass(slots=True)
class MaskingStrategies:
    """The settings of the strategies that have some; `masking.strategy` names the one in use."""

    any_tokens: AnyTokenMasking = field(default_factory=AnyTokenMasking)
    ngrams: NGramMasking = field(default_factory=NGramMasking)
    ngram_windows: NGramWindowMasking = field(default_factory=NGramWindowMasking)
    spans: SpanMasking = field(default_factory=SpanMasking)
    phrases: PhraseMasking = field(default_factory=PhraseMasking)

    def named(self, name: str) -> MaskingStrategy:
        """UserError where there is none of that name."""
        found: dict[str, MaskingStrategy] = {
            "tokens": TokenMasking(),
            "any_tokens": self.any_tokens,
            "every_token": EveryTokenMasking(),
            "whole_words": WholeWordMasking(),
            "ngrams": self.ngrams,
            "ngram_windows": self.ngram_windows,
            "spans": self.spans,
            "phrases": self.phrases,
        }
        if name not in found:
            raise UserError(f"objective.masking.strategy is {name!r}; it must be one of {', '.join(found)}.")
        return found[name]


def require_words(strategy: str, vocabulary: Vocabulary) -> None:
    """UserError where the tokenizer can't tell where words start."""
    if vocabulary.word_start is None:
        raise UserError(
            f"objective.masking.strategy is {strategy!r}, but this tokenizer can't tell where a word starts; "
            "set it to 'tokens' or choose another tokenizer."
        )

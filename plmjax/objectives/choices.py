"""How masked LM chooses what to predict: single tokens, whole words, runs of words. One class each, by name.

A choice gives units: the tokens of a unit share one draw of what becomes of them (mask, random, kept).

Legend: L length.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.errors import UserError
from plmjax.noise import masking, ngrams


class Text(NamedTuple):
    """One example as a choice sees it: int32 [L] ids; bool [L] ordinary tokens, first tokens of words, no padding."""

    tokens_L: jax.Array
    candidates_L: jax.Array
    starts_L: jax.Array | None
    is_real_L: jax.Array

    @classmethod
    def of(cls, tokens_L: jax.Array, segments_L: jax.Array, vocabulary: Any) -> "Text":
        """The text of a window's fields."""
        candidates_L = (segments_L > 0) & ~jnp.asarray(vocabulary.is_special)[tokens_L]
        starts_L = None if vocabulary.word_start is None else jnp.asarray(vocabulary.word_start)[tokens_L]
        return cls(tokens_L, candidates_L, starts_L, segments_L > 0)


class Choice(Protocol):
    """A way to choose tokens."""

    def check(self, vocabulary: Any) -> None:
        """UserError for settings that are wrong or that the vocabulary can't serve."""

    def counts(self, length: int, rate: float) -> np.ndarray:
        """int32 [length + 1]: tokens to choose in an example of n real tokens."""

    def units(self, key: jax.Array, text: Text, budget: jax.Array) -> jax.Array:
        """int32 [L]: 0 where a token is not chosen, else 1 + the place of the first token of its unit."""


@dataclass(slots=True)
class Tokens:
    """Single tokens, every set of them as likely (BERT)."""

    def check(self, vocabulary: Any) -> None:
        """Any vocabulary will do."""

    def counts(self, length: int, rate: float) -> np.ndarray:
        return masking.prediction_counts(length, rate)

    def units(self, key: jax.Array, text: Text, budget: jax.Array) -> jax.Array:
        return masking.units_of_tokens(masking.choose_tokens(key, text.candidates_L, budget))


@dataclass(slots=True)
class AnyTokens(Tokens):
    """XLM's choice: any token but the first of the window, separators too.

    The released code tosses a coin for each token; here as many as it takes on average are chosen.
    """

    def units(self, key: jax.Array, text: Text, budget: jax.Array) -> jax.Array:
        candidates_L = text.is_real_L & (jnp.arange(text.tokens_L.shape[0]) > 0)
        return masking.units_of_tokens(masking.choose_tokens(key, candidates_L, budget))


@dataclass(slots=True)
class WholeWords(Tokens):
    """Whole words in random order; each token has its own draw, as BERT's whole-word code."""

    def check(self, vocabulary: Any) -> None:
        require_words("whole_words", vocabulary)

    def units(self, key: jax.Array, text: Text, budget: jax.Array) -> jax.Array:
        return masking.units_of_tokens(masking.choose_words(key, text.candidates_L, text.starts_L, budget))


@dataclass(slots=True)
class NGrams(Tokens):
    """Runs of whole words, shorter ones likelier (ALBERT); each token has its own draw, as released."""

    longest: int = 3  # words in a run
    favour_shorter: bool = True  # a run of n words is likely as 1 / n; False: the other way round

    def check(self, vocabulary: Any) -> None:
        require_words("ngrams", vocabulary)
        if self.longest < 1:
            raise UserError(f"objective.masking.ngrams.longest is {self.longest}; give at least 1 word.")

    def units(self, key: jax.Array, text: Text, budget: jax.Array) -> jax.Array:
        shares = ngrams.ngram_shares(self.longest, self.favour_shorter)
        return masking.units_of_tokens(ngrams.choose_ngrams(key, text.candidates_L, text.starts_L, budget, shares))


@dataclass(slots=True)
class Choices:
    """The settings of the choices that have some; `masking.choice` names the one that counts."""

    ngrams: NGrams = field(default_factory=NGrams)

    def named(self, name: str) -> Choice:
        """UserError where there is none of that name."""
        found: dict[str, Choice] = {
            "tokens": Tokens(),
            "any_tokens": AnyTokens(),
            "whole_words": WholeWords(),
            "ngrams": self.ngrams,
        }
        if name not in found:
            raise UserError(f"objective.masking.choice is {name!r}; it must be one of {', '.join(found)}.")
        return found[name]


def require_words(choice: str, vocabulary: Any) -> None:
    """UserError where the tokenizer can't tell where words start."""
    if vocabulary.word_start is None:
        raise UserError(
            f"objective.masking.choice is {choice!r}, but this tokenizer can't tell where a word starts; "
            "set it to 'tokens' or choose another tokenizer."
        )

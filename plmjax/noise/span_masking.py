"""SpanBERT's masking: spans of whole words of geometric length (Joshi et al. 2020, Sec. 3.1; released code).

All functions take one example and have static shapes; vmap them over a batch.

Legend: L length, S lengths of a span, M masked positions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.noise.masking import word_numbers


def span_shares(stop: float, longest: int) -> np.ndarray:
    """float64 [S]: how likely a span of 1 ... `longest` words is, geometric with `stop`, renormalised over these.

    Mean 3.797 for .2 and 10. Cutting longer spans to 10 instead, as the paper's words may be read, would give 4.46.
    """
    shares = stop * (1 - stop) ** np.arange(longest)
    return shares / shares.sum()


def span_budgets(length: int, rate: float) -> np.ndarray:
    """int32 [length + 1]: tokens to mask among n ordinary ones, rate * n rounded up in Python's floats, as released."""
    return np.array([math.ceil(rate * n) for n in range(length + 1)], np.int32)


def choose_spans(
    key: jax.Array, candidates_L: jax.Array, starts_L: jax.Array, budget: jax.Array, shares_S: np.ndarray
) -> jax.Array:
    """bool [L]: spans of whole words until `budget` tokens are chosen; the last is cut there, even inside a word.

    A span begins with the word of a token drawn among those not yet chosen, takes as many words as its drawn length
    says, and ends with the text (a special token parts texts). Spans may overlap; what is chosen counts once.
    """
    length = candidates_L.shape[0]
    order_key, length_key = jax.random.split(key)
    # A random order in which chosen tokens are passed over draws each anchor uniformly from the others.
    rank_L = jnp.where(candidates_L, jax.random.bits(order_key, (length,)) >> 1, jnp.uint32(2**32 - 1))
    anchors_L = jnp.argsort(rank_L)
    words_L = 1 + jax.random.choice(length_key, len(shares_S), (length,), p=jnp.asarray(shares_S, jnp.float32))
    word_L = word_numbers(candidates_L, starts_L)
    text_L = jnp.cumsum(~candidates_L)
    count = jnp.sum(candidates_L)

    def more(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        number, _, left = state
        return (number < count) & (left > 0)

    def take(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        number, chosen_L, left = state
        anchor = anchors_L[number]
        first = word_L[anchor]
        in_span_L = candidates_L & (word_L >= first) & (word_L < first + words_L[number]) & (text_L == text_L[anchor])
        new_L = in_span_L & ~chosen_L & ~chosen_L[anchor]
        new_L = new_L & (jnp.cumsum(new_L) <= left)
        return number + 1, chosen_L | new_L, left - jnp.sum(new_L)

    start = (jnp.zeros((), jnp.int32), jnp.zeros(length, jnp.bool_), jnp.asarray(budget, jnp.int32))
    return jax.lax.while_loop(more, take, start)[1]


def run_span_ids(chosen_L: jax.Array) -> jax.Array:
    """int32 [L]: 1 + the position of the first token of the run of chosen tokens, 0 where none is chosen.

    Spans that overlap or touch are one run, as they are merged in the released code.
    """
    length = chosen_L.shape[0]
    begins_L = chosen_L & ~jnp.concatenate([jnp.zeros(1, jnp.bool_), chosen_L[:-1]])
    first_L = jax.lax.cummax(jnp.where(begins_L, jnp.arange(length), -1))
    return jnp.where(chosen_L, first_L + 1, 0)


class Boundaries(NamedTuple):
    """For each masked position, [M]: int32 positions before and after its run, its offset in it; float32 weights."""

    left: jax.Array
    right: jax.Array
    offsets: jax.Array
    weights: jax.Array


def boundaries(
    span_ids_L: jax.Array, candidates_L: jax.Array, positions_M: jax.Array, weights_M: jax.Array, max_offset: int
) -> Boundaries:
    """Finds the tokens beside each run, from which its masked tokens are predicted (Sec. 3.2).

    Weight 0 has a token whose run has no ordinary token on either side (it touches an end of the text), and one at
    offset `max_offset` or later, as in the released code.

    span_ids_L, candidates_L: see choose_spans; positions_M, weights_M: of `masking.Masked`.
    """
    length = span_ids_L.shape[0]
    # The first position after the run: the least one to the right that is not chosen.
    after_L = jax.lax.cummin(jnp.where(span_ids_L == 0, jnp.arange(length), length), reverse=True)
    left_M, right_M = span_ids_L[positions_M] - 2, after_L[positions_M]
    inside_M = (left_M >= 0) & (right_M < length)
    left_M, right_M = jnp.clip(left_M, 0, length - 1), jnp.clip(right_M, 0, length - 1)
    ordinary_M = inside_M & candidates_L[left_M] & candidates_L[right_M]
    offsets_M = jnp.maximum(positions_M - left_M - 1, 0)
    counted_M = ordinary_M & (offsets_M < max_offset) & (weights_M > 0)
    return Boundaries(left_M, right_M, offsets_M, counted_M.astype(jnp.float32))

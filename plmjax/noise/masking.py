"""BERT's masking: the tokens to predict, and their replacements (Devlin et al. 2018, Sec. 3.1 and A.1).

All functions take one example and have static shapes; vmap them over a batch.

Legend: L length, M masked positions per example, V vocabulary rows, R ordinary tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Masked(NamedTuple):
    """A masked example. Entries of the last three past the number of predictions are 0.

    tokens: int32 [L]; masked_positions: int32 [M], ascending; targets: int32 [M], the original tokens there; weights:
    float32 [M], 1 where a token is to be predicted.
    """

    tokens: jax.Array
    masked_positions: jax.Array
    targets: jax.Array
    weights: jax.Array


def prediction_counts(length: int, rate: float) -> np.ndarray:
    """int32 [length + 1]: tokens to predict in an example of n real tokens, special ones included.

    max(1, round(rate * n)), half to even, in Python's floats, as the released code of BERT counts; 0 for an empty
    example.
    """
    return np.array([0] + [max(1, round(rate * n)) for n in range(1, length + 1)], np.int32)


def max_predictions(length: int, rate: float) -> int:
    """M, the most tokens that `prediction_counts` asks for: 19 at length 128 and 77 at 512 for a rate of .15."""
    return int(prediction_counts(length, rate)[-1])


def choose_tokens(key: jax.Array, candidates_L: jax.Array, budget: jax.Array) -> jax.Array:
    """bool [L]: `budget` of the candidates (all of them if there are fewer), every subset as likely."""
    length = candidates_L.shape[0]
    order_L = shuffled(key, candidates_L)
    taken_L = jnp.arange(length) < jnp.minimum(budget, jnp.sum(candidates_L))
    return jnp.zeros(length, jnp.bool_).at[order_L].set(taken_L)


def choose_weighted(key: jax.Array, candidates_L: jax.Array, weights_L: jax.Array, budget: jax.Array) -> jax.Array:
    """bool [L]: `budget` of the candidates (all if there are fewer), drawn one by one without putting back.

    Each draw takes a candidate with the probability of its weight (float, above 0 at candidates) among those left. The
    largest sums of log weight and Gumbel noise are such draws (Yellott 1977).
    """
    length = candidates_L.shape[0]
    noise_L = jax.random.gumbel(key, (length,))
    score_L = jnp.where(candidates_L, jnp.log(jnp.where(candidates_L, weights_L, 1.0)) + noise_L, -jnp.inf)
    taken_L = jnp.arange(length) < jnp.minimum(budget, jnp.sum(candidates_L))
    return jnp.zeros(length, jnp.bool_).at[jnp.argsort(-score_L)].set(taken_L)


def choose_words(key: jax.Array, candidates_L: jax.Array, starts_L: jax.Array, budget: jax.Array) -> jax.Array:
    """bool [L]: whole words in random order, as long as they fit the budget; a word that would pass it is skipped.

    This is the rule of BERT's whole-word code, without its loop over words: see `_take_while_fitting`.
    """
    length = candidates_L.shape[0]
    word_L = word_numbers(candidates_L, starts_L)  # L: no word; dropped by the scatter, False from the gather
    pieces_W = jnp.zeros(length, jnp.int32).at[word_L].add(1, mode="drop")
    order_W = shuffled(key, pieces_W > 0)
    taken_W = jnp.zeros(length, jnp.bool_).at[order_W].set(_take_while_fitting(pieces_W[order_W], budget))
    return taken_W.at[word_L].get(mode="fill", fill_value=False)


def word_numbers(candidates_L: jax.Array, starts_L: jax.Array) -> jax.Array:
    """int32 [L]: the number of each candidate's word, from 0, and L where there is no candidate.

    A word is a candidate that `starts_L` marks, or that follows no candidate, with the candidates after it up to the
    next such.
    """
    follows_L = jnp.concatenate([jnp.zeros(1, jnp.bool_), candidates_L[:-1]])
    word_L = jnp.cumsum(candidates_L & (starts_L | ~follows_L)) - 1
    return jnp.where(candidates_L, word_L, candidates_L.shape[0])


def token_span_ids(chosen_L: jax.Array) -> jax.Array:
    """int32 [L]: 1 + its own position for each chosen token, 0 for the others: every token is a span."""
    return jnp.where(chosen_L, jnp.arange(1, chosen_L.shape[0] + 1), 0)


def mask_tokens(
    key: jax.Array,
    tokens_L: jax.Array,
    span_ids_L: jax.Array,
    *,
    predictions: int,
    mask: int,
    non_special_R: jax.Array | np.ndarray,
    counts_R: np.ndarray | None = None,
    mask_share: float = 0.8,
    random_share: float = 0.1,
) -> Masked:
    """Replaces the chosen tokens, with one draw for each span, and lists them.

    tokens_L: int32; span_ids_L: int32, 0 where a token is not chosen (at most `predictions`, M, are), else 1 + the
        position of its span's first token; mask: the id of the mask token.
    mask_share, random_share: the shares that become the mask, and a draw from `non_special_R` (which may be the token
        itself, and is drawn for each token of a span); the rest keep their token.
    counts_R: the draw's weights; None: all are as likely.
    """
    length = tokens_L.shape[0]
    draw_key, token_key = jax.random.split(key)
    chosen_L = span_ids_L > 0
    draw_L = jax.random.uniform(draw_key, (length,))[span_ids_L - 1]
    if counts_R is None:
        index_L = jax.random.randint(token_key, (length,), 0, len(non_special_R))
    else:
        upto_R = np.cumsum(counts_R, dtype=np.float64)
        index_L = jnp.searchsorted(
            jnp.asarray(upto_R / upto_R[-1], jnp.float32), jax.random.uniform(token_key, (length,)), side="right"
        )
    random_L = jnp.asarray(non_special_R)[index_L]
    changed_L = jnp.where(draw_L < mask_share + random_share, random_L.astype(tokens_L.dtype), tokens_L)
    changed_L = jnp.where(draw_L < mask_share, jnp.asarray(mask, tokens_L.dtype), changed_L)
    positions_M = jnp.sort(jnp.where(chosen_L, jnp.arange(length), length))[:predictions]
    is_real_M = positions_M < length
    positions_M = jnp.where(is_real_M, positions_M, 0)
    return Masked(
        tokens=jnp.where(chosen_L, changed_L, tokens_L),
        masked_positions=positions_M.astype(jnp.int32),
        targets=jnp.where(is_real_M, tokens_L[positions_M], 0),
        weights=is_real_M.astype(jnp.float32),
    )


def shuffled(key: jax.Array, among_L: jax.Array) -> jax.Array:
    """The indices where `among_L` holds, in a uniformly random order, and then all others."""
    # 31 random bits: ties, which would go by position, are rarer than floats' 23 bits make them.
    rank_L = jax.random.bits(key, among_L.shape) >> 1
    return jnp.argsort(jnp.where(among_L, rank_L, jnp.uint32(2**32 - 1)))


def _take_while_fitting(sizes_W: jax.Array, budget: jax.Array) -> jax.Array:
    """bool [W]: goes through the sizes in order, taking each (positive) one that still fits the budget, skipping the
    others.

    In rounds: what is larger than the budget left can never fit; of the rest take all up to the first that does not
    fit. Each round takes at least one or ends, and the budget left is then smaller than some size, so rounds are few.
    """

    def more(state):
        _, open_W, _ = state
        return jnp.any(open_W)

    def round_(state):
        taken_W, open_W, left = state
        total_W = jnp.cumsum(jnp.where(open_W, sizes_W, 0))
        fitting_W = open_W & (total_W <= left)
        left = left - jnp.sum(jnp.where(fitting_W, sizes_W, 0))
        return taken_W | fitting_W, open_W & ~fitting_W & (sizes_W <= left), left

    budget = jnp.asarray(budget, sizes_W.dtype)
    start = (jnp.zeros(sizes_W.shape, jnp.bool_), (sizes_W > 0) & (sizes_W <= budget), budget)
    return jax.lax.while_loop(more, round_, start)[0]

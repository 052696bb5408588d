"""ALBERT's masking: runs of one to three whole words (Lan et al. 2020, Sec. 3.1; released code).

All functions take one example and have static shapes; vmap them over a batch.

Legend: L length, W words, G lengths of a run.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.noise.masking import word_numbers


def ngram_shares(longest: int, favour_shorter: bool = True) -> np.ndarray:
    """float64 [G]: how likely a run of 1, 2, ... `longest` words is: proportional to 1 / n, or that turned round."""
    shares = 1.0 / np.arange(1, longest + 1)
    shares = shares if favour_shorter else shares[::-1]
    return shares / shares.sum()


def choose_ngrams(
    key: jax.Array, candidates_L: jax.Array, starts_L: jax.Array, budget: jax.Array, shares_G: np.ndarray
) -> jax.Array:
    """bool [L]: whole words in runs whose lengths are drawn from `shares_G`, as long as they fit the budget.

    As released: all words in a random order; from each a run of a drawn length begins, and takes the words after it (a
    run at the end has fewer, and [SEP] does not part it). A run that would pass the budget is tried shorter, and is
    left out when one word passes it too; a run that holds a token already taken is left out.
    """
    length = candidates_L.shape[0]
    word_L = word_numbers(candidates_L, starts_L)
    words = jnp.max(jnp.where(candidates_L, word_L, -1)) + 1
    pieces_W = jnp.zeros(length, jnp.int32).at[word_L].add(1, mode="drop")
    upto_W = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(pieces_W)])  # [W + 1]
    order_key, length_key = jax.random.split(key)
    order_W = jnp.argsort(jnp.where(pieces_W > 0, jax.random.bits(order_key, (length,)) >> 1, jnp.uint32(2**32 - 1)))
    drawn_W = 1 + jax.random.choice(length_key, len(shares_G), (length,), p=jnp.asarray(shares_G, jnp.float32))
    runs_G = jnp.arange(1, len(shares_G) + 1)

    def more(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        number, _, left = state
        return (number < words) & (left > 0)

    def take(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        number, taken_W, left = state
        first = order_W[number]
        ends_G = jnp.minimum(first + runs_G, words)
        sizes_G = upto_W[ends_G] - upto_W[first]
        fits_G = (runs_G <= drawn_W[number]) & (sizes_G <= left)
        run = jnp.max(jnp.where(fits_G, runs_G, 0))
        end = jnp.minimum(first + run, words)
        in_run_W = (jnp.arange(length) >= first) & (jnp.arange(length) < end)
        free = (run > 0) & ~jnp.any(taken_W & in_run_W)
        size = jnp.where(free, upto_W[end] - upto_W[first], 0)
        return number + 1, taken_W | (in_run_W & free), left - size

    start = (jnp.zeros((), jnp.int32), jnp.zeros(length, jnp.bool_), jnp.asarray(budget, jnp.int32))
    _, taken_W, _ = jax.lax.while_loop(more, take, start)
    return taken_W.at[word_L].get(mode="fill", fill_value=False)

"""Runs of one to three whole words: ALBERT's masking (Lan et al. 2020, Sec. 3.1; released code), and DeBERTa's.

All functions take one example and have static shapes; vmap them over a batch.

Legend: L length, W words, G lengths of a run, I windows.
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


def choose_ngrams_by_window(
    key: jax.Array, candidates_L: jax.Array, starts_L: jax.Array, budget: jax.Array, shares_G: np.ndarray, window: int
) -> jax.Array:
    """bool [L]: whole words in runs, one in each window of `window` words for each word of the run.

    As released for DeBERTa (microsoft/DeBERTa, apps/tasks/mlm_task.py:67-96): from the left, a run's length n is drawn
    from `shares_G`, and where it begins among the next n * `window` words; it may reach past these, and the next window
    begins after both. Words are then taken from the left until they have `budget` tokens, the last one whole, so that
    the end of a long text has none. Tokens that are no candidates do not part words.

    Args:
        starts_L: bool, first tokens of words; all true: runs are of tokens.
    """
    length = candidates_L.shape[0]
    is_first_L = jnp.cumsum(candidates_L) == 1
    word_L = jnp.where(candidates_L, jnp.cumsum(candidates_L & (starts_L | is_first_L)) - 1, length)
    words = jnp.max(jnp.where(candidates_L, word_L, -1)) + 1
    pieces_W = jnp.zeros(length, jnp.int32).at[word_L].add(1, mode="drop")
    windows = -(-length // window)
    size_key, place_key = jax.random.split(key)
    sizes_I = 1 + jax.random.choice(size_key, len(shares_G), (windows,), p=jnp.asarray(shares_G, jnp.float32))
    places_I = jax.random.uniform(place_key, (windows,))

    def one(offset: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        size, place = drawn
        context = jnp.minimum(size * window, words - offset)  # 0 when no word is left
        start = offset + jnp.minimum((place * context).astype(jnp.int32), context - 1)
        end = jnp.where(context > 0, jnp.minimum(start + size, words), start)
        return jnp.maximum(offset + context, end), (start, end)

    _, (starts_I, ends_I) = jax.lax.scan(one, jnp.zeros((), jnp.int32), (sizes_I, places_I))
    edges_W = jnp.zeros(length + 1, jnp.int32).at[starts_I].add(1).at[ends_I].add(-1)
    pieces_W = jnp.where(jnp.cumsum(edges_W)[:length] > 0, pieces_W, 0)
    taken_W = (pieces_W > 0) & (jnp.cumsum(pieces_W) - pieces_W < budget)
    return taken_W.at[word_L].get(mode="fill", fill_value=False)

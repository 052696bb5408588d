"""XLNet's partial prediction and order: which tokens to predict, and who sees whom while they are (Yang et al. 2019,
Secs. 2.2 and 2.3; released data_utils.py, `_sample_mask` and `_local_perm`).

All functions take one example and have static shapes; vmap them over a batch.

Legend: L length, M predicted tokens.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.noise.masking import choose_tokens


class Order(NamedTuple):
    """Who sees whom. perm_mask: bool [L, L], True where token l may not see token t; for h, the diagonal is no matter.
    positions: int32 [M], the predicted tokens from left to right, 0 past their number; weights: float32 [M], 1 where
    there is one."""

    perm_mask: jax.Array
    positions: jax.Array
    weights: jax.Array


def choose_spans(
    key: jax.Array,
    candidates_L: jax.Array,
    starts_L: jax.Array,
    budget: jax.Array | int,
    *,
    longest: int = 5,
    context: float = 6.0,
    whole_words: bool = True,
    backward: jax.Array | bool = False,
) -> jax.Array:
    """bool [L]: `budget` tokens (all candidates if there are fewer), in spans as far as they go.

    From the left, again and again: n is drawn with odds of 1/n; a context of `context` times the span surrounds a span
    of n words, which begins at the first word start after a uniform share of the context for n. The released code means
    to take n words, but looks for word starts at the span's first piece alone, and so takes n tokens from a word start:
    that is `whole_words=False`. Its context is of n tokens; here it is of n times the tokens of a mean word, lest long
    words use the budget up before the example ends. What spans leave of the budget goes to single tokens at random; the
    released code's may fall on special tokens, which are then not predicted.

    Args:
        candidates_L: tokens that may be predicted.
        starts_L: where a word (or a special token) starts, in reading order.
        budget: how many tokens to predict.
        longest: the largest n.
        context: tokens of context for a token of a span (mask_alpha / mask_beta).
        whole_words: n counts words, else tokens.
        backward: the text runs from its end to its start, and is to be read in its own direction.
    """
    span_key, fill_key = jax.random.split(key)
    if backward is not False:
        candidates_L, starts_L = (jnp.where(backward, x[::-1], x) for x in (candidates_L, starts_L))
    words = jnp.maximum(jnp.sum(candidates_L & starts_L), 1)
    of_word = jnp.maximum(jnp.sum(candidates_L) / words, 1) if whole_words else jnp.ones(())
    in_span_L = draw_spans(span_key, starts_L, of_word, longest, context, whole_words) & candidates_L
    in_span_L &= jnp.cumsum(in_span_L) <= budget
    left = budget - jnp.sum(in_span_L)
    chosen_L = in_span_L | choose_tokens(fill_key, candidates_L & ~in_span_L, left)
    return chosen_L if backward is False else jnp.where(backward, chosen_L[::-1], chosen_L)


def draw_spans(
    key: jax.Array, starts_L: jax.Array, unit: jax.Array, longest: int, context: float, whole_words: bool
) -> jax.Array:
    """bool [L]: in a span of `choose_spans`, no two of which touch; around a span of n lie n * `context` * `unit`
    tokens.

    One that would pass the example's end, where its last word may be cut, is left out.
    """
    length = starts_L.shape[0]
    # The position of each word start in order, then the length over and over: beyond the last there is none.
    position_W = jnp.sort(jnp.where(starts_L, jnp.arange(length), length))
    position_W = jnp.concatenate([position_W, jnp.full(longest + 1, length)])
    odds = 1 / np.arange(1, longest + 1)
    steps = int(length / (1 + context)) + 1  # a span of n and its context take (1 + context) n tokens at least
    n_key, share_key = jax.random.split(key)
    n_S = 1 + jax.random.choice(n_key, longest, (steps,), p=jnp.asarray(odds / odds.sum(), jnp.float32))
    share_S = jax.random.uniform(share_key, (steps,))

    def step(at: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        n, share = drawn
        around = jnp.floor(n * context * unit).astype(jnp.int32)
        before = jnp.floor(share * around).astype(jnp.int32)
        word = jnp.searchsorted(position_W, jnp.minimum(at + before, length))
        begin = position_W[word]
        end = position_W[word + n] if whole_words else begin + n
        fits = end < length
        # What no longer fits ends it.
        return jnp.where(fits, end + around - before, length), (
            jnp.where(fits, begin, length),
            jnp.where(fits, end, length),
        )

    _, (begin_S, end_S) = jax.lax.scan(step, jnp.int32(0), (n_S, share_S))
    edges = jnp.zeros(length + 1, jnp.int32).at[begin_S].add(1).at[end_S].add(-1)
    return jnp.cumsum(edges[:length]) > 0


def local_order(key: jax.Array, length: int, block: int) -> jax.Array:
    """int32 [L], each token's rank in the order: blocks of `block` tokens from left to right, uniform within each.

    The released code uses one permutation for all blocks of an example; here each has its own, and the last may be
    shorter.
    """
    of_block_L = jnp.arange(length) // block
    order_L = jnp.lexsort((jax.random.bits(key, (length,)), of_block_L))
    return jnp.zeros(length, jnp.int32).at[order_L].set(jnp.arange(length, dtype=jnp.int32))


def hide_by_order(order_L: jax.Array, chosen_L: jax.Array, special_L: jax.Array, predictions: int) -> Order:
    """The attention mask that hides from each token what it may not see while the chosen ones are predicted in order.

    Tokens that are neither chosen nor special come before all others: everything sees them and they see no chosen or
    special token. Chosen and special ones see those before them in the order; special ones see themselves, which chosen
    ones do not.

    Args:
        order_L: int32, a permutation of 0 to L - 1.
        chosen_L: to be predicted; one that is special too is not.
        special_L: separators and the class token.
        predictions: M, at least the number of predicted tokens.
    """
    length = order_L.shape[0]
    predicted_L = chosen_L & ~special_L
    late_L = chosen_L | special_L
    position_L = jnp.where(late_L, order_L, -1)
    reader_L = jnp.where(predicted_L, position_L, position_L + 1)
    perm_mask_LL = (reader_L[:, None] <= position_L[None, :]) & late_L[None, :]
    positions_M = jnp.sort(jnp.where(predicted_L, jnp.arange(length), length))[:predictions]
    is_real_M = positions_M < length
    return Order(perm_mask_LL, jnp.where(is_real_M, positions_M, 0).astype(jnp.int32), is_real_M.astype(jnp.float32))

"""XLNet's partial prediction and order: which tokens to predict, and who sees whom while they are (Yang et al. 2019,
Secs. 2.2 and 2.3; zihangdai/xlnet, data_utils.py: `_sample_mask` 331-392, `_local_perm` 579-643, `parser` 677-698).

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
    whole_words: bool = False,
    backward: jax.Array | bool = False,
) -> jax.Array:
    """bool [L]: `budget` tokens (all candidates if there are fewer), in spans as far as they go.

    From the left, again and again: n is drawn with odds of 1/n, and cut to what is left of the budget; a context of
    `context` times the span surrounds a span of n tokens, which begins at the first word start after a uniform share of
    the context for n. The first span that would reach the end stops it. What spans leave of the budget goes to single
    tokens at random. So the released code runs (data_utils.py 347-386).

    Its comments mean n words, but it looks for word starts at the span's first piece alone (371), and so takes n
    tokens, which are what the paper speaks of too (Sec. 2.3: "a consecutive span of L tokens"). `whole_words=True` is
    what the comments mean; the context is then n times the tokens of a mean word, lest long words use the budget up
    before the example ends. The released code chooses among special tokens too, and then does not predict them; here
    they are no candidates, so that the budget is met.

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
    n_S, share_S = draw_spans(span_key, len(starts_L), longest, context)
    in_span_L = place_spans(n_S, share_S, starts_L, budget, of_word, context, whole_words) & candidates_L
    in_span_L &= jnp.cumsum(in_span_L) <= budget
    left = budget - jnp.sum(in_span_L)
    chosen_L = in_span_L | choose_tokens(fill_key, candidates_L & ~in_span_L, left)
    return chosen_L if backward is False else jnp.where(backward, chosen_L[::-1], chosen_L)


def draw_spans(key: jax.Array, length: int, longest: int, context: float) -> tuple[jax.Array, jax.Array]:
    """n, int32 [S], and the share of the context before the span, float32 [S] in [0, 1), of as many spans as fit."""
    odds = 1 / np.arange(1, longest + 1)
    steps = int(length / (1 + context)) + 1  # a span of n and its context take (1 + context) n tokens at least
    n_key, share_key = jax.random.split(key)
    n_S = 1 + jax.random.choice(n_key, longest, (steps,), p=jnp.asarray(odds / odds.sum(), jnp.float32))
    return n_S, jax.random.uniform(share_key, (steps,))


def place_spans(
    n_S: jax.Array,
    share_S: jax.Array,
    starts_L: jax.Array,
    budget: jax.Array | int,
    unit: jax.Array | float,
    context: float,
    whole_words: bool,
) -> jax.Array:
    """bool [L]: in a span of `choose_spans`, no two of which touch; around a span of n lie n * `context` * `unit`
    tokens.

    One that would reach the example's end, where its last word may be cut, is left out, and so are all after it.
    """
    length = starts_L.shape[0]
    # The position of each word start in order, then the length over and over: beyond the last there is none.
    position_W = jnp.sort(jnp.where(starts_L, jnp.arange(length), length))
    position_W = jnp.concatenate([position_W, jnp.full(length + 1, length)])

    def step(
        carry: tuple[jax.Array, jax.Array], drawn: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        at, left = carry
        n, share = drawn
        n = jnp.minimum(n, left)
        around = jnp.floor(n * context * unit).astype(jnp.int32)
        before = jnp.floor(share * around).astype(jnp.int32)
        word = jnp.searchsorted(position_W, jnp.minimum(at + before, length))
        begin = position_W[word]
        end = position_W[word + n] if whole_words else begin + n
        fits = (end < length) & (left > 0)
        begin, end = jnp.where(fits, begin, length), jnp.where(fits, end, length)
        # What no longer fits ends it.
        return (jnp.where(fits, end + around - before, length), left - (end - begin)), (begin, end)

    _, (begin_S, end_S) = jax.lax.scan(step, (jnp.int32(0), jnp.asarray(budget, jnp.int32)), (n_S, share_S))
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


def hide_by_order(
    order_L: jax.Array, chosen_L: jax.Array, special_L: jax.Array, predictions: int, reused: int | None = None
) -> Order:
    """The attention mask that hides from each token what it may not see while the chosen ones are predicted in order.

    Tokens that are neither chosen nor special come before all others: everything sees them and they see no chosen or
    special token. Chosen and special ones see those before them in the order; special ones see themselves, which chosen
    ones do not.

    With a memory the first `reused` tokens see nothing of the others, not even what is given: the next segment begins
    with the others, and predicts some of them with these tokens' states in its memory. The others see all of the first
    (data_utils.py 694-697: `perm_mask_0` with ones after it, `perm_mask_1` with zeros before it).

    Args:
        order_L: int32, a permutation of 0 to L - 1; with `reused`, of each part by its own ranks.
        chosen_L: to be predicted; one that is special too is not.
        special_L: separators and the class token.
        predictions: M, at least the number of predicted tokens.
        reused: tokens from the left whose states the memory keeps; None: no memory goes on.
    """
    length = order_L.shape[0]
    predicted_L = chosen_L & ~special_L
    late_L = chosen_L | special_L
    position_L = jnp.where(late_L, order_L, -1)
    reader_L = jnp.where(predicted_L, position_L, position_L + 1)
    perm_mask_LL = (reader_L[:, None] <= position_L[None, :]) & late_L[None, :]
    if reused is not None:
        is_reused_L = jnp.arange(length) < reused
        across_LL = is_reused_L[:, None] != is_reused_L[None, :]
        perm_mask_LL = jnp.where(across_LL, is_reused_L[:, None], perm_mask_LL)
    positions_M = jnp.sort(jnp.where(predicted_L, jnp.arange(length), length))[:predictions]
    is_real_M = positions_M < length
    return Order(perm_mask_LL, jnp.where(is_real_M, positions_M, 0).astype(jnp.int32), is_real_M.astype(jnp.float32))

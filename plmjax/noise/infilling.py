"""BART's noises that hide tokens: masking, deletion, text infilling (Lewis et al. 2019, Sec. 2.2; fairseq).

Functions take one text and have static shapes, its true length being a traced number; vmap them over a batch. The text
comes without the tokens that open and close it, so that nothing can happen to these.

Infilling draws span lengths from a Poisson distribution until they add up to the budget, which is a share of the words;
the last one is shortened to end there. A span of length 0 inserts a mask. The released code draws word starts for the
other spans without looking where they end: a span that runs into another one covers some of the same words, and one
that reaches the end of the text stops there, so that the words hidden can be a few fewer than the budget that the
lengths add up to. That is the rule here too; the paper says nothing about it.

Legend: L length, S spans, K lengths of a span.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.noise.masking import shuffled
from plmjax.noise.span_masking import span_budgets

SMALLEST_SHARE = 1e-7  # where the released code cuts the Poisson distribution


class PaddedText(NamedTuple):
    """int32 [L] tokens of which the first `real` count; the others are -1."""

    tokens: jax.Array
    real: jax.Array


class InfillingSpans(NamedTuple):
    """The spans to hide, int32 [S] lengths in words, at least 1, and then zeros; and the number of masks to insert."""

    lengths: jax.Array
    inserts: jax.Array


def poisson_shares(mean: float, longest: int = 128) -> np.ndarray:
    """float64 [K], how likely a span of 0, 1, ... words is: to 127, or until a share behind the mean is under 1e-7."""
    shares = [math.exp(-mean)]
    while len(shares) < longest and (len(shares) <= mean or shares[-1] >= SMALLEST_SHARE):
        shares.append(shares[-1] * mean / len(shares))
    return np.array(shares) / sum(shares)


def draw_spans(key: jax.Array, budget: jax.Array, shares_K: np.ndarray, max_spans: int) -> InfillingSpans:
    """Poisson lengths until they add up to `budget` <= S = `max_spans` words, the last one shortened to end there.

    The lengths of the spans that have some are draws from the shares behind the first; the number of zeros before each
    of them is geometric. So as many draws as words are always enough.
    """
    length_key, zero_key = jax.random.split(key)
    lengths_S = 1 + jax.random.choice(
        length_key, len(shares_K) - 1, (max_spans,), p=jnp.asarray(shares_K[1:] / shares_K[1:].sum(), jnp.float32)
    )
    before_S = jnp.cumsum(lengths_S) - lengths_S
    lengths_S = jnp.clip(budget - before_S, 0, lengths_S)
    uniform_S = jax.random.uniform(zero_key, (max_spans,), minval=jnp.finfo(jnp.float32).tiny)
    zeros_S = jnp.floor(jnp.log(uniform_S) / math.log(shares_K[0])).astype(jnp.int32)
    return InfillingSpans(lengths_S.astype(jnp.int32), jnp.sum(jnp.where(lengths_S > 0, zeros_S, 0)))


def single_words(budget: jax.Array, max_spans: int) -> InfillingSpans:
    """`budget` spans of one word, and nothing to insert: token masking and deletion."""
    return InfillingSpans((jnp.arange(max_spans) < budget).astype(jnp.int32), jnp.zeros((), jnp.int32))


def hide_spans(
    key: jax.Array,
    text: PaddedText,
    words_L: jax.Array,
    starts_L: jax.Array,
    lengths_S: jax.Array,
    *,
    mask: int,
    non_special_R: jax.Array | np.ndarray,
    replace_length: int = 1,
    random_share: float = 0.0,
) -> PaddedText:
    """Hides spans of whole words, which begin at words drawn without replacement.

    Args:
        words_L: bool, the tokens that may be hidden; a span stops where they stop.
        starts_L: bool, those of them at which a word begins.
        lengths_S: int32, words of each span, and zeros; no more spans than words.
        mask: the id of the mask.
        replace_length: 1 puts a mask in place of each span (two spans that share a word are one), -1 in place of each
            of its tokens, 0 puts none.
        random_share: how likely a span gets tokens of `non_special_R` instead of masks.
    """
    length = words_L.shape[0]
    place_key, share_key, token_key = jax.random.split(key, 3)
    starts_L = starts_L & words_L
    order_L = shuffled(place_key, starts_L)
    count = min(length, lengths_S.shape[0])
    span_L = jnp.zeros(length, jnp.int32).at[order_L[:count]].set(lengths_S[:count])
    begins_L = starts_L & (span_L > 0)
    word_L = jnp.cumsum(starts_L) - 1  # -1: the rest of a word that begins before the text
    # The word before which the next stop lies.
    stop_L = jax.lax.cummin(jnp.where(words_L, length, word_L + 1), reverse=True)
    end_L = jnp.where(begins_L, jnp.minimum(word_L + span_L, stop_L), -1)
    covered_to_L = jax.lax.cummax(end_L)
    hidden_L = words_L & (word_L < covered_to_L)
    reached_L = jnp.concatenate([jnp.full(1, -1), covered_to_L[:-1]])
    first_L = begins_L & (reached_L <= word_L)
    masked_L = hidden_L if replace_length == -1 else first_L & (replace_length == 1)
    masks_L = jnp.full(length, mask, text.tokens.dtype)
    if random_share > 0:
        random_L = jnp.asarray(non_special_R)[jax.random.randint(token_key, (length,), 0, len(non_special_R))]
        is_random_L = jax.random.uniform(share_key, (length,)) < random_share
        owner_L = jax.lax.cummax(jnp.where(begins_L, jnp.arange(length), 0))  # where a token's span begins
        masks_L = jnp.where(is_random_L[owner_L], random_L.astype(masks_L.dtype), masks_L)
    return compact(jnp.where(masked_L, masks_L, text.tokens), (~hidden_L | masked_L), text.real)


def compact(tokens_L: jax.Array, kept_L: jax.Array, real: jax.Array) -> PaddedText:
    """The kept ones of the first `real` tokens, close together."""
    length = tokens_L.shape[0]
    kept_L = kept_L & (jnp.arange(length) < real)
    position_L = jnp.where(kept_L, jnp.cumsum(kept_L) - 1, length)
    return PaddedText(jnp.full(length, -1, tokens_L.dtype).at[position_L].set(tokens_L, mode="drop"), jnp.sum(kept_L))


def insert_masks(
    key: jax.Array,
    text: PaddedText,
    count: jax.Array,
    *,
    mask: int,
    non_special_R: jax.Array | np.ndarray,
    random_share: float = 0.0,
) -> PaddedText:
    """`count` masks inserted anywhere, every set of positions as likely, or as many as there is room for in L.

    A share of them, rounded up, are tokens of `non_special_R` instead.
    """
    length = text.tokens.shape[0]
    order_key, token_key = jax.random.split(key)
    count = jnp.minimum(count, length - text.real)
    position_L = jnp.arange(length)
    order_L = shuffled(order_key, position_L < text.real + count)
    rank_L = jnp.zeros(length, jnp.int32).at[order_L].set(position_L)
    is_new_L = rank_L < count
    new_L = jnp.full(length, mask, text.tokens.dtype)
    if random_share > 0:
        randoms = jnp.asarray(span_budgets(length, random_share))[count]
        random_L = jnp.asarray(non_special_R)[jax.random.randint(token_key, (length,), 0, len(non_special_R))]
        new_L = jnp.where(rank_L < randoms, random_L.astype(new_L.dtype), new_L)
    old_L = text.tokens[jnp.maximum(position_L - jnp.cumsum(is_new_L), 0)]
    tokens_L = jnp.where(is_new_L, new_L, old_L)
    return PaddedText(jnp.where(position_L < text.real + count, tokens_L, -1), text.real + count)

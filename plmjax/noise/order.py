"""BART's two noises that only reorder a text: its sentences in another order, or another token first (Lewis et al.
2019, Sec. 2.2).

Each function takes one text of `real` <= L tokens and gives an order, int32 [L]: the position that each token comes
from, so that whatever else is known of the tokens can follow them. Positions from `real` on stay. Shapes are
static; vmap over a batch.

Legend: L length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plmjax.noise.masking import shuffled
from plmjax.noise.span_masking import span_budgets


def sentence_order(key: jax.Array, starts_L: jax.Array, real: jax.Array, share: float = 1.0) -> jax.Array:
    """The order of tokens when a share of the sentences, rounded up, change places among themselves.

    Which sentences, and in what order: every choice is as likely, the order that they had included. A share of 1
    shuffles all, as BART does.

    Args:
        starts_L: bool, True where a sentence begins; the first token begins one anyway.
    """
    length = starts_L.shape[0]
    position_L = jnp.arange(length)
    is_real_L = position_L < real
    sentence_L = jnp.cumsum((starts_L | (position_L == 0)) & is_real_L) - 1
    count = jnp.max(sentence_L) + 1
    moving = jnp.asarray(span_budgets(length, share))[count]
    chosen_key, order_key = jax.random.split(key)
    chosen_L = shuffled(chosen_key, position_L < count)  # the first `moving` sentences of a random order
    others_L = chosen_L[shuffled(order_key, position_L < moving)]
    # The sentence that stands at position j is ordering[j]; those that do not move stand where they stood.
    ordering_L = position_L.at[jnp.where(position_L < moving, chosen_L, length)].set(others_L, mode="drop")
    rank_L = jnp.zeros(length, jnp.int32).at[ordering_L].set(position_L)
    return jnp.argsort(jnp.where(is_real_L, rank_L[sentence_L], length)).astype(jnp.int32)


def rotation_order(key: jax.Array, real: jax.Array, length: int) -> jax.Array:
    """The order of tokens when a token, each as likely, comes first, and what stood before it last.

    The released code leaves the text as it is twice as often as it begins it with any other token: one of its offsets
    takes the end of the text for a token.
    """
    start = jax.random.randint(key, (), 0, jnp.maximum(real, 1))
    position_L = jnp.arange(length)
    return jnp.where(position_L < real, (position_L + start) % jnp.maximum(real, 1), position_L).astype(jnp.int32)

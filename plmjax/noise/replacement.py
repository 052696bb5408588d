"""Replacing tokens by a generator's samples (ELECTRA, Clark et al. 2020, Sec. 2).

Functions take one example and have static shapes; vmap them over a batch.

Legend: L length, M predicted positions, V vocabulary rows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plmjax.noise.masking import Masked


def sample(key: jax.Array, logits_MV: jax.Array, temperature: float = 1.0) -> jax.Array:
    """int32 [M]: a draw from softmax(logits / temperature) for each row, by the largest of logits and Gumbel noise.

    No gradient passes.
    """
    noise_MV = jax.random.gumbel(key, logits_MV.shape, jnp.float32)
    scores_MV = jax.lax.stop_gradient(logits_MV).astype(jnp.float32) / temperature + noise_MV
    return jnp.argmax(scores_MV, axis=-1).astype(jnp.int32)


def put(tokens_L: jax.Array, positions_M: jax.Array, updates_M: jax.Array, weights_M: jax.Array) -> jax.Array:
    """int32 [L]: tokens with `updates` at the positions of weight 1.

    Where a position comes twice, which only `mask_with_replacement` does, the reference's code puts the mean of the two
    token ids, cut to a whole number: a token that no one sampled.
    """
    used_M = weights_M > 0
    places_M = jnp.where(used_M, positions_M, tokens_L.shape[0])
    counts_L = jnp.zeros(tokens_L.shape, jnp.int32).at[places_M].add(1, mode="drop")
    sums_L = jnp.zeros(tokens_L.shape, jnp.int32).at[places_M].add(updates_M, mode="drop")
    return jnp.where(counts_L > 0, sums_L // jnp.maximum(counts_L, 1), tokens_L)


def mask_with_replacement(
    key: jax.Array,
    tokens_L: jax.Array,
    candidates_L: jax.Array,
    budget: jax.Array,
    *,
    predictions: int,
    mask: int,
    mask_share: float,
) -> Masked:
    """Masks as the reference does: positions are drawn one by one from all candidates, so that one may come twice.

    tokens_L: int32; candidates_L: bool; budget: how many to draw, at most `predictions` (M); mask: the mask's id;
    mask_share: share of the draws that put the mask there. Positions are in the order of the draws; 0 past the budget.
    """
    place_key, share_key = jax.random.split(key)
    scores_L = jnp.where(candidates_L, 0.0, -jnp.inf)
    positions_M = jax.random.categorical(place_key, scores_L, shape=(predictions,)).astype(jnp.int32)
    weights_M = ((jnp.arange(predictions) < budget) & jnp.any(candidates_L)).astype(jnp.float32)
    positions_M = jnp.where(weights_M > 0, positions_M, 0)
    masked_M = weights_M * (jax.random.uniform(share_key, (predictions,)) < mask_share)
    return Masked(
        tokens=put(tokens_L, positions_M, jnp.full(predictions, mask, tokens_L.dtype), masked_M),
        masked_positions=positions_M,
        targets=jnp.where(weights_M > 0, tokens_L[positions_M], 0),
        weights=weights_M,
    )

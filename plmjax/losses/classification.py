"""Cross-entropy over a handful of classes, as sentence labels have."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plmjax.losses.cross_entropy import TokenLoss
from plmjax.losses.weighted import Weighted


def softmax_cross_entropy(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> TokenLoss:
    """Cross-entropy of logits [..., C] against integer targets [...] under weights [...], float32 throughout.

    The same result as `cross_entropy` gives, one entry an example; here every entry of `loss` carries a gradient. A
    target outside [0, C) must have weight 0.
    """
    logits = logits.astype(jnp.float32)
    is_target = jax.nn.one_hot(targets, logits.shape[-1], dtype=jnp.bool_)
    target = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    loss = jax.nn.logsumexp(logits, axis=-1) - target
    correct = (jnp.any(is_target, axis=-1) & (target >= jnp.max(logits, axis=-1))).astype(jnp.float32)
    return TokenLoss(Weighted.of(loss, weights), loss, correct)

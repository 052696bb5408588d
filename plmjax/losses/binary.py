"""Cross-entropy of a yes-no answer."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plmjax.losses.cross_entropy import TokenLoss
from plmjax.losses.weighted import Weighted


def sigmoid_cross_entropy(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> TokenLoss:
    """Cross-entropy of logits [...] against bool labels [...] under weights [...], float32 throughout.

    As correct counts a logit above 0 for yes, and any other for no. Every entry of `loss` carries a gradient.
    """
    logits = logits.astype(jnp.float32)
    loss = -jax.nn.log_sigmoid(jnp.where(labels, logits, -logits))
    correct = ((logits > 0) == labels).astype(jnp.float32)
    return TokenLoss(Weighted.of(loss, weights), loss, correct)

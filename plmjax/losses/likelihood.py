"""Log-likelihoods of targets one by one, each with its gradient, where `cross_entropy` gives their sum alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

MASKED_OUT = -1e30


class Likelihood(NamedTuple):
    """float32 [T] each: log p(target), and whether no other token is likelier."""

    log_p: jax.Array
    correct: jax.Array


def log_likelihood(
    h: jax.Array, table: jax.Array, bias: jax.Array | None, targets: jax.Array, *, size: int, chunk: int = 1024
) -> Likelihood:
    """log softmax(h @ table.T + bias)[target] of each token, in chunks whose logits are computed again going back.

    h: [T, E]; table: float32 [V, E]; bias: float32 [V] or None; targets: int32 [T]; size: rows of the table that are
    tokens, the others have no probability; chunk: tokens whose logits exist at a time.
    """
    count = h.shape[0]
    chunk = min(chunk, count)
    padded = -(-count // chunk) * chunk
    h = jnp.pad(h, ((0, padded - count), (0, 0))).reshape(-1, chunk, h.shape[-1])
    targets = jnp.pad(targets, (0, padded - count)).reshape(-1, chunk)
    is_token = jnp.arange(table.shape[0]) < size

    @jax.checkpoint
    def one(pair: tuple[jax.Array, jax.Array]) -> Likelihood:
        h, targets = pair
        logits = jnp.einsum("te,ve->tv", h, table.astype(h.dtype), preferred_element_type=jnp.float32)
        logits = jnp.where(is_token, logits if bias is None else logits + bias, MASKED_OUT)
        target = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        log_p = target - jax.nn.logsumexp(logits, axis=-1)
        return Likelihood(log_p, (target >= jnp.max(logits, axis=-1)).astype(jnp.float32))

    found = jax.lax.map(one, (h, targets))
    return Likelihood(*(values.reshape(-1)[:count] for values in found))

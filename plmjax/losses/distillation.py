"""The losses of a student against its teacher: its softened distribution, and the direction of its states."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plmjax.losses.likelihood import MASKED_OUT


def softened_divergence(
    student: tuple[jax.Array, jax.Array, jax.Array | None],
    teacher: tuple[jax.Array, jax.Array, jax.Array | None],
    *,
    size: int,
    temperature: float,
    chunk: int = 1024,
) -> jax.Array:
    """float32 [T]: KL(teacher || student) of the two softmaxes at `temperature`, times its square, of each token.

    Hinton et al. 2015, Sec. 2; the square keeps the gradient's size. Logits exist for a chunk of tokens at a time, and
    are computed again going back. No gradient goes to the teacher.

    Args:
        student, teacher: (h [T, E], table [V, E], bias [V] or None); widths may differ.
        size: rows of the tables that are tokens.
        temperature: what logits are divided by.
        chunk: tokens at a time.
    """
    count = student[0].shape[0]
    chunk = min(chunk, count)
    padded = -(-count // chunk) * chunk
    states = [jnp.pad(h, ((0, padded - count), (0, 0))).reshape(-1, chunk, h.shape[-1]) for h, *_ in (student, teacher)]
    is_token = jnp.arange(student[1].shape[0]) < size

    def log_softmax(h: jax.Array, table: jax.Array, bias: jax.Array | None) -> jax.Array:
        logits = jnp.einsum("te,ve->tv", h, table.astype(h.dtype), preferred_element_type=jnp.float32)
        logits = logits if bias is None else logits + bias
        return jax.nn.log_softmax(jnp.where(is_token, logits / temperature, MASKED_OUT), axis=-1)

    @jax.checkpoint
    def one(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        log_q = log_softmax(pair[0], *student[1:])
        log_p = jax.lax.stop_gradient(log_softmax(pair[1], *teacher[1:]))
        return jnp.sum(jnp.where(is_token, jnp.exp(log_p) * (log_p - log_q), 0.0), axis=-1)

    return temperature**2 * jax.lax.map(one, tuple(states)).reshape(-1)[:count]


def cosine_distance(x: jax.Array, y: jax.Array) -> jax.Array:
    """float32 [...]: 1 - cos(x, y) over the last axis."""
    x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    norms = jnp.sqrt(jnp.sum(x * x, -1) * jnp.sum(y * y, -1) + 1e-12)
    return 1.0 - jnp.sum(x * y, axis=-1) / norms

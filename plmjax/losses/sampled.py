"""Cross-entropy over a sample of the vocabulary (Jean et al. 2015), with log-uniform candidates, as TensorFlow's.

Legend: L length, E width, V words, S candidates.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.losses.cross_entropy import TokenLoss
from plmjax.losses.weighted import Weighted

_IMPOSSIBLE = -1e30


class Candidates(NamedTuple):
    """Words that were drawn, and how often each would be expected in such a draw.

    Attributes:
        ids: int32 [S], none twice.
        log_expected: float32 [V], the log of the expected count of every word.
    """

    ids: jax.Array
    log_expected: jax.Array


def log_uniform(size: int) -> jax.Array:
    """float32 [V]: p(k) = log((k + 2) / (k + 1)) / log(V + 1), for words by falling frequency (Zipf's law)."""
    rank = jnp.arange(size, dtype=jnp.float32)
    return jnp.log1p(1.0 / (rank + 1.0)) / jnp.log(jnp.float32(size + 1))


def draw_candidates(key: jax.Array, count: int, size: int) -> Candidates:
    """Draws from the log-uniform law until `count` different words are there.

    Drawing on and leaving repetitions out gives the words in an order that their log probabilities with Gumbel noise
    give at once; the number of draws it took is drawn beside: between a new word and the next lie geometrically many.
    The expected count of a word in T draws is 1 - (1 - p)^T.

    Args:
        key: scalar key.
        count: S, from 1 to `size`.
        size: V.
    """
    if not 1 <= count <= size:
        raise ValueError(f"{count} different candidates can't be drawn from {size} words.")
    noise_key, draws_key = jax.random.split(key)
    p_V = log_uniform(size)
    _, ids_S = jax.lax.top_k(jnp.log(p_V) + jax.random.gumbel(noise_key, (size,)), count)
    seen_S = jnp.cumsum(p_V[ids_S]) - p_V[ids_S]  # probability of a repetition before each new word
    uniform_S = jax.random.uniform(draws_key, (count,), minval=1e-7)
    log_seen_S = jnp.log(jnp.clip(seen_S, 1e-30, 1 - 1e-6))
    repetitions = jnp.sum(jnp.floor(jnp.log(uniform_S) / log_seen_S))
    expected_V = -jnp.expm1((count + repetitions) * jnp.log1p(-p_V))
    return Candidates(ids_S.astype(jnp.int32), jnp.log(expected_V))


def sampled_cross_entropy(
    h: jax.Array,
    table_VE: jax.Array,
    bias_V: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    candidates: Candidates,
) -> TokenLoss:
    """-log softmax of the target among itself and the candidates, each score less its log expected count.

    A candidate that is a position's own target is left out there. With every word a candidate and expected once, this
    is the full softmax; with fewer its gradient is about right, its value too low.

    Args:
        h: [..., L, E].
        table_VE, bias_V: of the softmax; rows from the candidates' size on are never drawn.
        targets: int32 [..., L], below the candidates' size.
        weights: float [..., L], taken as constants.
        candidates: the same for every position.

    Returns:
        TokenLoss; "correct" is among the candidates.
    """
    log_expected_V = jax.lax.stop_gradient(candidates.log_expected)
    drawn_S = candidates.ids
    own = jnp.sum(h * table_VE[targets], axis=-1) + bias_V[targets] - log_expected_V[targets]
    others = jnp.einsum("...e,se->...s", h, table_VE[drawn_S], preferred_element_type=jnp.float32)
    others = others + _over_last(bias_V[drawn_S] - log_expected_V[drawn_S], others)
    others = jnp.where(targets[..., None] == _over_last(drawn_S, others), _IMPOSSIBLE, others)
    loss = jax.nn.logsumexp(jnp.concatenate([own[..., None], others], axis=-1), axis=-1) - own
    correct = jax.lax.stop_gradient((own >= jnp.max(others, axis=-1)).astype(jnp.float32))
    return TokenLoss(Weighted.of(loss, jax.lax.stop_gradient(weights)), jax.lax.stop_gradient(loss), correct)


def _over_last(vector: Any, x: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)

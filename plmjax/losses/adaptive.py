"""Cross-entropy of an adaptive softmax (Grave et al. 2016): frequent tokens and clusters first, then within a cluster.

Legend: L length, E width of a cluster's vectors, V rows of its table.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from plmjax.losses.cross_entropy import TokenLoss, cross_entropy, default_chunk
from plmjax.losses.weighted import Weighted

PARTS = 8
"""Chunks that a tail's positions are cut into at least: those after its last target are not computed."""


def adaptive_cross_entropy(
    clusters: Sequence[tuple[jax.Array, jax.Array, jax.Array | None]],
    targets: jax.Array,
    weights: jax.Array,
    *,
    size: int,
) -> TokenLoss:
    """-log p(target) with p = p(token) on the shortlist, p(cluster) p(token | cluster) elsewhere.

    Args:
        clusters: (h [..., L, E], table [V, E], bias [V] or None) of each; the first table ends with a row for each of
            the others, whose tokens follow the shortlist in order.
        targets: int32 [..., L]; one outside [0, size) must have weight 0.
        weights: float [..., L], as `cross_entropy`'s.
        size: tokens that exist; rows of the last table beyond have no probability.

    Returns:
        TokenLoss. A target counts as correct where its cluster is scored highest, and it is in its cluster: what the
        other clusters' tokens would have got is not computed. A tail's targets are brought together, row by row, and
        only the chunks that hold some are computed.

    Raises ValueError where the shortlist has no row, or the last cluster no token.
    """
    tails = len(clusters) - 1
    shortlist = clusters[0][1].shape[0] - tails
    starts = [shortlist]
    for _, table, _ in clusters[1:]:
        starts.append(starts[-1] + table.shape[0])
    if shortlist < 1 or (tails and size <= starts[-2]):
        raise ValueError(f"clusters that start at {starts[:-1]} do not fit a vocabulary of {size} tokens.")
    head_targets = targets
    for number in range(tails):
        head_targets = jnp.where(targets >= starts[number], shortlist + number, head_targets)
    head_size = clusters[0][1].shape[0] if tails else size
    total, loss, correct = cross_entropy(*clusters[0], head_targets, weights, size=head_size)
    for (h, table, bias), first in zip(clusters[1:], starts, strict=False):
        is_own = (targets >= first) & (targets < first + table.shape[0])
        tail = _tail(h, table, bias, targets - first, jnp.where(is_own, weights, 0.0), size - first)
        total = Weighted(total.sum + tail.total.sum, total.weight)
        loss = loss + jnp.where(is_own, tail.loss, 0.0)
        correct = correct * jnp.where(is_own, tail.correct, 1.0)
    return TokenLoss(total, loss, correct)


def _tail(h: jax.Array, table: jax.Array, bias: Any, targets: jax.Array, weights: jax.Array, size: int) -> TokenLoss:
    """The loss within one cluster of the positions with weight, at their own positions."""
    rows = table.shape[0]
    order = jnp.argsort(weights == 0, axis=-1, stable=True)
    h, targets, weights = (
        jnp.take_along_axis(h, order[..., None], axis=-2),
        jnp.take_along_axis(targets, order, axis=-1),
        jnp.take_along_axis(weights, order, axis=-1),
    )
    length = targets.shape[-1]
    chunk = min(default_chunk(math.prod(targets.shape[:-1]), length, rows), math.ceil(length / PARTS))
    tail = cross_entropy(h, table, bias, targets, weights, size=min(size, rows), chunk=chunk, sparse=True)
    back = jnp.argsort(order, axis=-1)
    return TokenLoss(
        tail.total, jnp.take_along_axis(tail.loss, back, axis=-1), jnp.take_along_axis(tail.correct, back, axis=-1)
    )

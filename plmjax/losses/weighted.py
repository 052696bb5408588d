"""A mean that can be merged over devices, microbatches and batches: a weighted sum beside its weight."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weighted(NamedTuple):
    """A weighted sum and the weight it was taken over; both float32 scalars.

    `a + b` merges two of them, so that the mean over a whole batch is the same however the batch was cut. (It therefore
    does not concatenate, as plain tuples do.)
    """

    sum: jax.Array
    weight: jax.Array

    @classmethod
    def of(cls, values: jax.Array, weights: jax.Array) -> Weighted:
        """Reduces `values` under `weights` of the same shape; a value whose weight is 0 counts as nothing, even NaN."""
        weights = weights.astype(jnp.float32)
        values = jnp.where(weights == 0, 0.0, values.astype(jnp.float32))
        return cls(jnp.sum(values * weights), jnp.sum(weights))

    def __add__(self, other: Weighted) -> Weighted:  # type: ignore[override]
        return Weighted(self.sum + other.sum, self.weight + other.weight)

    def mean(self) -> jax.Array:
        """sum / weight, and 0 where the weight is 0."""
        empty = self.weight == 0
        return jnp.where(empty, 0.0, self.sum / jnp.where(empty, 1.0, self.weight))

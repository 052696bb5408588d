"""ELMo's mixture of layers for a task (Peters et al. 2018, Sec. 3.2, Eq. 1).

Legend: K layers (the token layer among them), B batch, L length, D width.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

NORM_EPSILON = 1e-12


class ScalarMix(NamedTuple):
    """The parameters of the mixture that a task learns: a pytree.

    Attributes:
        weights: float32 [K], softmax-normalised; `gamma`: float32 scalar.
    """

    weights: Array
    gamma: Array

    @classmethod
    def start(cls, layers: int) -> "ScalarMix":
        """The average of the layers."""
        return cls(jnp.zeros(layers), jnp.ones(()))

    def __call__(self, layers_KBLD: Array, seen_BL: Array | None = None, normalise: bool = False) -> Array:
        """gamma * sum_k softmax(weights)_k layer_k, [B, L, D].

        Args:
            layers_KBLD: of the biLM.
            seen_BL: bool, where there are words; None: everywhere.
            normalise: bring each layer to mean 0 and variance 1 first, over all its values at words (paper Sec. 3.2;
                one mean a batch, as released).
        """
        if normalise:
            shape = layers_KBLD.shape[1:3]
            seen = jnp.ones(shape, bool) if seen_BL is None else seen_BL
            seen = jnp.broadcast_to(seen[None, :, :, None], layers_KBLD.shape)
            axes = (1, 2, 3)
            mean = jnp.mean(layers_KBLD, axes, keepdims=True, where=seen)
            variance = jnp.mean(jnp.square(layers_KBLD - mean), axes, keepdims=True, where=seen)
            layers_KBLD = (layers_KBLD - mean) * jax.lax.rsqrt(variance + NORM_EPSILON)
        return self.gamma * jnp.einsum("k,kbld->bld", jax.nn.softmax(self.weights), layers_KBLD)

    def penalty(self, coefficient: float) -> Array:
        """coefficient * |weights|^2, to be added to the task's loss: small keeps weights free, 1 keeps the average."""
        return coefficient * jnp.sum(jnp.square(self.weights))

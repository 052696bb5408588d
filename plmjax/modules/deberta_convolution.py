"""The convolution beside the first layer of DeBERTa 2 (released code).

Legend: B batch, L length, W width of the convolution, D model width.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.layers import Dropout, Initializer, LayerNorm, activation


def _windows(x_BL: Array, side: int) -> Array:
    """[B, L, W, ...]: each position with `side` neighbours on both sides, W = 2 side + 1; zeros past the ends."""
    length = x_BL.shape[1]
    padded = jnp.pad(x_BL, ((0, 0), (side, side)) + ((0, 0),) * (x_BL.ndim - 2))
    return jnp.stack([padded[:, at : at + length] for at in range(2 * side + 1)], axis=2)


class DebertaConvolution(nn.Module):
    """Version 2's look at the neighbours, added to the first layer: `kernel` [width, D, D], `bias`, `norm`."""

    width: int
    activation: str
    norm_eps: float
    dropout: float
    kernel_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, embedded_BLD: Array, x_BLD: Array, segments_BL: Array | None) -> Array:
        features = x_BLD.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (self.width, features, features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (features,), jnp.float32)
        side = (self.width - 1) // 2
        neighbours_BLWD = _windows(embedded_BLD.astype(self.dtype), side)
        if segments_BL is not None:  # a neighbour in another text that was packed beside this one is not seen
            same_BLW = _windows(segments_BL, side) == segments_BL[..., None]
            neighbours_BLWD = jnp.where(same_BLW[..., None], neighbours_BLWD, 0)
        y_BLD = jnp.einsum("blwd,wde->ble", neighbours_BLWD, kernel.astype(self.dtype))
        y_BLD = y_BLD + bias.astype(self.dtype)[None, None]
        real_BL1 = None if segments_BL is None else segments_BL[..., None] > 0
        if real_BL1 is not None:
            y_BLD = jnp.where(real_BL1, y_BLD, 0)
        y_BLD = activation(self.activation)(Dropout(self.dropout)(y_BLD))
        y_BLD = LayerNorm(self.norm_eps, self.dtype, name="norm")(x_BLD + y_BLD)
        return y_BLD if real_BL1 is None else jnp.where(real_BL1, y_BLD, 0)

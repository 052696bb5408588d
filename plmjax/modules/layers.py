"""The parameterised pieces of every network: dense maps, norms, embedding tables, dropout.

Parameters and the statistics of norms are float32; `dtype` is what the activations are computed and returned in.

Legend: B batch, L length, D model width, V rows of a table.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

Initializer = Callable[[Array, tuple[int, ...], Any], Array]


def normal(std: float) -> Initializer:
    """Normal with standard deviation `std`."""
    return nn.initializers.normal(std)


def truncated_normal(std: float) -> Initializer:
    """Normal of deviation `std` cut at two of them and not rescaled, as TensorFlow's initialiser of that name."""
    return nn.initializers.truncated_normal(std)


def fan_in_truncated_normal() -> Initializer:
    """Truncated normal whose deviation after the cut is (rows of the kernel) ** -0.5."""
    return nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
}


def activation(name: str) -> Callable[[Array], Array]:
    """The elementwise function `name`; ValueError when there is none."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is not known; use one of {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]


class Dense(nn.Module):
    """A linear map of the last `inputs` axes of x to the axes `features`.

    Parameters: `kernel` [*x.shape[-inputs:], *features] and, with `use_bias`, `bias` [*features].
    """

    features: int | tuple[int, ...]
    inputs: int = 1
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.normal(0.02)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
        shape = (*x.shape[-self.inputs :], *features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        contracted = (tuple(range(x.ndim - self.inputs, x.ndim)), tuple(range(self.inputs)))
        y = lax.dot_general(x.astype(self.dtype), kernel, (contracted, ((), ())))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), features, jnp.float32)
            y = y + bias.astype(self.dtype).reshape((1,) * (y.ndim - len(features)) + features)
        return y


class LayerNorm(nn.Module):
    """Layer normalisation of the last axis (Ba et al. 2016): a learned `scale` [D] and, if `use_bias`, `bias` [D]."""

    epsilon: float
    dtype: Any = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones_init(), shape, jnp.float32)
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        y = x * lax.rsqrt(variance + self.epsilon)
        y = y * _over_last(scale, y)
        if self.use_bias:
            y = y + _over_last(self.param("bias", nn.initializers.zeros_init(), shape, jnp.float32), y)
        return y.astype(self.dtype)


class RMSNorm(nn.Module):
    """The last axis over its root mean square, with a learned `scale` [D]; no mean is taken, no bias added (T5)."""

    epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones_init(), (x.shape[-1],), jnp.float32)
        x = x.astype(jnp.float32)
        y = x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
        return (y * _over_last(scale, y)).astype(self.dtype)


class Embed(nn.Module):
    """A table `embedding` [rows, D].

    A row index past the end gives NaN, so that a token of another vocabulary is seen at once in the loss.
    """

    rows: int
    features: int
    embedding_init: Initializer
    dtype: Any = jnp.float32

    def setup(self) -> None:
        shape = (self.rows, self.features)
        self.embedding = self.param("embedding", self.embedding_init, shape, jnp.float32)

    def __call__(self, ids: Array) -> Array:
        """ids int32 [...] -> [..., D] in `dtype`."""
        return jnp.take(self.embedding, ids, axis=0, mode="fill").astype(self.dtype)

    def table(self) -> Array:
        """The float32 table [rows, D]."""
        return self.embedding


class Dropout(nn.Module):
    """Zeroes entries at `rate` and scales the others up; active exactly when a "dropout" key is given.

    `shared_axis`: the axis along which one mask serves all entries (T5 shares it along the length), or None.
    """

    rate: float
    shared_axis: int | None = None

    @nn.nowrap
    def active(self) -> bool:
        """Whether a call would change anything."""
        return self.rate > 0 and self.has_rng("dropout")

    def __call__(self, x: Array) -> Array:
        if not self.active():
            return x
        shape = list(x.shape)
        if self.shared_axis is not None:
            shape[self.shared_axis] = 1
        keep, kept_share = _keep_mask(self.make_rng("dropout"), tuple(shape), self.rate)
        return jnp.where(keep, x / kept_share, jnp.zeros((), x.dtype)).astype(x.dtype)


def _keep_mask(key: Array, shape: tuple[int, ...], rate: float) -> tuple[Array, float]:
    """A bool mask that drops a share `rate`, to 1 in 65,536, and the exact share that it keeps.

    Two 16-bit draws come out of each 32-bit word: random bits are the larger part of what dropout costs on a CPU.
    """
    if rate >= 1:
        raise ValueError(f"dropout of {rate} would drop everything; use a rate under 1")
    dropped = round(rate * 65536)
    odd = shape[-1] % 2
    words = jax.random.bits(key, (*shape[:-1], (shape[-1] + odd) // 2), jnp.uint32)
    draws = lax.bitcast_convert_type(words, jnp.uint16).reshape(*shape[:-1], shape[-1] + odd)
    return draws[..., : shape[-1]] >= dropped, 1 - dropped / 65536


def _over_last(vector: Array, x: Array) -> Array:
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)

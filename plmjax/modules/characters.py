"""Words read as characters: convolutions, max-pooling, highway layers, a projection (Kim et al. 2016; ELMo).

Legend: B batch, L length, C characters of a word, E width of a character, F filters together, D width of a word.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.layers import Dense, Initializer, activation, normal


def uniform(limit: float) -> Initializer:
    """Uniform between -limit and limit."""

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


class CharacterConvolution(nn.Module):
    """`filters` maps of `width` characters, the highest value of each over the word: kernel [W, E, F], bias [F].

    The initialisers are the released code's: +-0.05 before a ReLU, a fan-in normal before tanh.
    """

    width: int
    filters: int
    activation: str

    @nn.compact
    def __call__(self, x_NCE: Array) -> Array:
        """[N, C, E] -> [N, F]."""
        inputs = x_NCE.shape[-1]
        init = uniform(0.05) if self.activation == "relu" else normal((self.width * inputs) ** -0.5)
        kernel = self.param("kernel", init, (self.width, inputs, self.filters), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.filters,), jnp.float32)
        places = x_NCE.shape[1] - self.width + 1
        # As one matrix product over all places: a CPU's convolution is far slower, above all backwards.
        spans = jnp.concatenate([x_NCE[:, start : start + places] for start in range(self.width)], axis=-1)
        y_NPF = lax.dot_general(spans, kernel.reshape(-1, self.filters), (((2,), (0,)), ((), ())))
        return activation(self.activation)(jnp.max(y_NPF, axis=1) + bias[None])


class Highway(nn.Module):
    """gate * relu(transform(x)) + (1 - gate) * x with gate = sigmoid(carry(x)) (Srivastava et al. 2015).

    Names and order are the released code's, where the gate that opens the transform is called `carry`; its bias starts
    at -2, so that a fresh layer mostly passes its input on.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        init = normal(width**-0.5)
        gate = Dense(width, kernel_init=init, use_bias=False, name="carry")(x)
        carry_bias = self.param("carry_bias", nn.initializers.constant(-2.0), (width,), jnp.float32)
        gate = jax.nn.sigmoid(gate + carry_bias.reshape((1,) * (x.ndim - 1) + (-1,)))
        return gate * jax.nn.relu(Dense(width, kernel_init=init, name="transform")(x)) + (1.0 - gate) * x


class CharacterEncoder(nn.Module):
    """A vector of `features` for a word, from its characters alone.

    Parameters: `characters/embedding` [rows, E]; `filters_I`, `highway_I`; `projection` where the filters together are
    not `features` wide already.
    """

    rows: int
    width: int
    filters: Sequence[tuple[int, int]]
    num_highway: int
    features: int
    activation: str = "relu"

    @nn.compact
    def __call__(self, characters_BLC: Array) -> Array:
        """Ids int32 [B, L, C] from 1 to `rows`, or 0 where there is no word at all (a zero vector) -> [B, L, D]."""
        batch, length, places = characters_BLC.shape
        table = self.param("characters", uniform(1.0), (self.rows, self.width), jnp.float32)
        table = jnp.concatenate([jnp.zeros_like(table[:1]), table])
        x_NCE = jnp.take(table, characters_BLC.reshape(-1, places), axis=0, mode="fill")
        found = [
            CharacterConvolution(width, count, self.activation, name=f"filters_{number}")(x_NCE)
            for number, (width, count) in enumerate(self.filters)
        ]
        x_NF = jnp.concatenate(found, axis=-1)
        for number in range(self.num_highway):
            x_NF = Highway(name=f"highway_{number}")(x_NF)
        if x_NF.shape[-1] != self.features:
            x_NF = Dense(self.features, kernel_init=normal(x_NF.shape[-1] ** -0.5), name="projection")(x_NF)
        return x_NF.reshape(batch, length, self.features)

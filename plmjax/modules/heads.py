"""What reads a network's states: scores over the vocabulary, the pooled first token, the sentence pair.

Legend: B batch, L length, D model width, E embedding width, V vocabulary rows.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.layers import Dense, Initializer, LayerNorm, activation


class TokenHead(NamedTuple):
    """The three parts of vocabulary scores h @ table.T + bias, so that a loss need never hold all of them.

    Attributes:
        h: [..., E] in the network's dtype.
        table: float32 [V, E].
        bias: float32 [V] or None.
    """

    h: Array
    table: Array
    bias: Array | None

    def logits(self) -> Array:
        """float32 [..., V]."""
        table = self.table.astype(self.h.dtype)
        scores = jnp.einsum("...e,ve->...v", self.h, table, preferred_element_type=jnp.float32)
        return scores if self.bias is None else scores + self.bias.reshape((1,) * (scores.ndim - 1) + (-1,))


class TransformTokenHead(nn.Module):
    """BERT's masked-LM head before the tied table: `dense`, activation, `norm`; and a `bias` [V]."""

    vocab_size: int
    features: int
    activation: str
    norm_eps: float
    kernel_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, table_VE: Array) -> TokenHead:
        h = Dense(self.features, kernel_init=self.kernel_init, dtype=self.dtype, name="dense")(x)
        h = activation(self.activation)(h)
        h = LayerNorm(self.norm_eps, self.dtype, name="norm")(h)
        bias_V = self.param("bias", nn.initializers.zeros_init(), (self.vocab_size,), jnp.float32)
        return TokenHead(h, table_VE, bias_V)


class UntiedTokenHead(nn.Module):
    """A table of its own, `embedding` [V, E], read as the tied one is."""

    vocab_size: int
    features: int
    embedding_init: Initializer

    @nn.compact
    def __call__(self, x: Array) -> TokenHead:
        shape = (self.vocab_size, self.features)
        return TokenHead(x, self.param("embedding", self.embedding_init, shape, jnp.float32), None)


class Pooler(Dense):
    """tanh of a linear map of the first token's state (Devlin et al. 2018): `kernel` [D, D], `bias` [D]."""

    def __call__(self, x_BLD: Array) -> Array:
        """[B, D]."""
        return jnp.tanh(super().__call__(x_BLD[:, 0]))

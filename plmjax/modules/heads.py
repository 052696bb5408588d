"""The heads that read a network's states: scores over the vocabulary, the pooled first token, the sentence pair.

Legend: B batch, L length, D model width, E embedding width, V vocabulary rows.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.layers import Dense, Dropout, Initializer, LayerNorm, activation


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
    """BERT's masked-LM head before the tied table: `dense`, activation, `norm`; and a `bias` [V].

    `use_bias`: whether `dense` and `norm` have one.
    """

    vocab_size: int
    features: int
    activation: str
    norm_eps: float
    kernel_init: Initializer
    dtype: Any = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array, table_VE: Array) -> TokenHead:
        dense: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype, "use_bias": self.use_bias}
        h = activation(self.activation)(Dense(self.features, name="dense", **dense)(x))
        h = LayerNorm(self.norm_eps, self.dtype, self.use_bias, name="norm")(h)
        bias_V = self.param("bias", nn.initializers.zeros_init(), (self.vocab_size,), jnp.float32)
        return TokenHead(h, table_VE, bias_V)


class TiedTokenHead(nn.Module):
    """The tied table and a `bias` [V], nothing before them (XLNet, XLM)."""

    vocab_size: int

    @nn.compact
    def __call__(self, x: Array, table_VE: Array) -> TokenHead:
        bias_V = self.param("bias", nn.initializers.zeros_init(), (self.vocab_size,), jnp.float32)
        return TokenHead(x, table_VE, bias_V)


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


class SpanBoundaryHead(nn.Module):
    """SpanBERT's boundary objective before the tied table (Joshi et al. 2020, Sec. 3.2).

    h = [left; right; position], then twice norm(act(W h)). Parameters: `positions` [offsets, P], `first`, `first_norm`,
    `second`, `second_norm`, `bias` [V]. Offsets past the table read its last row.
    """

    vocab_size: int
    features: int
    embedding_width: int
    activation: str
    norm_eps: float
    kernel_init: Initializer
    dtype: Any = jnp.float32
    offsets: int = 20  # rows of the position table, as released
    position_width: int = 200

    @nn.compact
    def __call__(self, left_BMD: Array, right_BMD: Array, offsets_BM: Array, table_VE: Array) -> TokenHead:
        shape = (self.offsets, self.position_width)
        table = self.param("positions", self.kernel_init, shape, jnp.float32)
        position_BMP = jnp.take(table, offsets_BM, axis=0, mode="clip").astype(self.dtype)
        h = jnp.concatenate([left_BMD, right_BMD, position_BMP], axis=-1)
        for name, features in (("first", self.features), ("second", self.embedding_width)):
            h = Dense(features, kernel_init=self.kernel_init, dtype=self.dtype, name=name)(h)
            h = LayerNorm(self.norm_eps, self.dtype, name=f"{name}_norm")(activation(self.activation)(h))
        bias_V = self.param("bias", nn.initializers.zeros_init(), (self.vocab_size,), jnp.float32)
        return TokenHead(h, table_VE, bias_V)


class DetectionHead(nn.Module):
    """ELECTRA's discriminator: `dense`, activation, `out` to one number a token (Clark et al. 2020, Sec. 2)."""

    features: int
    activation: str
    kernel_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BLD: Array) -> Array:
        """[B, L, 1]."""
        h = Dense(self.features, kernel_init=self.kernel_init, dtype=self.dtype, name="dense")(x_BLD)
        return Dense(1, kernel_init=self.kernel_init, name="out")(activation(self.activation)(h))


class DebertaDetectionHead(nn.Module):
    """Version 3's discriminator: `dense`, `norm` and `out` to one number a token.

    form: "context" as released, with the first token's state h_1 added to each: out(act(dense(norm(h + h_1))))
    (microsoft/DeBERTa, apps/models/replaced_token_detection_model.py:40-46; the paper gives no head). "transform":
    out(norm(act(dense(h)))), as the networks have it that plmjax trained before it knew the released form.
    """

    features: int
    activation: str
    norm_eps: float
    kernel_init: Initializer
    form: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BLD: Array) -> Array:
        """[B, L, 1]."""
        dense = Dense(self.features, kernel_init=self.kernel_init, dtype=self.dtype, name="dense")
        norm = LayerNorm(self.norm_eps, self.dtype, name="norm")
        act = activation(self.activation)
        h = act(dense(norm(x_BLD + x_BLD[:, :1]))) if self.form == "context" else norm(act(dense(x_BLD)))
        return Dense(1, kernel_init=self.kernel_init, name="out")(h)


class ClassHead(nn.Module):
    """A text's class from its first token: `dense`, activation, dropout, `out`."""

    features: int
    classes: int
    activation: str
    kernel_init: Initializer
    dtype: Any = jnp.float32
    dropout: float = 0.0
    first_dropout: float = 0.0  # on the token's state

    @nn.compact
    def __call__(self, x_BLD: Array) -> Array:
        """[B, C]."""
        x_BD = Dropout(self.first_dropout)(x_BLD[:, 0])
        h = Dense(self.features, kernel_init=self.kernel_init, dtype=self.dtype, name="dense")(x_BD)
        h = Dropout(self.dropout)(activation(self.activation)(h))
        return Dense(self.classes, kernel_init=self.kernel_init, name="out")(h)


class FirstTokenLinear(Dense):
    """A linear map of the first token's state: `kernel` [D, C], `bias` [C] (XLM)."""

    def __call__(self, x_BLD: Array) -> Array:
        """[B, C]."""
        return super().__call__(x_BLD[:, 0])


class LastTokenClassHead(ClassHead):
    """A ClassHead that reads the last token (XLNet)."""

    def __call__(self, x_BLD: Array) -> Array:
        """[B, C]."""
        return super().__call__(x_BLD[:, -1:])

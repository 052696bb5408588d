"""T5's decoders without an encoder: the language model and the prefix LM (Raffel et al. 2020, Sec. 3.2).

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.cache import Cache, empty_cache
from plmjax.modules.gpt import GPT
from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import Embed, normal
from plmjax.modules.t5 import T5Stack
from plmjax.modules.transformer import Block


@dataclass(slots=True, unsafe_hash=True)
class T5LMConfig:
    """The sizes of a stack of T5's blocks; the defaults are T5 base's (Raffel et al. 2020, Secs. 3.1.1 and 3.2.2)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_kv: int = 64  # width of a head; num_heads * d_kv need not be d_model
    d_ff: int = 3072
    gated: bool = False  # the feed-forward layer is gated
    activation: str = "relu"
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm_eps: float = 1e-6
    dropout: float = 0.1  # on embeddings, attention weights, hidden units and outputs
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


@dataclass(slots=True, unsafe_hash=True)
class T5PrefixLMConfig(T5LMConfig):
    """The sizes of a prefix LM: those of the language model."""


class T5LMEmbeddings(nn.Module):
    """The tokens' rows alone: positions are distances between array indices, and none is read."""

    config: Any  # a T5LMConfig, or one with the same fields

    def setup(self) -> None:
        c = self.config
        self.tokens = Embed(c.vocab_size, c.d_model, normal(1.0), jnp.dtype(c.dtype))

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        return self.tokens(tokens_BL)

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class T5LM(GPT):
    """A decoder of T5's blocks. The tied head reads the states times D^-1/2."""

    config: Any  # as T5LMEmbeddings'

    def setup(self) -> None:
        c = self.config
        self.embeddings = T5LMEmbeddings(c)
        # A network that sees to its right has buckets for it.
        self.decoder = T5Stack(c, c.num_layers, Block, causal=not self.is_prefix_lm)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        return empty_cache(c.num_layers, batch, length, c.num_heads, c.d_kv, jnp.dtype(c.dtype))

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return TokenHead(x * self.config.d_model**-0.5, self.embeddings.table(), None)


class T5PrefixLM(T5LM):
    """A decoder that sees its inputs whole, and of what it writes the past."""

    is_prefix_lm: ClassVar[bool] = True


_BASE = T5LMConfig()

# "base" has the P parameters of Table 2, one stack as large as BERT base's, besides the token table.
VARIANTS: dict[str, T5LMConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": replace(_BASE, num_layers=2, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    "base": _BASE,
}
PREFIX_VARIANTS: dict[str, T5PrefixLMConfig] = {
    "tiny": T5PrefixLMConfig(num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": T5PrefixLMConfig(num_layers=2, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    "base": T5PrefixLMConfig(),
}

"""LaMDA (Thoppilan et al. 2022): a decoder of T5's blocks: relative positions and a gated GELU.

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace

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
class LamdaConfig:
    """The sizes of a LaMDA; the defaults are the 137B's (Thoppilan et al. 2022, Sec. 3)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 64
    num_heads: int = 128
    d_model: int = 8192
    d_kv: int = 128  # width of a head; num_heads * d_kv need not be d_model
    d_ff: int = 65536
    gated: bool = True
    activation: str = "gelu_tanh"
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm_eps: float = 1e-6
    dropout: float = 0.0
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class LamdaEmbeddings(nn.Module):
    """The tokens' rows alone: positions are distances between array indices, and none is read."""

    config: LamdaConfig

    def setup(self) -> None:
        c = self.config
        self.tokens = Embed(c.vocab_size, c.d_model, normal(1.0), jnp.dtype(c.dtype))

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        return self.tokens(tokens_BL)

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class Lamda(GPT):
    """A decoder whose tied head reads the states times D^-1/2, as T5's (the paper does not say)."""

    config: LamdaConfig  # type: ignore[assignment]  # of GPT's fields those that its methods here read

    def setup(self) -> None:
        self.embeddings = LamdaEmbeddings(self.config)
        self.decoder = T5Stack(self.config, self.config.num_layers, Block, causal=True)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        return empty_cache(c.num_layers, batch, length, c.num_heads, c.d_kv, jnp.dtype(c.dtype))

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return TokenHead(x * self.config.d_model**-0.5, self.embeddings.table(), None)


_LARGEST = LamdaConfig()

VARIANTS: dict[str, LamdaConfig] = {
    "tiny": replace(_LARGEST, num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": replace(_LARGEST, num_layers=4, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    "137b": _LARGEST,  # 137B without the token table (32,000 rows)
}

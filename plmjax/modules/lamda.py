"""LaMDA (Thoppilan et al. 2022): a decoder of T5's blocks: relative positions and a gated GELU.

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.cache import Cache, append_keys_values, append_segments, empty_cache, layer_cache
from plmjax.modules.heads import TokenHead
from plmjax.modules.masks import Mask
from plmjax.modules.t5 import T5Embeddings, T5Stack
from plmjax.modules.transformer import Block, Given


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


class Lamda(nn.Module):
    """A decoder whose tied head reads the states times D^-1/2, as T5's (the paper does not say)."""

    config: LamdaConfig
    kind: ClassVar[str] = "decoder"

    def setup(self) -> None:
        self.embeddings = T5Embeddings(self.config)
        self.decoder = T5Stack(self.config, self.config.num_layers, Block, causal=True)

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_BLD: Any = self.decode(jnp.zeros((1, 1), jnp.int32))
        self.token_head(x_BLD)

    def decode(
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """States [B, L, D] in `dtype` of int32 [B, L] inputs; with a cache also the cache, these tokens appended.

        `positions_BL` is not read: distances are between array indices, which within a segment is the same.
        `segments_BL`: 0 is padding, and a token sees itself and what precedes it in its segment; None means all ones.
        """
        del positions_BL
        x_BLD = self.embeddings(tokens_BL)
        if cache is None:
            return self.decoder(x_BLD, Given(Mask.within(segments_BL, causal=True)))[0]
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        cache, mask = append_segments(cache, segments_BL)
        x_BLD, fresh = self.decoder(x_BLD, Given(mask), layer_cache(cache))
        return x_BLD, append_keys_values(cache, fresh)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        return empty_cache(c.num_layers, batch, length, c.num_heads, c.d_kv, jnp.dtype(c.dtype))

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return TokenHead(x * self.config.d_model**-0.5, self.embeddings.table(), None)

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()


_LARGEST = LamdaConfig()

VARIANTS: dict[str, LamdaConfig] = {
    "tiny": replace(_LARGEST, num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": replace(_LARGEST, num_layers=4, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    "137b": _LARGEST,  # 137B without the token table (32,000 rows)
}

"""What every encoder-decoder does: it encodes, decodes with the memory of what was encoded, and keeps a cache.

Legend: B batch, L length, S memory length, D model width, V vocabulary rows.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.heads import TokenHead
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import Given


class EncoderDecoder(nn.Module):
    """A subclass makes `encoder` and `decoder`, says how tokens are embedded for each and gives the token head.

    `encoder(x, given)` and `decoder(x, given, cache)` are stacks; the decoder's has `memory_keys_values(memory)`.
    """

    config: Any
    kind: ClassVar[str] = "encoder_decoder"

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        tokens_BL = jnp.zeros((1, 1), jnp.int32)
        x_BLD: Any = self.decode(tokens_BL, self.encode(tokens_BL))
        self.token_head(x_BLD)

    def embed_inputs(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """What the encoder's first layer reads [B, L, D]."""
        raise NotImplementedError

    def embed_targets(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """What the decoder's first layer reads [B, L, D]."""
        raise NotImplementedError

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        raise NotImplementedError

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """The decoder's layers, heads, and width of a head."""
        raise NotImplementedError

    def encode(self, tokens_BL: Array, positions_BL: Array | None = None, segments_BL: Array | None = None) -> Array:
        """The memory [B, L, D] in `dtype` of int32 [B, L] inputs.

        Args:
            tokens_BL: token ids.
            positions_BL: None means 0, 1, ...; not read by networks whose positions are distances.
            segments_BL: 0 is padding, and a token sees its own segment; None means all ones.
        """
        x_BLD, _ = self.encoder(self.embed_inputs(tokens_BL, positions_BL), Given(Mask.within(segments_BL)))
        return x_BLD

    def decode(
        self,
        tokens_BL: Array,
        memory_BSD: Array | None,
        memory_segments_BS: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """States [B, L, D] in `dtype`; with a cache, the states and the cache with these tokens appended.

        Args:
            tokens_BL: what the decoder reads, the targets shifted right. A token sees itself and what precedes it
                in its segment, and the memory of the same segment number.
            memory_BSD: what `encode` gave; may be None with a cache of `start_cache`, which holds what is read of it.
            memory_segments_BS: the encoder's segments; not read with such a cache.
            positions_BL: None means 0, 1, ..., from the cache's index on; not read as in `encode`.
            segments_BL: 0 is padding; None means all ones.
            cache: see cache.py.
        """
        if cache is None:
            x_BLD = self.embed_targets(tokens_BL, positions_BL)
            across = Mask.across(x_BLD, segments_BL, memory_BSD, memory_segments_BS)
            given = Given(Mask.within(segments_BL, causal=True), None, memory_BSD, across)
            return self.decoder(x_BLD, given)[0]
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        if positions_BL is None:
            index_L = cache["index"] + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)
            positions_BL = jnp.broadcast_to(index_L[None], tokens_BL.shape)
        x_BLD = self.embed_targets(tokens_BL, positions_BL)
        cache, mask = append_segments(cache, segments_BL)
        across = Mask(segments_BL, cache["memory_segments"])
        x_BLD, own = self.decoder(x_BLD, Given(mask, memory_mask=across), layer_cache(cache))
        return x_BLD, with_keys_values(cache, own)

    def start_cache(self, memory_BSD: Array, memory_segments_BS: Array | None, length: int) -> Cache:
        """A cache for `length` decoder tokens that holds every layer's keys and values of the memory."""
        layers, heads, width = self.cache_shape
        batch = memory_BSD.shape[0]
        if memory_segments_BS is None:
            memory_segments_BS = jnp.ones(memory_BSD.shape[:2], jnp.int32)
        memory = self.decoder.memory_keys_values(memory_BSD)
        return empty_cache(layers, batch, length, heads, width, jnp.dtype(self.config.dtype)) | {
            "memory_key": memory.key,
            "memory_value": memory.value,
            "memory_segments": memory_segments_BS,
        }

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()

"""The decoders of BART, mBART and Marian alone: language models (`BartForCausalLM` and its like in `transformers`).

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import KeysValues
from plmjax.modules.bart import (
    MARIAN_VARIANTS,
    MBART_VARIANTS,
    VARIANTS,
    Bart,
    BartConfig,
    Marian,
    MarianConfig,
    MBart,
    MBartConfig,
)
from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.heads import TokenHead
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import BlockInputs, CrossBlock, LayerCache


@dataclass(slots=True, unsafe_hash=True)
class BartDecoderConfig(BartConfig):
    """A BartConfig whose encoder is not there; its `num_layers` says nothing, and is carried to and fro."""


@dataclass(slots=True, unsafe_hash=True)
class MBartDecoderConfig(MBartConfig):
    """The fields of BartDecoderConfig, with this family's defaults."""


@dataclass(slots=True, unsafe_hash=True)
class MarianDecoderConfig(MarianConfig):
    """The fields of BartDecoderConfig, with this family's defaults."""


class LoneBlock(CrossBlock):
    """A decoder's layer without a memory. It has the cross-attention's parameters and does not read them."""

    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """Returns what Block's call does."""
        x_BLD, fresh = self.self_attention_sublayer(x_BLD, inputs, cache)
        if self.is_initializing():
            self.cross_attention_sublayer(x_BLD, inputs._replace(memory=x_BLD), None)
        return self.feed_forward(x_BLD), fresh


class BartDecoder(Bart):
    """BART's decoder under its token table. What is made in `Bart.setup` and never called has no parameters."""

    config: Any  # a BartDecoderConfig or the like
    kind: ClassVar[str] = "decoder"

    @property
    def decoder_block(self) -> type[CrossBlock]:
        """The decoder's layer."""
        return LoneBlock

    def known_heads(self) -> tuple[str, ...]:
        """The vocabulary's alone."""
        return ("token",)

    def setup_token_head(self) -> None:
        """There is nothing to make: the head is the token table without a bias. ValueError for other heads."""
        if self.config.heads != ("token",):
            raise ValueError(f"a decoder alone has the head 'token', not {self.config.heads}")

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_BLD: Any = self.decode(jnp.zeros((1, 1), jnp.int32))
        self.token_head(x_BLD)

    def decode(  # type: ignore[override]  # a decoder's
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """States [B, L, D] in `dtype`; with a cache, the states and the cache with these tokens appended.

        Args:
            tokens_BL: token ids.
            positions_BL: None means 0, 1, ..., from the cache's index on.
            segments_BL: 0 is padding; None means all ones.
            cache: see cache.py; `init_cache` makes an empty one.
        """
        if cache is None:
            x_BLD = self.embed_targets(tokens_BL, positions_BL)
            return self.decoder(x_BLD, BlockInputs(Mask.within(segments_BL, causal=True)))[0]
        if positions_BL is None:
            index_L = cache["index"] + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)
            positions_BL = jnp.broadcast_to(index_L[None], tokens_BL.shape)
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        cache, mask = append_segments(cache, segments_BL)
        x_BLD = self.embed_targets(tokens_BL, positions_BL)
        x_BLD, own = self.decoder(x_BLD, BlockInputs(mask), layer_cache(cache))
        return x_BLD, with_keys_values(cache, own)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        layers, heads, width = self.cache_shape
        return empty_cache(layers, batch, length, heads, width, jnp.dtype(self.config.dtype))

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return TokenHead(x, self.embeddings.table(), None)


class MBartDecoder(BartDecoder, MBart):
    """mBART's."""

    config: MBartDecoderConfig


class MarianDecoder(BartDecoder, Marian):
    """Marian's."""

    config: MarianDecoderConfig


def _alone(variants: dict, kind: type) -> dict:
    """The same sizes, of a decoder."""
    return {name: kind(**{key: getattr(c, key) for key in c.__dataclass_fields__}) for name, c in variants.items()}


DECODER_VARIANTS: dict[str, BartDecoderConfig] = _alone(VARIANTS, BartDecoderConfig)
MBART_DECODER_VARIANTS: dict[str, MBartDecoderConfig] = _alone(MBART_VARIANTS, MBartDecoderConfig)
MARIAN_DECODER_VARIANTS: dict[str, MarianDecoderConfig] = _alone(MARIAN_VARIANTS, MarianDecoderConfig)

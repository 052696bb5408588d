"""BART that translates from another language (Lewis et al. 2019, Sec. 3.4).

An encoder of that language's tokens, new and of its own vocabulary, stands where BART's encoder has its words'
embeddings.

Legend: B batch, L length, D model width.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.bart import VARIANTS as BART_VARIANTS
from plmjax.modules.bart import Bart, BartConfig, Positioned
from plmjax.modules.layers import Embed, normal
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import Block, BlockInputs, Stack


@dataclass(slots=True, unsafe_hash=True)
class BartTranslationConfig(BartConfig):
    """The sizes of a BART, whose `vocab_size` is of the language that it writes, and of the new encoder."""

    source_vocab_size: int = 32_000  # rows of the new encoder's token table
    source_layers: int = 6  # of the new encoder, which is as wide as BART


def translation_config(config: BartConfig, source_vocab_size: int, source_layers: int = 6) -> BartTranslationConfig:
    """Returns the config of a pre-trained BART under a new encoder."""
    sizes = {field.name: getattr(config, field.name) for field in fields(BartConfig)}
    return BartTranslationConfig(**sizes, source_vocab_size=source_vocab_size, source_layers=source_layers)


class SourceEmbeddings(nn.Module):
    """The new encoder's own tokens, positions and norm: `tokens/embedding`, `positioned/...`."""

    config: BartTranslationConfig

    def setup(self) -> None:
        c = self.config
        self.tokens = Embed(c.source_vocab_size, c.d_model, normal(c.init_std), jnp.dtype(c.dtype))
        self.positioned = Positioned(c)

    def __call__(self, tokens_BL: Array) -> Array:
        return self.positioned(self.tokens(tokens_BL), None)


class BartTranslation(Bart):
    """Parameters besides BART's: `source_embeddings/...`, `source_encoder/layers/...`."""

    config: BartTranslationConfig

    def setup(self) -> None:
        super().setup()
        c = self.config
        self.source_embeddings = SourceEmbeddings(c)
        block = partial(Block, **self.block_parts())
        self.source_encoder = Stack(c.source_layers, block, remat=c.remat, unroll=c.unroll)

    def encode(self, tokens_BL: Array, positions_BL: Array | None = None, segments_BL: Array | None = None) -> Array:
        """Encodes as EncoderDecoder does, from the source's vocabulary; positions are those of BART's encoder."""
        inputs = BlockInputs(Mask.within(segments_BL))
        words_BLD, _ = self.source_encoder(self.source_embeddings(tokens_BL), inputs)
        return self.encoder(self.encoder_embeddings(words_BLD, positions_BL), inputs)[0]


VARIANTS: dict[str, Any] = {
    "tiny": translation_config(BART_VARIANTS["tiny"], 128, 2),
    "base": translation_config(BART_VARIANTS["base"], 32_000),
    # Lewis et al. 2019, Sec. 5.3: the large BART; of the new encoder's vocabulary the paper says nothing
    "large": translation_config(BART_VARIANTS["large"], 32_000),
}

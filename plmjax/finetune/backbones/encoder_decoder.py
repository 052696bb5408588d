"""Encoder-decoders under heads: the encoder reads a row, the decoder reads it again (Lewis et al. 2019, Sec. 3.1-3.2).

The decoder's row is the encoder's shifted right behind the token that the checkpoint's decoder starts from: its state
at a place has read what precedes the place and, through the encoder, the whole row. A text's class is read at the place
of the last EOS; tags and answers at each token's place. T5's tags are read off the encoder alone, as in `transformers`.
An mBART's row has its language's token at its end, which the decoder reads first (mBART-50's at its beginning).

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import jax

from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import pair_template
from plmjax.modules import Bound
from plmjax.modules.network import EncoderDecoderNetwork
from plmjax.objectives.sequences import shift_right


@dataclass(frozen=True)
class EncoderDecoderBackbone(Backbone):
    """BART and its like; `start` is the decoder's first token."""

    start: int = 0

    def states(self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """The states of the decoder."""
        memory_BLD = network.encode(tokens_BL, None, segments_BL)
        shifted_BL = jax.vmap(shift_right, (0, None))(tokens_BL, self.start)
        return network.decode(shifted_BL, memory_BLD, segments_BL, None, segments_BL)


@dataclass(frozen=True)
class T5Backbone(EncoderDecoderBackbone):
    """T5, whose tags need no decoder."""

    def tag_states(
        self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array
    ) -> jax.Array:
        """The states of the encoder."""
        return network.encode(tokens_BL, None, segments_BL)


def encoder_decoder_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """Makes the backbone of BART, mBART, Marian, T5 and the like.

    Raises:
        UserError: the network has no heads, or a token or a language is missing.
    """
    template, start = pair_template(pretrained, recipe.seq2seq.source_language)
    kind = T5Backbone if cast(EncoderDecoderNetwork, pretrained.module).tags_by_encoder else EncoderDecoderBackbone
    return kind(pretrained.config, tokenizer_of(pretrained), template, start)

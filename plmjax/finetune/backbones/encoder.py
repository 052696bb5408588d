"""BERT and its like, and XLNet, whose content stream reads as an encoder.

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp

from plmjax.data.templates import Template, cls_sep_template, xlnet_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.modules import Bound
from plmjax.modules.facts import doubles_separator, num_languages_of, pools_all_tokens, token_types_of
from plmjax.modules.network import EncoderNetwork


@dataclass(frozen=True)
class EncoderBackbone(Backbone):
    """Token types as the template has them; in a network that has a table of languages, all of one language."""

    language: int = 0

    def states(self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        types: jax.Array | None = None if self.template.token_types == "none" else types_BL
        if num_languages_of(self.config):
            types = jnp.full_like(tokens_BL, self.language)
        return network.encode(tokens_BL, types, None, segments_BL)

    def class_states(self, network: Bound, x_BLD: jax.Array, index_B: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """The first token's state, or the mean of all where the network's config asks for that: [B, 1, D]."""
        if pools_all_tokens(self.config):
            return network.summary(x_BLD, segments_BL)
        return super().class_states(network, x_BLD, index_B, segments_BL)


def encoder_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """Makes the backbone of BERT and its like; UserError for a language that the network does not have."""
    config, tokenizer = pretrained.config, tokenizer_of(pretrained)
    languages = num_languages_of(config) or 0
    if languages and not 0 <= recipe.language < languages:
        raise UserError(
            f"language is {recipe.language}, but the network has {languages} languages: give one from 0 to "
            f"{languages - 1}."
        )
    return EncoderBackbone(config, tokenizer, encoder_template(config, tokenizer.vocabulary), recipe.language)


def two_stream_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """Makes the backbone of XLNet, or of BERT with a second stream."""
    config, tokenizer = pretrained.config, tokenizer_of(pretrained)
    class_last = cast(EncoderNetwork, pretrained.module).class_token == "last"
    vocabulary = tokenizer.vocabulary
    template = xlnet_template(vocabulary) if class_last else encoder_template(config, vocabulary)
    return EncoderBackbone(config, tokenizer, template)


def encoder_template(config: Any, vocabulary: Vocabulary) -> Template:
    """The template of an encoder; UserError where the vocabulary lacks a token that opens or closes a text."""
    double = doubles_separator(config)
    token_types = "segments" if (token_types_of(config) or 0) > 1 else "none"
    return cls_sep_template(vocabulary, double_separator=double, token_types=token_types)

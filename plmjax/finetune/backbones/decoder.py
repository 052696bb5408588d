"""GPT as its paper fine-tunes it (Radford et al. 2018, Sec. 3.2 and 3.3).

Three new tokens, start, delimiter and extract, are put around the texts; the state at the last is what heads read. The
language model's loss is trained beside the task's.

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import jax
import jax.numpy as jnp

from plmjax.data.templates import Template
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.network import DecoderNetwork


@dataclass(frozen=True)
class DecoderBackbone(Backbone):
    """A decoder with a class head; `lm_weight` is the language-model loss's factor, the paper's lambda."""

    lm_weight: float = 0.5

    both_orders: ClassVar[bool] = True
    bidirectional: ClassVar[bool] = False

    @property
    def new_names(self) -> tuple[str, ...]:
        return ("start", "delimiter", "extract")

    def states(self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        return network.decode(tokens_BL, None, segments_BL)

    def losses(
        self, network: Bound, x_BLD: jax.Array, tokens_BL: jax.Array, segments_BL: jax.Array
    ) -> dict[str, Weighted]:
        """The mean over a row's tokens but the first, and over the rows, as in the released code."""
        if not self.lm_weight:
            return {}
        head = network.token_head(x_BLD[:, :-1])
        real_BL = (segments_BL[:, 1:] > 0).astype(jnp.float32)
        count_B1 = jnp.sum(real_BL, axis=1, keepdims=True)
        weights_BL = real_BL / jnp.maximum(count_B1, 1.0)
        size = self.config.vocab_size + self.new_tokens
        loss = cross_entropy(head.h, head.table, head.bias, tokens_BL[:, 1:], weights_BL, size=size)
        return {"lm": loss.total}

    def coefficients(self) -> dict[str, float]:
        return {"lm": self.lm_weight}


def decoder_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """Makes the backbone of a decoder; UserError for one without a class head."""
    config = pretrained.config
    if "sequence_classification" not in cast(DecoderNetwork, pretrained.module).known_heads():
        raise UserError(f"A {type(config).__name__} has no class head: fine-tune a GPT or CTRL, or an encoder.")
    if recipe.lm_weight < 0:
        raise UserError(f"lm_weight is {recipe.lm_weight}: it must be at least 0.")
    start = config.vocab_size
    template = Template((start,), (start + 1,), (start + 2,), class_last=True)
    return DecoderBackbone(config, tokenizer_of(pretrained), template, recipe.lm_weight)

"""Encoder-decoders under heads: the encoder reads a row, the decoder reads it again (Lewis et al. 2019, Sec. 3.1-3.2).

The decoder's row is the encoder's shifted right behind the token that the checkpoint's decoder starts from: its state
at a place has read what precedes the place and, through the encoder, the whole row. A text's class is read at the place
of the last EOS; tags and answers at each token's place. T5's tags are read off the encoder alone, as in `transformers`.
An mBART's row has its language's token at its end, which the decoder reads first (mBART-50's at its beginning).

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax

from plmjax.data.templates import Template
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import source_template
from plmjax.modules import Bound, family_of
from plmjax.objectives.sequences import shift_right

FRAMED = ("bart", "mbart", "marian", "t5")


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
    """Makes the backbone of BART, mBART, Marian or T5.

    Raises:
        UserError: it is another network, or a token or a language is missing.
    """
    config, tokenizer = pretrained.config, tokenizer_of(pretrained)
    family = family_of(config)
    if family not in FRAMED:
        raise UserError(
            f"A network of the family {family!r} has no heads to fine-tune here: use one of {', '.join(FRAMED)}."
        )
    kind = T5Backbone if family == "t5" else EncoderDecoderBackbone
    if family == "mbart":
        return kind(config, tokenizer, *_template_of_language(pretrained, recipe.writer.source_language))
    start, ending = _special(pretrained, "decoder_start_token_id"), _special(pretrained, "eos_token_id")
    template = Template((), (ending,), (ending,), class_last=True)  # A </s> B </s>
    if family == "bart":  # <s> A </s> </s> B </s>
        template = replace(template, prefix=(_special(pretrained, "bos_token_id"),), separator=(ending, ending))
    return kind(config, tokenizer, template, start)


def _template_of_language(pretrained: Pretrained, language: str) -> tuple[Template, int]:
    """A </s> B </s> en_XX and its decoder's first token, en_XX; mBART-50: en_XX A </s> B </s>, and </s>."""
    if not language:
        raise UserError(
            "An mBART needs the language of its texts: give --config.writer.source_language, such as en_XX."
        )
    found = source_template(pretrained, language, language)
    ending, *after = found.source.suffix
    template = replace(found.source, separator=(ending,), class_last=True, after_class=len(after))
    return template, found.decoder_start_token_id


def _special(pretrained: Pretrained, name: str) -> int:
    if name not in pretrained.special:
        raise UserError(f"The checkpoint does not say its {name}: take one whose tokenizer or config.json has it.")
    return pretrained.special[name]

"""How a network reads a text and writes another: what stands round both, and what the writing begins and ends with.

An encoder-decoder reads the text in its encoder, and its decoder writes; what stands round them is as in transformers.
A decoder reads the text, a delimiter and what it has written so far in one row. The delimiter is EOS, with which the
inputs end too where a decoder is pre-trained on inputs and targets (Raffel et al. 2020, Sec. 3.2.1): the network knows
it, and no token is needed that the tokenizer lacks. Where there is neither EOS nor a separator (GPT-1) it is a new one,
which ends the text too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plmjax.data.templates import Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import source_template, target_tokens
from plmjax.modules.facts import num_languages_of, vocabulary_cuts_of

TEXT_TO_TEXT = "text_to_text"  # a recipe's task_model: every task is done by writing, in T5's words


@dataclass(frozen=True)
class Seq2SeqBackbone(Backbone):
    """A decoder or an encoder-decoder; the template is that of what it reads.

    Attributes:
        kind: of the network.
        start: the first token that an encoder-decoder's decoder reads, or a decoder's delimiter.
        first: the token that a target begins with, or None.
        last: those that it ends with; the first of them ends what is written.
        new: names of the new tokens.
        source_tokenizer: of what is read, where it is another than that of what is written.
    """

    kind: str
    start: int
    first: int | None
    last: tuple[int, ...]
    new: tuple[str, ...] = ()
    source_tokenizer: Tokenizer | None = None

    @property
    def reads(self) -> Tokenizer:
        """The tokenizer of what is read."""
        return self.source_tokenizer or self.tokenizer

    @property
    def new_names(self) -> tuple[str, ...]:
        return self.new

    @property
    def end(self) -> int:
        """The token that ends what is written."""
        return self.last[0]

    @property
    def size(self) -> int:
        """Rows of the token table."""
        return self.config.vocab_size + self.new_tokens

    def framed_target(self, text: list[int]) -> list[int]:
        """A target's tokens, all of which are learned."""
        return [*(() if self.first is None else (self.first,)), *text, *self.last]


def seq2seq_backbone(pretrained: Pretrained, recipe: FineTune) -> Seq2SeqBackbone:
    """Of a network that writes; UserError for one that does not, or a checkpoint without a tokenizer."""
    tokenizer_of(pretrained)
    config, kind = pretrained.config, pretrained.module.kind
    if kind == "encoder_decoder":
        return _of_encoder_decoder(pretrained, recipe.writer)
    if kind != "decoder":
        raise UserError(
            f"A {type(config).__name__}, of kind {kind!r}, writes no text: use a decoder such as GPT-2, or an "
            "encoder-decoder such as T5."
        )
    if vocabulary_cuts_of(config) or num_languages_of(config):
        raise UserError(
            f"Texts are written by a decoder with one softmax and no table of languages, which a "
            f"{type(config).__name__} is not: use one such as GPT-2."
        )
    return _of_decoder(pretrained)


def _of_encoder_decoder(pretrained: Pretrained, writer: Any) -> Seq2SeqBackbone:
    template = source_template(pretrained, writer.source_language or None, writer.target_language or None)
    first, last = target_tokens(pretrained, template)
    return Seq2SeqBackbone(
        pretrained.config,
        tokenizer_of(pretrained),
        template.source,
        "encoder_decoder",
        template.decoder_start_token_id,
        first,
        last,
        source_tokenizer=template.source_tokenizer,
    )


def _of_decoder(pretrained: Pretrained) -> Seq2SeqBackbone:
    vocabulary = pretrained.tokenizer.vocabulary
    known = pretrained.special.get("eos_token_id", vocabulary.eos)
    token = known if known is not None else vocabulary.sep
    new = ("delimiter",) if token is None else ()
    delimiter = pretrained.config.vocab_size if token is None else token
    template = Template(suffix=(delimiter,))
    config = pretrained.config
    return Seq2SeqBackbone(config, pretrained.tokenizer, template, "decoder", delimiter, None, (delimiter,), new)

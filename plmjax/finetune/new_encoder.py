"""A BART that is to translate from another language: a new encoder of that language's tokens below its own.

Lewis et al. 2019, Sec. 3.4. `update_strategies.NewEncoderFirst` says what is trained when.
"""

from __future__ import annotations

from dataclasses import replace

from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import writes
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.interop.native_only import TRANSLATION
from plmjax.interop.templates import new_encoder_template
from plmjax.modules.bart import BartConfig
from plmjax.modules.bart_translation import translation_config
from plmjax.tasks.supervised import SupervisedTask


def with_new_encoder(pretrained: Pretrained, task: SupervisedTask, recipe: FineTune) -> Pretrained:
    """The checkpoint under the new encoder that `recipe.seq2seq` asks for; as it is where it asks for none.

    The new encoder's parameters are not among the checkpoint's, and stay fresh.

    Raises:
        UserError: the task is not done by writing, the network is no BART or has a new encoder already, or the source's
            tokenizer is not there, or has nothing that ends a text.
    """
    seq2seq = recipe.seq2seq
    if not seq2seq.source_tokenizer:
        return pretrained
    if not writes(task, recipe):
        raise UserError(
            "seq2seq.source_tokenizer is for tasks whose answers are generated, but this one is of kind "
            f"{task.kind!r}: leave it out."
        )
    if type(pretrained.config) is not BartConfig:
        raise UserError(
            "seq2seq.source_tokenizer puts a new encoder below a BART that has none, but this is a "
            f"{type(pretrained.config).__name__}: leave it out."
        )
    if seq2seq.source_layers < 1:
        raise UserError(f"seq2seq.source_layers is {seq2seq.source_layers}: it must be at least 1.")
    try:
        tokenizer = load_tokenizer(seq2seq.source_tokenizer)
    except UserError as error:
        raise UserError(f"seq2seq.source_tokenizer: {error}") from error
    new_encoder_template(tokenizer)
    config = translation_config(pretrained.config, tokenizer.vocabulary.padded_size, seq2seq.source_layers)
    return replace(pretrained, config=config, architecture=TRANSLATION, source_tokenizer=tokenizer)

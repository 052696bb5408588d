"""The readers: one line for each kind of network, and one for all that write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Reader
from plmjax.finetune.backbones.characters import character_reader
from plmjax.finetune.backbones.decoder import decoder_reader
from plmjax.finetune.backbones.encoder import encoder_reader, two_stream_reader
from plmjax.finetune.backbones.encoder_decoder import encoder_decoder_reader
from plmjax.finetune.backbones.text import TEXT_TO_TEXT, text_reader
from plmjax.interop import Pretrained

__all__ = ["READERS", "Reader", "make_reader", "reader_of"]

# kind of network -> (checkpoint, recipe) -> Reader
READERS: dict[str, Callable[[Pretrained, Any], Reader]] = {
    "encoder": encoder_reader,
    "two_stream": two_stream_reader,
    "decoder": decoder_reader,
    "encoder_decoder": encoder_decoder_reader,
    "bidirectional": character_reader,
}


def reader_of(pretrained: Pretrained, task: Any, recipe: Any) -> Reader:
    """The reader for a task: of texts where it is done by writing, else of the network's kind.

    Raises:
        UserError: the network can't do it, or the checkpoint has no tokenizer.
    """
    if task.kind == "mixture" and recipe.way != TEXT_TO_TEXT:
        raise UserError(
            "The tasks of a mixture are done text to text: take --config=experiments/configs/finetune/t5.py:mini, or "
            f"set --config.way={TEXT_TO_TEXT}."
        )
    return text_reader(pretrained, recipe) if writes(task, recipe) else make_reader(pretrained, recipe)


def writes(task: Any, recipe: Any) -> bool:
    """Whether a task is done by writing."""
    return recipe.way == TEXT_TO_TEXT or task.kind == "writing"


def make_reader(pretrained: Pretrained, recipe: Any) -> Reader:
    """The reader of a checkpoint's network; UserError where there is none, or the checkpoint has no tokenizer."""
    kind = pretrained.module.kind
    if kind not in READERS:
        raise UserError(f"A network of kind {kind!r} is not fine-tuned here: use one of kind {', '.join(READERS)}.")
    return READERS[kind](pretrained, recipe)

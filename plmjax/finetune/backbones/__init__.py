"""The backbones: one line for each kind of network, and one for text to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone
from plmjax.finetune.backbones.characters import character_backbone
from plmjax.finetune.backbones.decoder import decoder_backbone
from plmjax.finetune.backbones.encoder import encoder_backbone, two_stream_backbone
from plmjax.finetune.backbones.encoder_decoder import encoder_decoder_backbone
from plmjax.finetune.backbones.text import TEXT_TO_TEXT, seq2seq_backbone
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.tasks.supervised import SupervisedTask

__all__ = ["BACKBONES", "Backbone", "backbone_of", "make_backbone"]

# kind of network -> (checkpoint, recipe) -> Backbone
BACKBONES: dict[str, Callable[[Pretrained, Any], Backbone]] = {
    "encoder": encoder_backbone,
    "two_stream": two_stream_backbone,
    "decoder": decoder_backbone,
    "encoder_decoder": encoder_decoder_backbone,
    "bidirectional": character_backbone,
}


def backbone_of(pretrained: Pretrained, task: SupervisedTask, recipe: FineTune) -> Backbone:
    """The backbone for a task: text to text where the task is done by writing, else that of the network's kind.

    Raises:
        UserError: the network can't do it, or the checkpoint has no tokenizer.
    """
    if task.kind == "mixture" and recipe.task_model != TEXT_TO_TEXT:
        raise UserError(
            "A mixture of tasks must be done text to text: take --config=experiments/configs/finetune/t5.py:mini, or "
            f"set --config.task_model={TEXT_TO_TEXT}."
        )
    return seq2seq_backbone(pretrained, recipe) if writes(task, recipe) else make_backbone(pretrained, recipe)


def writes(task: SupervisedTask, recipe: FineTune) -> bool:
    """True where a task's answers are generated as text."""
    return recipe.task_model == TEXT_TO_TEXT or task.kind == "seq2seq"


def make_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """The backbone of a checkpoint's network; UserError where there is none, or the checkpoint has no tokenizer."""
    kind = pretrained.module.kind
    if kind not in BACKBONES:
        raise UserError(f"A network of kind {kind!r} can't be fine-tuned: use one of kind {', '.join(BACKBONES)}.")
    return BACKBONES[kind](pretrained, recipe)

"""The ways: one line for each kind of task, and for each that a recipe may name instead."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.backbones import Reader
from plmjax.finetune.backbones.text import TEXT_TO_TEXT
from plmjax.finetune.task_models.base import Limits, Way
from plmjax.finetune.task_models.multiple_choice import ChoicesWay
from plmjax.finetune.task_models.question_answering import SpansWay
from plmjax.finetune.task_models.question_answering_beam import BeamSpansWay
from plmjax.finetune.task_models.seq2seq import WritingWay
from plmjax.finetune.task_models.sequence_classification import NumbersWay, TextsWay
from plmjax.finetune.task_models.text_to_text import TextToTextWay
from plmjax.finetune.task_models.token_classification import ChainedTagsWay, TagsWay
from plmjax.tasks.verbalizers import FORMS

__all__ = ["OTHERS", "WAYS", "Limits", "Way", "make_way"]

WAYS: dict[str, type[Way]] = {
    "classification": TextsWay,
    "regression": NumbersWay,
    "tagging": TagsWay,
    "spans": SpansWay,
    "multiple_choice": ChoicesWay,
    "writing": WritingWay,
}

# name in a recipe's `way` -> (the kinds of tasks that it does, the way)
OTHERS: dict[str, tuple[Collection[str], type[Way]]] = {
    "spans_by_beam": (("spans",), BeamSpansWay),
    "chained_tags": (("tagging",), ChainedTagsWay),
    TEXT_TO_TEXT: (FORMS, TextToTextWay),
}


def make_way(task: Any, reader: Reader, limits: Limits, recipe: Any) -> Way:
    """The way that the recipe names, else that of the task's kind; UserError where there is none."""
    if recipe.way:
        if recipe.way not in OTHERS:
            raise UserError(f"way is {recipe.way!r}: it must be empty or one of {', '.join(OTHERS)}.")
        kinds, way = OTHERS[recipe.way]
        if task.kind not in kinds:
            known = ", ".join(kinds)
            raise UserError(f"The way {recipe.way!r} does tasks of kind {known}, and this one is {task.kind!r}.")
        return way(task, reader, limits, recipe)
    if task.kind not in WAYS:
        raise UserError(f"Nothing here does tasks of kind {task.kind!r}: it must be one of {', '.join(WAYS)}.")
    return WAYS[task.kind](task, reader, limits, recipe)

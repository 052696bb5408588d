"""The ways: one line for each kind of task, and for each that a recipe may name instead."""

from __future__ import annotations

from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.readers import Reader
from plmjax.finetune.ways.base import Limits, Way
from plmjax.finetune.ways.beam_spans import BeamSpansWay
from plmjax.finetune.ways.choices import ChoicesWay
from plmjax.finetune.ways.spans import SpansWay
from plmjax.finetune.ways.tags import TagsWay
from plmjax.finetune.ways.text_to_text import TextToTextWay
from plmjax.finetune.ways.texts import NumbersWay, TextsWay
from plmjax.finetune.ways.writing import WritingWay

__all__ = ["OTHERS", "WAYS", "Limits", "Way", "make_way"]

WAYS: dict[str, type[Way]] = {
    "classification": TextsWay,
    "regression": NumbersWay,
    "tagging": TagsWay,
    "spans": SpansWay,
    "multiple_choice": ChoicesWay,
    "writing": WritingWay,
}

# name in a recipe's `way` -> (the kind of tasks that it does, the way)
OTHERS: dict[str, tuple[str, type[Way]]] = {"spans_by_beam": ("spans", BeamSpansWay)}


def make_way(task: Any, reader: Reader, limits: Limits, recipe: Any) -> Way:
    """The way that the recipe names, else that of the task's kind; UserError where there is none."""
    if recipe.text_to_text:
        return TextToTextWay(task, reader, limits, recipe)
    if recipe.way:
        if recipe.way not in OTHERS:
            raise UserError(f"way is {recipe.way!r}: it must be empty or one of {', '.join(OTHERS)}.")
        kind, way = OTHERS[recipe.way]
        if kind != task.kind:
            raise UserError(f"The way {recipe.way!r} does tasks of kind {kind!r}, and this one is {task.kind!r}.")
        return way(task, reader, limits, recipe)
    if task.kind not in WAYS:
        raise UserError(f"Nothing here does tasks of kind {task.kind!r}: it must be one of {', '.join(WAYS)}.")
    return WAYS[task.kind](task, reader, limits, recipe)

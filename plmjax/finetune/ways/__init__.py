"""The ways: one line for each kind of task."""

from __future__ import annotations

from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.readers import Reader
from plmjax.finetune.ways.base import Limits, Way
from plmjax.finetune.ways.choices import ChoicesWay
from plmjax.finetune.ways.spans import SpansWay
from plmjax.finetune.ways.tags import TagsWay
from plmjax.finetune.ways.text_to_text import TextToTextWay
from plmjax.finetune.ways.texts import NumbersWay, TextsWay
from plmjax.finetune.ways.writing import WritingWay

__all__ = ["WAYS", "Limits", "Way", "make_way"]

WAYS: dict[str, type[Way]] = {
    "classification": TextsWay,
    "regression": NumbersWay,
    "tagging": TagsWay,
    "spans": SpansWay,
    "multiple_choice": ChoicesWay,
    "writing": WritingWay,
}


def make_way(task: Any, reader: Reader, limits: Limits, recipe: Any) -> Way:
    """The way of a task's kind, or to do any by writing; UserError where there is none."""
    if recipe.text_to_text:
        return TextToTextWay(task, reader, limits, recipe)
    if task.kind not in WAYS:
        raise UserError(f"Nothing here does tasks of kind {task.kind!r}: it must be one of {', '.join(WAYS)}.")
    return WAYS[task.kind](task, reader, limits, recipe)

"""The task models: one line for each kind of task, and for each that a recipe may name instead."""

from __future__ import annotations

from collections.abc import Collection

from plmjax.errors import UserError
from plmjax.finetune.backbones import Backbone
from plmjax.finetune.backbones.text import TEXT_TO_TEXT
from plmjax.finetune.config import FineTune
from plmjax.finetune.task_models.base import LengthLimits, TaskModel
from plmjax.finetune.task_models.multiple_choice import MultipleChoiceModel
from plmjax.finetune.task_models.question_answering import QuestionAnsweringModel
from plmjax.finetune.task_models.question_answering_beam import BeamQuestionAnsweringModel
from plmjax.finetune.task_models.seq2seq import Seq2SeqModel
from plmjax.finetune.task_models.sequence_classification import RegressionModel, SequenceClassificationModel
from plmjax.finetune.task_models.text_to_text import TextToTextModel
from plmjax.finetune.task_models.token_classification import CrfTokenClassificationModel, TokenClassificationModel
from plmjax.renames import new_value
from plmjax.tasks.supervised import SupervisedTask
from plmjax.tasks.verbalizers import VERBALIZERS

__all__ = ["ALTERNATIVES", "TASK_MODELS", "LengthLimits", "TaskModel", "make_task_model"]

TASK_MODELS: dict[str, type[TaskModel]] = {
    "classification": SequenceClassificationModel,
    "regression": RegressionModel,
    "token_classification": TokenClassificationModel,
    "question_answering": QuestionAnsweringModel,
    "multiple_choice": MultipleChoiceModel,
    "seq2seq": Seq2SeqModel,
}

# name in a recipe's `task_model` -> (the kinds of tasks that it does, the class)
ALTERNATIVES: dict[str, tuple[Collection[str], type[TaskModel]]] = {
    "beam_question_answering": (("question_answering",), BeamQuestionAnsweringModel),
    "crf_token_classification": (("token_classification",), CrfTokenClassificationModel),
    TEXT_TO_TEXT: (VERBALIZERS, TextToTextModel),
}


def make_task_model(task: SupervisedTask, backbone: Backbone, limits: LengthLimits, recipe: FineTune) -> TaskModel:
    """The task model that the recipe names, else that of the task's kind; UserError where there is none."""
    if recipe.task_model:
        if renamed := new_value("FineTune", "task_model", recipe.task_model):
            raise UserError(f"The task_model {recipe.task_model!r} is now called {renamed!r}: give it by that name.")
        if recipe.task_model not in ALTERNATIVES:
            known = ", ".join(ALTERNATIVES)
            raise UserError(f"task_model is {recipe.task_model!r}: it must be empty or one of {known}.")
        kinds, task_model = ALTERNATIVES[recipe.task_model]
        if task.kind not in kinds:
            known = ", ".join(kinds)
            raise UserError(
                f"The task_model {recipe.task_model!r} does tasks of kind {known}, but this one is {task.kind!r}: "
                "leave task_model empty."
            )
        return task_model(task, backbone, limits, recipe)
    if task.kind not in TASK_MODELS:
        raise UserError(
            f"No task model does tasks of kind {task.kind!r}: the kind must be one of {', '.join(TASK_MODELS)}."
        )
    return TASK_MODELS[task.kind](task, backbone, limits, recipe)

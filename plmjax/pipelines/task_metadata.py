"""The task and recipe that a checkpoint was fine-tuned with, from its manifest or from Hugging Face's config.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from plmjax.checkpoints.serialize import from_json
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.interop.heads import ANSWER, CLASS, TAG
from plmjax.modules.facts import num_labels_of
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.spans import QuestionAnsweringTask
from plmjax.tasks.tagging import TokenClassificationTask

METHOD_OF_TASK = {
    "classification": "classify",
    "regression": "classify",
    "token_classification": "tag",
    "question_answering": "answer",
    "multiple_choice": "choose",
}
"""{kind of a task: the method of `Model` that does it}."""


def task_of(pretrained: Pretrained) -> Any | None:
    """The task with its labels; None for a network that was fine-tuned on none."""
    if stored := pretrained.task_metadata.get("task"):
        return from_json(stored)
    name, labels = pretrained.architecture, labels_of(pretrained)
    if name.endswith(CLASS):
        kind = pretrained.extras.get("problem_type")
        if kind == "multi_label_classification":
            raise UserError(
                f"This {name} gives a text several labels, for which plmjax has no task: call it on input_ids."
            )
        is_number = kind == "regression" or len(labels) == 1
        return RegressionTask() if is_number else ClassificationTask(labels=labels)
    if name.endswith(TAG):
        return TokenClassificationTask(labels=labels, scheme="IOB2" if are_iob(labels) else "none")
    return QuestionAnsweringTask() if name.endswith(ANSWER) else None


def recipe_of(pretrained: Pretrained) -> FineTune:
    """The recipe, without the loss that only training needs."""
    stored = pretrained.task_metadata.get("recipe")
    recipe = from_json(stored) if stored else FineTune()
    return replace(recipe, lm_weight=0.0)


def labels_of(pretrained: Pretrained) -> tuple[str, ...]:
    """The labels' names in the order of their numbers; LABEL_0 and so on, as in `transformers`, where it has none."""
    named = pretrained.extras.get("id2label")
    if named:
        return tuple(named[number] for number in sorted(named, key=int))
    config = pretrained.config
    count = num_labels_of(config) or 0
    return tuple(f"LABEL_{number}" for number in range(count))


def are_iob(labels: Sequence[str]) -> bool:
    """Whether the tags are in the IOB2 scheme."""
    return all(label == "O" or label[:2] in ("B-", "I-") for label in labels)


def abilities(pretrained: Pretrained) -> list[str]:
    """The methods on strings that this checkpoint supports."""
    task = task_of(pretrained)
    found = [METHOD_OF_TASK[task.kind]] if task is not None and task.kind in METHOD_OF_TASK else []
    module, tokenizer = pretrained.module, pretrained.tokenizer
    if module.kind == "encoder" and "token" in module.config.heads:
        found.append("fill_mask")
    if module.kind == "encoder_decoder" and pretrained.generates and tokenizer and tokenizer.vocabulary.sentinels:
        found.append("fill_mask")
    return [*found, "generate"] if pretrained.generates else found


def unsupported(pretrained: Pretrained, action: str) -> UserError:
    """The error of a checkpoint that cannot do what is asked, such as "classify texts"."""
    known = " and ".join(abilities(pretrained))
    methods = f"its methods on strings are {known}" if known else "it has no head that works on strings"
    return UserError(
        f"This checkpoint, a {pretrained.architecture}, can't {action}: {methods}; experiments.finetune can train it."
    )


def require_tokenizer(pretrained: Pretrained) -> Any:
    """The tokenizer; UserError where there is none."""
    if pretrained.tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put its tokenizer's files into the checkpoint's directory.")
    return pretrained.tokenizer

"""Predictions of a fine-tuned network: the rows and batches of plmjax.finetune, without its training.

Legend: B batch.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from plmjax.data.buckets import bucket, sorted_plan
from plmjax.data.templates import Template
from plmjax.finetune.backbones import Backbone, backbone_of, writes
from plmjax.finetune.features import Feature, make_batch
from plmjax.finetune.network import limits_of
from plmjax.finetune.task_models import make_task_model
from plmjax.finetune.task_models.seq2seq import Seq2SeqModel
from plmjax.interop import Pretrained
from plmjax.modules import Bound
from plmjax.pipelines.task_metadata import recipe_of
from plmjax.tasks.supervised import Example

MAX_ROWS = 32  # of a batch


class PredictedExample(NamedTuple):
    """An example's prediction, of the task's kind, and its rows with the network's outputs."""

    prediction: Any
    rows: list[tuple[Feature, dict[str, np.ndarray]]]


class Predictor:
    """The task model of a checkpoint's task, compiled for each shape of batches.

    Args:
        pretrained: from `plmjax.load`.
        task: the one that it was fine-tuned on.
    """

    def __init__(self, pretrained: Pretrained, task: Any) -> None:
        recipe = recipe_of(pretrained)
        self.task = task
        self.architecture = pretrained.architecture
        backbone = backbone_for(pretrained, task, recipe)
        self.task_model = make_task_model(task, backbone, limits_of(pretrained.config, recipe), recipe)
        self._params = pretrained.device_params
        self._module = pretrained.module
        self._predict = jax.jit(self._forward)

    @property
    def generates_text(self) -> bool:
        """Whether predictions are generated as text, so that they have no probabilities."""
        return isinstance(self.task_model, Seq2SeqModel)

    def predict(self, examples: Sequence[Example]) -> list[PredictedExample]:
        """The predictions, in the order of the examples; UserError for an example that is too long."""
        features = self.task_model.features(examples, learn=False)
        outputs: list[Any] = [None] * len(features)
        table = self.task_model.backbone.lookup_table()
        size = bucket(len(features), smallest=1, most=MAX_ROWS)
        for rows in sorted_plan(np.array([feature.length for feature in features], np.int64), size):
            batch = self._batch([features[row] for row in rows], size)
            found = jax.device_get(self._predict(self._params, batch, table))
            for place, row in enumerate(rows):
                outputs[row] = {name: value[place] for name, value in found.items()}
        predictions = self.task_model.predictions(examples, features, outputs)
        rows_of: list[list[Any]] = [[] for _ in examples]
        for feature, output in zip(features, outputs, strict=True):
            rows_of[feature.example].append((feature, output))
        return [PredictedExample(*one) for one in zip(predictions, rows_of, strict=True)]

    def _forward(self, params: Any, batch: dict[str, jax.Array], table: Any) -> dict[str, jax.Array]:
        task_model = copy.copy(self.task_model)
        task_model.backbone = task_model.backbone.with_table(table)
        return task_model.forward(Bound(self._module, params), batch, train=False)[2]

    def _batch(self, features: list[Feature], rows: int) -> dict[str, np.ndarray]:
        """Rows padded to a power of two, or to the network's positions."""
        longest = max(feature.length for feature in features)
        length = bucket(longest, most=self.task_model.limits.length)
        return make_batch(features, rows, length, self.task_model.padding)


def backbone_for(pretrained: Pretrained, task: Any, recipe: Any) -> Backbone:
    """The backbone of a fine-tuned network; one that `transformers` fine-tuned has no template of GPT's."""
    new = pretrained.extras.get("new_tokens")
    if new:  # its table has rows for them, which the backbone puts after the checkpoint's own
        config = dataclasses.replace(pretrained.config, vocab_size=min(new.values()))
        return backbone_of(dataclasses.replace(pretrained, config=config), task, recipe)
    backbone = backbone_of(pretrained, task, recipe)
    if pretrained.module.kind == "decoder" and not writes(task, recipe):
        return dataclasses.replace(backbone, template=Template(class_last=True))
    return backbone

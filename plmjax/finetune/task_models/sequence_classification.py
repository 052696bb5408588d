"""Classification and regression by the class head: one row an example, or both orders of two texts.

Legend: B batch, R rows of an example, L length, D model width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.finetune.features import Feature
from plmjax.finetune.task_models.base import ForwardOutput, RowOutput, TaskModel, arrays_of
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.supervised import Example


class SequenceTaskModel(TaskModel):
    """Reads R rows of each example and takes the states of their class tokens; `rows` says which texts they hold."""

    heads: ClassVar[tuple[str, ...]] = ("sequence_classification",)

    def rows(self, texts: Sequence[list[int]]) -> list[list[list[int]]]:
        """The texts of each row; every example has as many rows."""
        raise NotImplementedError

    def target(self, example: Example) -> Any:
        """An example's target as a scalar array; of an unlabelled one some value."""
        return np.int32(0 if example.target is None else example.target)

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        encoded = iter(self.backbone.tokenizer.encode_batch([text for example in examples for text in example.texts]))
        features = []
        for number, example in enumerate(examples):
            rows = self.rows([next(encoded) for _ in example.texts])
            packed = [self.backbone.template.pack(*self.fitted(example, row)) for row in rows]
            longest = max(len(row.tokens) for row in packed)
            fields = [arrays_of(row) for row in packed]
            padding = self.padding
            sequences = {
                name: np.stack([_filled(one[name], longest, padding.get(name, 0)) for one in fields])
                for name in fields[0]
            }
            values = {
                "class_index": np.array([row.class_index for row in packed], np.int32),
                "target": self.target(example),
                "target_weight": np.float32(example.target is not None),
            }
            features.append(Feature(number, longest, sequences, values))
        return features

    def read(self, network: Bound, batch: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, Weighted]]:
        """The states of the class tokens [B, R, 1, D], and the backbone's losses."""
        rows = {name: _flat(batch[name]) for name in ("tokens", "token_types", "segments")}
        x_BLD = self.backbone.states(network, rows["tokens"], rows["token_types"], rows["segments"])
        states = self.backbone.class_states(network, x_BLD, batch["class_index"].reshape(-1), rows["segments"])
        losses = self.backbone.losses(network, x_BLD, rows["tokens"], rows["segments"])
        return states.reshape(*batch["class_index"].shape, 1, -1), losses

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        return [row["logits"] for row in outputs]


class SequenceClassificationModel(SequenceTaskModel):
    """One label of one text or two."""

    task: ClassificationTask | RegressionTask

    def rows(self, texts: Sequence[list[int]]) -> list[list[list[int]]]:
        both = self.backbone.both_orders and self.task.symmetric and len(texts) == 2
        return [list(texts), list(reversed(texts))] if both else [list(texts)]

    def logits(self, network: Bound, batch: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, Weighted]]:
        """float32 [B, C] of the states of both orders, added, and the backbone's losses."""
        states_BR1D, losses = self.read(network, batch)
        return network.class_logits(jnp.sum(states_BR1D, axis=1)), losses

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        logits_BC, losses = self.logits(network, batch)
        weights_B = batch["row_weights"] * batch["target_weight"]
        loss = softmax_cross_entropy(logits_BC, batch["target"], weights_B)
        found = {"task": loss.total} | losses
        return found, {"accuracy": Weighted.of(loss.correct, weights_B)}, {"logits": logits_BC}


class RegressionModel(SequenceClassificationModel):
    """A number of one text or two: the squared error of the one output."""

    def target(self, example: Example) -> Any:
        return np.float32(0.0 if example.target is None else example.target)

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        logits_BC, losses = self.logits(network, batch)
        error_B = jnp.square(logits_BC[:, 0] - batch["target"])
        loss = Weighted.of(error_B, batch["row_weights"] * batch["target_weight"])
        return {"task": loss} | losses, {}, {"logits": logits_BC}


def _flat(rows: jax.Array) -> jax.Array:
    return rows.reshape(-1, rows.shape[-1])


def _filled(values: np.ndarray, length: int, padding: int) -> np.ndarray:
    return np.concatenate([values, np.full(length - len(values), padding, values.dtype)])

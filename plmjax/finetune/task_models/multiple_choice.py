"""Multiple choice: a row for each choice, a number from each, a softmax over the choices (GPT-1, Sec. 3.3).

Legend: B batch, R choices, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from plmjax.finetune.task_models.base import ForwardOutput
from plmjax.finetune.task_models.sequence_classification import SequenceTaskModel
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound


class MultipleChoiceModel(SequenceTaskModel):
    """The right one of several texts."""

    def rows(self, texts: Sequence[list[int]]) -> list[list[list[int]]]:
        context, *choices = texts
        return [[context, choice] for choice in choices]

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        states_BR1D, losses = self.read(network, batch)
        rows = states_BR1D.shape[:2]
        logits_BR = network.class_logits(states_BR1D.reshape(-1, *states_BR1D.shape[2:])).reshape(rows)  # type: ignore[attr-defined]
        weights_B = batch["row_weights"] * batch["target_weight"]
        loss = softmax_cross_entropy(logits_BR, batch["target"], weights_B)
        return (
            {"task": loss.total} | losses,
            {"accuracy": Weighted.of(loss.correct, weights_B)},
            {"logits": logits_BR},
        )

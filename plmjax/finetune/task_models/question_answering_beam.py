"""Answers by a small beam: the start, the end given the start, and whether there is an answer (Yang et al. 2019).

As released for SQuAD 2.0, it is trained on the true start, and predicts from the likeliest starts, each with its
likeliest ends.
Rows are those of QuestionAnsweringModel.

Legend: B batch, L length, S starts, E ends of a start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from plmjax.errors import UserError
from plmjax.finetune.features import Feature
from plmjax.finetune.task_models.base import ForwardOutput, RowOutput
from plmjax.finetune.task_models.question_answering import QuestionAnsweringModel, Window, trimmed
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.tasks.spans import SpanPrediction
from plmjax.tasks.supervised import Example

NO_ANSWER = 0.5  # the released factor of its loss


class BeamQuestionAnsweringModel(QuestionAnsweringModel):
    """XLNet's and XLM's head for answers."""

    heads: ClassVar[tuple[str, ...]] = ("beam_question_answering",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if not hasattr(self.backbone.config, "start_beams"):
            name = type(self.backbone.config).__name__
            raise UserError(
                f"A {name} has no beam head for question answering: use an XLNet or an XLM, or leave task_model empty."
            )

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        return [with_class_index(feature) for feature in super().features(examples, learn=learn)]

    def coefficients(self) -> dict[str, float]:
        return super().coefficients() | {"no_answer": NO_ANSWER}

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        x_BLD = self.backbone.states(network, batch["tokens"], batch["token_types"], batch["segments"])
        hidden_BL, class_B, weights_B = batch["allowed"] == 0, batch["class_index"], batch["row_weights"]
        logits = network.answer_logits_of_start(x_BLD, batch["answer_start"], hidden_BL, class_B)
        start = softmax_cross_entropy(logits.start, batch["answer_start"], weights_B)
        end = softmax_cross_entropy(logits.end, batch["answer_end"], weights_B)
        silent_B = (batch["answer_start"] == class_B).astype(jnp.float32)
        silence_B = optax.sigmoid_binary_cross_entropy(logits.no_answer, silent_B)
        losses = {
            "task": Weighted((start.total.sum + end.total.sum) / 2, start.total.weight),
            "no_answer": Weighted.of(silence_B, weights_B),
        }
        metrics = {
            "start_accuracy": Weighted.of(start.correct, weights_B),
            "end_accuracy": Weighted.of(end.correct, weights_B),
            "no_answer_accuracy": Weighted.of((logits.no_answer > 0) == (silent_B > 0), weights_B),
        }
        beams = network.beam_answers(x_BLD, hidden_BL, class_B)
        outputs = {
            "starts": beams.starts,
            "start_probabilities": beams.start_probabilities,
            "ends": beams.ends,
            "end_probabilities": beams.end_probabilities,
            "no_answer": beams.class_logits,
        }
        return losses, metrics, outputs

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        """The likeliest span of all windows; and of them the least score that there is none."""
        spans = [(-np.inf, SpanPrediction("", 0.0)) for _ in examples]
        silence = [np.inf for _ in examples]
        for feature, row in zip(features, outputs, strict=True):
            number, window = feature.example, feature.origin
            silence[number] = min(silence[number], float(row["no_answer"]))
            score, span = self._best_span(window, row)
            if score > spans[number][0] and span is not None:
                context = examples[number].texts[1]
                start, end = trimmed(context, *span)
                spans[number] = score, SpanPrediction(context[start:end], 0.0, float(np.exp(score)), start, end)
        return [best._replace(no_answer=none) for (_, best), none in zip(spans, silence, strict=True)]

    def _best_span(self, window: Window, row: RowOutput) -> tuple[float, tuple[int, int] | None]:
        """The log probability and the characters of the beam's likeliest span whose start this window shows best."""
        count = len(window.starts)
        first_1S, last_ES = row["starts"][None] - window.first, row["ends"] - window.first
        with np.errstate(divide="ignore"):  # what is hidden has no probability
            scores_ES = np.log(row["start_probabilities"])[None] + np.log(row["end_probabilities"])
        inside = (first_1S >= 0) & (first_1S < count) & (last_ES >= first_1S) & (last_ES < count)
        inside &= last_ES - first_1S < self.recipe.max_answer_length
        inside &= window.central[np.clip(first_1S, 0, count - 1)]
        scores_ES = np.where(inside, scores_ES, -np.inf)
        end, start = np.unravel_index(int(scores_ES.argmax()), scores_ES.shape)
        if not np.isfinite(scores_ES[end, start]):
            return -np.inf, None
        characters = int(window.starts[first_1S[0, start]]), int(window.ends[last_ES[end, start]])
        return float(scores_ES[end, start]), characters


def with_class_index(feature: Feature) -> Feature:
    """The feature with the place of its class token among its values."""
    return replace(feature, values={**feature.values, "class_index": np.int32(feature.origin.class_index)})

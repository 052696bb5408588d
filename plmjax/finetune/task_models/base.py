"""Task models: how a network does a kind of task. To train/step.py a task model is an objective without noise.

Legend: B batch, L length, R rows of an example, D model width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import Feature
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.tasks.supervised import Example, Split, SupervisedTask

Outputs = dict[str, jax.Array]
RowOutput = Mapping[str, np.ndarray]
ForwardOutput = tuple[dict[str, Weighted], dict[str, Weighted], Outputs]
"""(losses, metrics, outputs), each by name; outputs have the batch's rows as their first axis."""


@dataclass(frozen=True)
class LengthLimits:
    """The longest row.

    Attributes:
        length: tokens at most; None where nothing limits them.
        cut: whether longer texts are cut; else they are refused.
    """

    length: int | None
    cut: bool


class TaskModel:
    """The base of every task model.

    Args:
        task: of plmjax.tasks.
        backbone: of the network.
        limits: of a row's length.
        recipe: the FineTune, for settings that only one task model reads.
    """

    static: ClassVar[bool] = True  # there is no noise
    heads: ClassVar[tuple[str, ...]] = ()

    def __init__(self, task: SupervisedTask, backbone: Backbone, limits: LengthLimits, recipe: FineTune) -> None:
        self.task, self.backbone, self.limits, self.recipe = task, backbone, limits, recipe
        self.cut_rows = 0  # how many rows were cut to fit

    def prepare(self, splits: Split) -> None:
        """Sees all examples before any becomes a row, and fills in what the recipe leaves to them."""

    @property
    def padding(self) -> dict[str, int]:
        """The value that sequences are padded with, by field."""
        return {"tokens": self.backbone.tokenizer.vocabulary.padding}

    @property
    def num_outputs(self) -> int:
        """Numbers that the network's head gives."""
        return self.task.num_outputs

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        """The rows of examples, those of one example one after the other; `learn`: to train on."""
        raise NotImplementedError

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        """Losses, metrics and outputs of a batch on a `Bound` network."""
        raise NotImplementedError

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        """A prediction, of the task's kind, of each example from the outputs of each feature."""
        raise NotImplementedError

    def measure(self, loss: float, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        """The loss and the task's metrics of labelled examples."""
        return {"loss": loss} | self.task.measure(examples, predictions)

    def readable(self, example: Example, prediction: Any, rows: Sequence[RowOutput]) -> dict[str, Any]:
        """A prediction as JSON; `rows` are the outputs that it was made of."""
        return self.task.readable(prediction)

    @property
    def description(self) -> str:
        """A few words on the task."""
        return f"{self.task.kind}, {self.num_outputs} output(s)"

    @property
    def extras(self) -> dict[str, Any]:
        """Fields of a config.json that say how the fine-tuned network is to be used."""
        labels = getattr(self.task, "labels", ())
        if not labels:
            return {}
        return {
            "id2label": {str(number): name for number, name in enumerate(labels)},
            "label2id": {name: number for number, name in enumerate(labels)},
        }

    def generation(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The checkpoint's settings of generation after the fine-tuning."""
        return dict(before)

    def corrupt(self, key: jax.Array, example: dict[str, jax.Array], vocabulary: Vocabulary) -> dict[str, jax.Array]:
        """No noise."""
        return example

    def losses(self, network: Bound, batch: dict[str, jax.Array], vocabulary: Vocabulary, train: bool) -> Any:
        """Losses and metrics, as an objective gives them; frozen parameters get no gradient."""
        held = network.with_params(self.recipe.update_strategy.frozen(network.params))
        return self.forward(held, batch, train)[:2]

    def coefficients(self) -> dict[str, float]:
        """Factors of the losses, as an objective gives them."""
        return self.backbone.coefficients()

    def fitted(self, example: Example, texts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Texts that fit into a row beside the special tokens, the longer one cut first (BERT's released code).

        Raises:
            UserError: they do not fit, and are not to be cut.
        """
        fitted = [list(text) for text in texts]
        added = self.backbone.template.num_special_tokens(len(texts))
        total = sum(map(len, fitted)) + added
        if self.limits.length is None or total <= self.limits.length:
            return fitted
        if not self.limits.cut:
            raise too_long(example, total, self.limits.length)
        self.cut_rows += 1
        while sum(map(len, fitted)) + added > self.limits.length:
            max(reversed(fitted), key=len).pop()  # of two as long ones the second
        return fitted


def too_long(example: Example, tokens: int, length: int) -> UserError:
    """An example has more tokens than a row may have."""
    return UserError(
        f"{example.place} has {tokens} tokens including the special ones, but a row holds {length}: shorten it, raise "
        "--config.max_length up to the network's positions, or set --config.truncation=True to cut it."
    )


def arrays_of(packed: Any) -> dict[str, np.ndarray]:
    """The sequences of a row."""
    return {"tokens": packed.tokens, "token_types": packed.types, "segments": np.ones_like(packed.tokens)}

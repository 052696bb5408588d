"""Tasks whose answer is one label, or one number, for a text or a pair of texts.

Metrics are those of scikit-learn and SciPy. A share is between 0 and 1.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats
from sklearn import metrics as sk

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.metrics import Metric, check_metrics, measure, register
from plmjax.tasks.supervised import (
    NONE,
    Example,
    SupervisedTask,
    chosen,
    is_no_answer,
    label_names,
    number_of,
    text_of,
)

Labels = Sequence[int]


def _all_right(targets: Labels, predictions: Labels, groups: Sequence[str]) -> float:
    """The share of groups with every example right (MultiRC's exact match)."""
    right: dict[str, bool] = defaultdict(lambda: True)
    for target, prediction, group in zip(targets, predictions, groups, strict=True):
        right[group] &= target == prediction
    return sum(right.values()) / len(right)


def _f1(targets: Labels, predictions: Labels) -> float:
    """Of label 1; no answer counts as the wrong one of the two labels, as in T5's code."""
    answered = [1 - t if p == NONE else p for t, p in zip(targets, predictions, strict=True)]
    return float(sk.f1_score(targets, answered, pos_label=1, average="binary", zero_division=0.0))


def _macro_f1(targets: Labels, predictions: Labels) -> float:
    """The mean over the labels that are there; no answer is no label."""
    labels = sorted({*targets, *predictions} - {NONE})
    return float(sk.f1_score(targets, predictions, labels=labels, average="macro", zero_division=0.0))


# "f1" is that of label 1, as GLUE has it for MRPC and QQP. A prediction may be NONE, which is no label's number.
for _metric in (
    Metric("accuracy", ("classification",), lambda t, p, _: float(sk.accuracy_score(t, p)), is_share=True),
    Metric("matthews", ("classification",), lambda t, p, _: float(sk.matthews_corrcoef(t, p))),
    Metric("f1", ("classification",), lambda t, p, _: _f1(t, p)),
    Metric("macro_f1", ("classification",), lambda t, p, _: _macro_f1(t, p)),
    Metric("group_exact_match", ("classification",), _all_right, is_share=True),
    Metric("pearson", ("regression",), lambda t, p, _: _correlation(stats.pearsonr, t, p)),
    Metric("spearman", ("regression",), lambda t, p, _: _correlation(stats.spearmanr, t, p)),
    Metric("squared_error", ("regression",), lambda t, p, _: float(sk.mean_squared_error(t, p)), lower_is_better=True),
):
    register(_metric)
NO_NUMBER = -1.0  # what no answer counts as, as in T5's code


@dataclass(slots=True)
class ClassificationTask(SupervisedTask):
    """A label for a text, or for two.

    Attributes:
        text, pair: a field of the row, or a template with {field}; pair is empty where there is one text.
        label: the field of the label.
        labels: the labels' names in the order of their numbers; empty: those of the training examples, sorted.
        unlabelled: what the field holds where the label is kept secret (GLUE's test sets: -1); only in tests.
        metric: names of plmjax.tasks.metrics; checkpoints are chosen by the first.
        symmetric: whether the order of the two texts means nothing, so that GPT reads both (GPT-1, Sec. 3.3).
    """

    kind: ClassVar[str] = "classification"

    text: str = "text"
    pair: str = ""
    label: str = "label"
    labels: tuple[str, ...] = ()
    unlabelled: str = ""
    metric: tuple[str, ...] = ("accuracy",)
    symmetric: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return len(self.labels)

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)
        if not self.labels:
            self.labels = label_names(self.rows(self.train), self.label)
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise UserError(f"task.labels is {self.labels!r}: two labels or more are needed, each once.")
        if "f1" in self.metric and len(self.labels) != 2:
            raise UserError(f"The metric f1 is of two labels, and there are {len(self.labels)}: choose macro_f1.")

    def example(self, row: Row) -> Example:
        texts = tuple(text_of(row, template) for template in (self.text, self.pair) if template)
        hidden = self.unlabelled and str(row[self.label]).strip() == self.unlabelled
        target = None if hidden else number_of(row, self.label, self.labels)
        return Example(texts=texts, target=target, **self.identity(row))

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        targets = [example.target for example in examples]
        answers = [chosen(scores) for scores in predictions]
        groups = [example.group for example in examples]
        return measure(self.kind, self.metric, targets, answers, groups)

    def baseline(self, examples: Sequence[Example]) -> Any:
        """The commonest label."""
        return np.bincount([example.target for example in examples], minlength=len(self.labels)).astype(np.float32)

    def readable(self, prediction: Any) -> dict[str, Any]:
        if is_no_answer(prediction):
            return {"prediction": None}
        scores = np.asarray(prediction, np.float64)
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        named = {name: round(float(share), 6) for name, share in zip(self.labels, shares, strict=True)}
        return {"prediction": self.labels[int(scores.argmax())], "probabilities": named}

    def shown_target(self, example: Example) -> Any:
        return None if example.target is None else self.labels[example.target]


@dataclass(slots=True)
class RegressionTask(SupervisedTask):
    """A number for a text, or for two; the fields are Classification's."""

    kind: ClassVar[str] = "regression"

    text: str = "text"
    pair: str = ""
    label: str = "label"
    unlabelled: str = ""
    metric: tuple[str, ...] = ("pearson", "spearman")
    symmetric: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return 1

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)

    def example(self, row: Row) -> Example:
        texts = tuple(text_of(row, template) for template in (self.text, self.pair) if template)
        value = row[self.label]
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise UserError(f"{row.place} has {value!r:.40} as {self.label!r}: a number is needed.")
        hidden = bool(self.unlabelled) and number == float(self.unlabelled)
        return Example(texts=texts, target=None if hidden else number, **self.identity(row))

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        targets = [example.target for example in examples]
        numbers = [NO_NUMBER if is_no_answer(prediction) else float(prediction[0]) for prediction in predictions]
        return measure(self.kind, self.metric, targets, numbers)

    def baseline(self, examples: Sequence[Example]) -> Any:
        """The mean."""
        return np.mean([example.target for example in examples], keepdims=True)

    def readable(self, prediction: Any) -> dict[str, Any]:
        return {"prediction": float(prediction[0])}


def _correlation(rule: Callable[..., Any], targets: Sequence[float], predictions: Sequence[float]) -> float:
    """0 where one side is constant, for which no correlation is defined."""
    if len(targets) < 2 or np.ptp(targets) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(rule(targets, predictions).statistic)

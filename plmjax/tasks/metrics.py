"""The registry of metrics: what each kind of task can be measured by, and which way is better.

A metric of your own is one call in a module that a script imports (--import_modules), or before `finetune` in Python:

    register(Metric("hamming", ("classification",), my_function, lower_is_better=True))

and then has a name for a task's `metric`, by the first of which checkpoints are chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from plmjax.errors import UserError

Compute = Callable[[Sequence[Any], Sequence[Any], Sequence[str]], float]
"""(targets, predictions, groups) -> value, one entry an example. They are the labels' numbers of classification and
multiple choice (a prediction may be -1, which is no label), numbers of regression, lists of tags, an answer's texts and
the one that is given, or references and the text that is written."""


@dataclass(frozen=True)
class Metric:
    """One metric of some kinds of tasks.

    Attributes:
        name: as in a task's `metric`.
        kinds: of tasks ("classification", "regression", "multiple_choice", "token_classification",
            "question_answering", "seq2seq").
        compute: gives its value; None where the task itself does.
        lower_is_better: such as an error or a perplexity.
        is_share: whether it is a mean of zeros and ones, which is shown as a share.
        scale: the value of a perfect result, by which a mixture's mean divides.
    """

    name: str
    kinds: tuple[str, ...]
    compute: Compute | None
    lower_is_better: bool = False
    is_share: bool = False
    scale: float = 1.0


_METRICS: dict[tuple[str, str], Metric] = {}


def register(metric: Metric) -> Metric:
    """Adds a metric to the registry.

    Raises:
        UserError: one of its kinds has another metric of that name.
    """
    for kind in metric.kinds:
        if (kind, metric.name) in _METRICS and _METRICS[kind, metric.name] != metric:
            raise UserError(f"Tasks of kind {kind!r} have a metric {metric.name!r} already: choose another name.")
    _METRICS.update({(kind, metric.name): metric for kind in metric.kinds})
    return metric


def metrics_of(kind: str) -> tuple[str, ...]:
    """The names of a kind's metrics."""
    return tuple(name for one, name in _METRICS if one == kind)


def check_metrics(kind: str, asked: Sequence[str]) -> None:
    """Checks the names of a task's metrics.

    Raises:
        UserError: there are none, or tasks of this kind do not have one of them.
    """
    known = ", ".join(metrics_of(kind))
    if not asked:
        raise UserError(f"task.metric is empty: choose from {known}.")
    for name in asked:
        if name not in metrics_of(kind):
            raise UserError(f"task.metric has {name!r}: choose from {known}.")


def measure(
    kind: str, names: Sequence[str], targets: Sequence[Any], predictions: Sequence[Any], groups: Sequence[str] = ()
) -> dict[str, float]:
    """The values of those of the metrics that the registry computes, in their order."""
    groups = groups or [""] * len(targets)
    found = {name: _METRICS[kind, name].compute for name in names}
    return {name: compute(targets, predictions, groups) for name, compute in found.items() if compute is not None}


def lower_is_better(name: str) -> bool:
    """Whether less of a metric is better; a mixture's "MEMBER_METRIC" is judged as its member's metric."""
    return any(metric.lower_is_better for metric in _named(name))


def is_share(name: str) -> bool:
    """Whether a metric is a mean of zeros and ones."""
    return any(metric.is_share for (_, one), metric in _METRICS.items() if one == name)


def scale_of(kind: str, name: str) -> float:
    """The value of a perfect result."""
    return _METRICS[kind, name].scale


def _named(name: str) -> list[Metric]:
    """The metrics of a name; where there are none, those whose name ends it after an underscore."""
    exact = [metric for (_, one), metric in _METRICS.items() if one == name]
    return exact or [metric for (_, one), metric in _METRICS.items() if name.endswith(f"_{one}")]

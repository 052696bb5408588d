"""The tasks that have names: their sources in TFDS, fields, labels in the order of their numbers, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plmjax.errors import UserError
from plmjax.tasks.classification import Classification, Regression

SST2 = ("negative", "positive")


def sst2() -> Classification:
    return _glue("sst2", text="sentence", labels=SST2)


def sst2_files() -> Classification:
    """Files of a sentence and 0 or 1 without a header line; checkpoints are chosen by --task.validation."""
    return Classification(columns=("sentence", "label"), text="sentence", labels=SST2)


def _glue(name: str, validation: str = "validation", **fields: Any) -> Classification:
    return Classification(
        train=f"tfds:glue/{name}:train", validation=f"tfds:glue/{name}:{validation}", unlabelled="-1", **fields
    )


TASKS: dict[str, Callable[[], Any]] = {
    "classification": Classification,
    "regression": Regression,
    "sst2": sst2,
    "sst2_files": sst2_files,
}


def named(name: str) -> Any:
    """A fresh task; UserError for a name that there is not."""
    if name not in TASKS:
        raise UserError(f"No task is named {name!r}: choose one of {', '.join(TASKS)}, or give a file of your own.")
    return TASKS[name]()

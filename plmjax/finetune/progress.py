"""The progress of a seed on disk: its whole state, from which an interrupted run resumes to the same bits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plmjax.checkpoints.checkpointer import Checkpoint, Checkpointer, latest
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.renames import upgraded

FOLDER = "state"  # of a seed's folder


@dataclass(slots=True)
class Progress:
    """The numbers that a seed keeps in addition to its state.

    Attributes:
        best: the chosen metric of the best validation so far; None before the first.
        best_step: its step.
        worse_in_a_row: validations since it.
        peaks: see SeedResult, so far.
        seconds, train_seconds: see SeedResult, of the steps so far.
        sums: of the losses and metrics since the last line (train/metrics.py).
    """

    best: float | None = None
    best_step: int = 0
    worse_in_a_row: int = 0
    peaks: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    train_seconds: float = 0.0
    sums: dict[str, list[float]] = field(default_factory=dict)


class Saver:
    """Writes the state and the progress of a seed into FOLDER/state, the newest alone."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._writer = Checkpointer(folder / FOLDER, keep=1)
        self._identity = dict(identity)

    def save(self, state: State, progress: Progress) -> None:
        """Begins to write."""
        self._writer.save(state, {"progress": asdict(progress), "identity": self._identity})

    def wait(self) -> None:
        """Returns when all is written; UserError where the disk is full."""
        self._writer.wait()

    def close(self) -> None:
        """Waits, and releases the writer."""
        self._writer.close()


def find_progress(folder: Path, identity: Mapping[str, Any]) -> tuple[Checkpoint, Progress] | None:
    """The state and progress of an interrupted run in a seed's folder; None where it has to begin again.

    Raises:
        UserError: it is of another checkpoint, task or recipe.
    """
    found = latest(folder / FOLDER)
    if found is None:
        return None
    if upgraded(found.manifest["identity"]) != identity:
        raise UserError(
            f"{folder} holds an interrupted run of another checkpoint, task or recipe: give another --workdir, or "
            "delete it."
        )
    progress = Progress(**found.manifest["progress"])
    if progress.best_step and latest(folder / "checkpoints") is None:
        return None  # it was interrupted while its results were being written
    return found, progress


def forget(folder: Path) -> None:
    """Deletes the state of a seed that is done."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)

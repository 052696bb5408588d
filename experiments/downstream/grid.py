"""A grid of fine-tuning runs: every checkpoint on every task that its kind of network can do, and the same from random
parameters. Each cell is a working folder of experiments.finetune's, GRID/TASK/CHECKPOINT[_random]."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.folds import run_folds
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.interop import Pretrained, load
from plmjax.tasks.report import RESULTS


@dataclass(slots=True)
class Column:
    """A task of the grid.

    Attributes:
        task: of plmjax.tasks, its sources relative to the grid's `data`; one with `folds` and no validation source is
            cross-validated.
        metric: what the table shows, of the first test source, or of the folds.
        recipe: how it is learned, by every network.
        kinds: of networks that can do it.
        seeds: runs.
    """

    task: Any
    metric: str
    recipe: FineTune
    kinds: tuple[str, ...]
    seeds: int = 3

    @property
    def folds(self) -> bool:
        """Whether it is cross-validated."""
        return bool(self.task.folds) and not self.task.validation


@dataclass(slots=True)
class Grid:
    """What is compared.

    Attributes:
        checkpoints: working folders or Hugging Face directories.
        data: the folder of the tasks' files.
        columns: the tasks, by the names that the table gives them.
        tasks: names of the columns to run; empty: all.
        name: of the grid; its folder is runs/NAME.
    """

    checkpoints: tuple[str, ...]
    columns: dict[str, Column]
    tasks: tuple[str, ...] = ()
    data: str = "."
    name: str = "downstream"

    def chosen(self) -> dict[str, Column]:
        """The columns to run; UserError for a name that there is not."""
        for name in self.tasks:
            if name not in self.columns:
                raise UserError(f"config.tasks has {name!r}: choose from {', '.join(self.columns)}.")
        return {name: column for name, column in self.columns.items() if not self.tasks or name in self.tasks}


@dataclass(frozen=True, slots=True)
class Cell:
    """A finished cell: a number for each seed."""

    task: str
    checkpoint: str
    random: bool
    seeds: tuple[float, ...] = field(default=())


def run_grid(grid: Grid, workdir: Path) -> None:
    """Runs the cells that are not done, a task after the other."""
    networks = {path: load(path) for path in grid.checkpoints}
    for name, column in grid.chosen().items():
        for path, pretrained in networks.items():
            if pretrained.module.kind not in column.kinds:
                continue
            for random in (False, True):
                folder = cell_folder(workdir, name, path, random)
                if not (folder / RESULTS).exists():
                    print(f"\n=== {name}: {Path(path).name}, {'random' if random else 'pre-trained'}", flush=True)
                    _run_cell(column, Path(grid.data), pretrained, path, folder, random)


def cell_folder(workdir: Path, task: str, checkpoint: str, random: bool) -> Path:
    """Where a cell's results are."""
    return workdir / task / (Path(checkpoint).name + ("_random" if random else ""))


def read_cells(grid: Grid, workdir: Path) -> Iterator[Cell]:
    """The cells that are done."""
    for name, column in grid.chosen().items():
        for path in grid.checkpoints:
            for random in (False, True):
                file = cell_folder(workdir, name, path, random) / RESULTS
                if file.exists():
                    yield Cell(name, Path(path).name, random, _seeds(json.loads(file.read_text()), column))


def _run_cell(column: Column, data: Path, pretrained: Pretrained, checkpoint: str, folder: Path, random: bool) -> None:
    about = {"from": checkpoint, "from_random": random}
    task = copy.deepcopy(column.task)
    task.train, task.validation = (str(data / source) if source else "" for source in (task.train, task.validation))
    task.test = tuple(str(data / source) for source in task.test)

    def run(task: Any, folder: Path) -> Results:
        recipe = replace(column.recipe)
        return finetune(
            pretrained, copy.deepcopy(task), recipe, folder, seeds=column.seeds, from_random=random, about=about
        )

    if column.folds:
        run_folds(task, folder, run)
    else:
        run(task, folder)


def _seeds(results: dict[str, Any], column: Column) -> tuple[float, ...]:
    if column.folds:
        return tuple(results["summary"][column.metric]["seeds"])
    test = next(split for split in results["runs"][0]["scores"] if split != "validation")
    return tuple(run["scores"][test][column.metric] for run in results["runs"])

"""A grid of fine-tuning runs: every checkpoint on every task that its kind of network can do, and the same from random
parameters. Each cell is a working folder of experiments.finetune's, GRID/TASK/CHECKPOINT[_random]."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.backbones.text import TEXT_TO_TEXT
from plmjax.finetune.config import FineTune
from plmjax.finetune.folds import run_folds
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.interop import Pretrained, load
from plmjax.tasks.report import RESULTS
from plmjax.tasks.verbalizers import VERBALIZERS


@dataclass(slots=True)
class Column:
    """A task of the grid.

    Attributes:
        task: of plmjax.tasks, its sources relative to the grid's `data`; one with `folds` and no validation source is
            cross-validated.
        metrics: what the table shows, of the first test source, or of the folds.
        recipe: how it is learned, by every network.
        text_recipe: how it is where it is done text to text, if otherwise.
        kinds: of networks that can do it.
        seeds: runs.
    """

    task: Any
    metrics: tuple[str, ...]
    recipe: FineTune
    kinds: tuple[str, ...]
    seeds: int = 3
    text_recipe: FineTune | None = None

    @property
    def folds(self) -> bool:
        """Whether it is cross-validated."""
        return bool(self.task.folds) and not self.task.validation


@dataclass(slots=True)
class Grid:
    """What is compared.

    Attributes:
        checkpoints: working folders or Hugging Face directories.
        text_to_text: those of them that do all that has a form in words by writing (T5, Sec. 2.4).
        data: the folder of the tasks' files.
        columns: the tasks, by the names that the table gives them.
        tasks: names of the columns to run; empty: all.
        name: of the grid; its folder is runs/NAME.
    """

    checkpoints: tuple[str, ...]
    columns: dict[str, Column]
    text_to_text: tuple[str, ...] = ()
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
    """One metric of a finished cell: a number for each seed."""

    task: str
    metric: str
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
                if _seeds_done(folder) < column.seeds:
                    print(f"\n=== {name}: {Path(path).name}, {'random' if random else 'pre-trained'}", flush=True)
                    _run_cell(column, grid, pretrained, path, folder, random)


def cell_folder(workdir: Path, task: str, checkpoint: str, random: bool) -> Path:
    """Where a cell's results are."""
    return workdir / task / (Path(checkpoint).name + ("_random" if random else ""))


def read_cells(grid: Grid, workdir: Path) -> Iterator[Cell]:
    """The metrics of the cells that are done."""
    for name, column in grid.chosen().items():
        for path in grid.checkpoints:
            for random in (False, True):
                file = cell_folder(workdir, name, path, random) / RESULTS
                if file.exists():
                    found = json.loads(file.read_text(encoding="utf-8"))
                    for metric in column.metrics:
                        yield Cell(name, metric, Path(path).name, random, _values(found, metric))


def _run_cell(column: Column, grid: Grid, pretrained: Pretrained, path: str, folder: Path, random: bool) -> None:
    about, data = {"from": path, "from_random": random}, Path(grid.data)
    by_writing = path in grid.text_to_text and column.task.kind in VERBALIZERS
    task = copy.deepcopy(column.task)
    task.train, task.validation = _inside(data, task.train), _inside(data, task.validation)
    task.test = tuple(_inside(data, source) for source in task.test)

    def run(task: Any, folder: Path) -> Results:
        recipe = column.recipe
        if by_writing:
            recipe = replace(column.text_recipe or recipe, task_model=TEXT_TO_TEXT)
        return finetune(
            pretrained, copy.deepcopy(task), recipe, folder, seeds=column.seeds, from_random=random, about=about
        )

    if column.folds:
        run_folds(task, folder, run)
    else:
        run(task, folder)


def _inside(folder: Path, source: str) -> str:
    """A source whose files, parted by commas, are in a folder."""
    return ",".join(str(folder / part) for part in source.split(",")) if source else ""


def _values(results: dict[str, Any], metric: str) -> tuple[float, ...]:
    """A metric for each seed, of the first test source or of the folds."""
    if "folds" in results:
        return tuple(results["summary"][metric]["seeds"])
    test = next(split for split in results["runs"][0]["scores"] if split != "validation")
    return tuple(run["scores"][test][metric] for run in results["runs"])


def _seeds_done(folder: Path) -> int:
    """How many seeds a cell has; 0 where it is not finished."""
    if not (folder / RESULTS).exists():
        return 0
    found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return len(next(iter(found["summary"].values()))["seeds"]) if "folds" in found else len(found["runs"])

"""A grid of fine-tuning runs: every checkpoint on every task that its kind of network can do, and the same from random
parameters. Each seed is a cell of experiments.cells."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Result
from experiments.cells.identity import FREE_OF_RECIPES, checkpoint_identity, config_identity, source_identity
from experiments.cells.run import finished_results
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
class Entry:
    """One metric of a checkpoint on a task: a number for each finished seed."""

    task: str
    metric: str
    checkpoint: str
    random: bool
    seeds: tuple[float, ...] = field(default=())


def make_cells(grid: Grid) -> list[Cell]:
    """A cell for each task, checkpoint, start and seed, a task after the other; a column's first seed comes first.

    Raises:
        UserError: a checkpoint is not there, or config.tasks has a name that there is not.
    """
    return [
        _make_cell(grid, name, column, path, random, seed)
        for name, column in grid.chosen().items()
        for path in grid.checkpoints
        if _network(path).module.kind in column.kinds
        for random in (False, True)
        for seed in range(column.seeds)
    ]


def read_entries(grid: Grid, cells: Sequence[Cell], workdir: Path) -> Iterator[Entry]:
    """The metrics of the cells that are finished."""
    results = finished_results(cells, workdir)
    for task, column in grid.chosen().items():
        for path in grid.checkpoints:
            for random in (False, True):
                names = [_cell_name(task, path, random, seed) for seed in range(column.seeds)]
                found = [results[name]["scores"] for name in names if name in results]
                for metric in column.metrics if found else ():
                    seeds = tuple(scores[metric] for scores in found)
                    yield Entry(task, metric, Path(path).name, random, seeds)


def _cell_name(task: str, checkpoint: str, random: bool, seed: int) -> str:
    return f"{task}/{Path(checkpoint).name}{'_random' if random else ''}/seed_{seed}"


def _make_cell(grid: Grid, name: str, column: Column, path: str, random: bool, seed: int) -> Cell:
    task, recipe = _in_folder(column.task, Path(grid.data)), column.recipe
    if path in grid.text_to_text and column.task.kind in VERBALIZERS:
        recipe = replace(column.text_recipe or recipe, task_model=TEXT_TO_TEXT)
    recipe = replace(recipe, train=replace(recipe.train, seed=recipe.train.seed + seed))
    sources = (task.train, task.validation, *task.test)
    content = {
        "task": config_identity(task, ("train", "validation", "test")),
        "files": [source_identity(source) for source in sources],
        "recipe": config_identity(recipe, FREE_OF_RECIPES),
        "checkpoint": checkpoint_identity(path),
        "random": random,
        "seed": recipe.train.seed,
    }

    def run(folder: Path, _: Mapping[str, Result]) -> Result:
        about = {"from": path, "from_random": random}

        def one(part: Any, where: Path) -> Results:
            return finetune(_network(path), copy.deepcopy(part), recipe, where, from_random=random, about=about)

        if column.folds:
            run_folds(task, folder, one)
            found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))["summary"]
            return {"scores": {metric: values["seeds"][0] for metric, values in found.items()}}
        scores = one(task, folder).runs[0].scores
        return {"scores": next(scores[split] for split in scores if split != "validation")}

    return Cell(_cell_name(name, path, random, seed), content, run)


@cache
def _network(path: str) -> Pretrained:
    return load(path)


def _in_folder(task: Any, folder: Path) -> Any:
    """A copy of the task whose files, parted by commas, are in a folder."""

    def inside(source: str) -> str:
        return ",".join(str(folder / part) for part in source.split(",")) if source else ""

    task = copy.deepcopy(task)
    task.train, task.validation = inside(task.train), inside(task.validation)
    task.test = tuple(map(inside, task.test))
    return task

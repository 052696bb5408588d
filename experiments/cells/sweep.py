"""A grid of settings: each point fine-tuned with every seed, and the one with the best validation."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Result
from experiments.cells.folder import CellFolder
from experiments.cells.identity import FREE_OF_RECIPES, config_identity
from experiments.cells.run import finished_results, run_cells
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.results import Results, better, summary
from plmjax.tasks.report import Measure, Report, write

Point = Mapping[str, Any]
"""{dotted path into the recipe: value}."""


def grid(**choices: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Every combination; a path is written with __ for its dots: grid(optimizer__learning_rate=(2e-5, 3e-5))."""
    names = [name.replace("__", ".") for name in choices]
    for values in itertools.product(*choices.values()):
        yield dict(zip(names, values, strict=True))


def at_point(recipe: FineTune, point: Point) -> FineTune:
    """A copy of the recipe with the point's settings; UserError for a field that there is not."""
    changed = copy.deepcopy(recipe)
    for path, value in point.items():
        *sections, name = path.split(".")
        place: Any = changed
        for section in sections:
            place = getattr(place, section, None)
        if not hasattr(place, name):
            raise UserError(f"The sweep sets {path!r}, which the recipe does not have: correct the sweep.")
        setattr(place, name, value)
    return changed


def name_of(point: Point) -> str:
    """A folder's name: "learning_rate=2e-05,batch_size=16"."""
    return ",".join(f"{path.rpartition('.')[2]}={value}" for path, value in point.items())


def run_sweep(
    recipe: FineTune,
    points: Sequence[Point],
    metric: str,
    workdir: Path,
    run: Callable[[FineTune, Path], Results],
    about: Mapping[str, Any],
) -> Report:
    """Runs every point as a cell; WORKDIR/results.json has their medians and the best.

    Args:
        recipe: what the points change.
        points: at least one.
        metric: of the validation split, by which the best is chosen.
        workdir: of the sweep; several processes may share it.
        run: fine-tunes with a recipe into a folder.
        about: JSON of what the results depend on beside the recipe: task, checkpoint, seeds.

    Raises:
        UserError: there are no points, no validation to choose by, or no point succeeded.
    """
    if not points:
        raise UserError("The configuration has no sweep for this variant: give it points in its function `sweep`.")
    cells = [_cell(at_point(recipe, point), name_of(point), run, about) for point in points]
    failed = run_cells(cells, workdir).failed
    results = finished_results(cells, workdir)
    if not results:
        raise UserError(f"Every point of the sweep failed: {workdir}/cells/*/error.json say why.")
    best: tuple[float, str] | None = None
    report = Report([])
    for cell in cells:
        if (result := results.get(cell.name)) is None:
            continue
        found = summary([scores[metric] for scores in result["validation"]])
        report.measures.append(Measure(metric, found["median"], cell.name, count=result["count"]))
        if best is None or better(metric, found["median"], best[0]):
            best = found["median"], cell.name
            where = CellFolder(workdir, cell).work
    assert best is not None
    report.notes.append(f"best {metric}: {best[0]:.4f} with {best[1]}, in {where}")
    report.notes += [f"failed: {name}" for name in failed]
    write(report, workdir, {"best": best[1], "points": json.loads(json.dumps([dict(point) for point in points]))})
    return report


def _cell(recipe: FineTune, name: str, run: Callable[[FineTune, Path], Results], about: Mapping[str, Any]) -> Cell:
    free = tuple(field for field in FREE_OF_RECIPES if field != "train.seed")

    def fine_tune(folder: Path, _: Mapping[str, Result]) -> Result:
        results = run(recipe, folder)
        if "validation" not in results.runs[0].scores:
            raise UserError("A sweep chooses by the validation split: name one with --task.validation.")
        return {"validation": [one.scores["validation"] for one in results.runs], "count": results.counts["validation"]}

    return Cell(name, {"recipe": config_identity(recipe, free), **about}, fine_tune)

"""A grid of settings: each point fine-tuned with every seed, and the one with the best validation."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
) -> Report:
    """Runs every point in a folder of its own; WORKDIR/results.json has their medians and the best.

    Args:
        recipe: what the points change.
        points: at least one.
        metric: of the validation split, by which the best is chosen.
        workdir: of the sweep.
        run: fine-tunes with a recipe into a folder.

    Raises:
        UserError: there are no points, or no validation to choose by.
    """
    if not points:
        raise UserError("The configuration has no sweep for this variant: give it points in its function `sweep`.")
    best: tuple[float, str] | None = None
    report = Report([])
    for point in points:
        results = run(at_point(recipe, point), workdir / name_of(point))
        if "validation" not in results.runs[0].scores:
            raise UserError("A sweep chooses by the validation split: name one with --task.validation.")
        found = summary([one.scores["validation"][metric] for one in results.runs])
        report.measures.append(Measure(metric, found["median"], name_of(point), count=results.counts["validation"]))
        if best is None or better(metric, found["median"], best[0]):
            best = found["median"], name_of(point)
    assert best is not None
    report.notes.append(f"best {metric}: {best[0]:.4f} in {workdir / best[1]}")
    write(report, workdir, {"best": best[1], "points": json.loads(json.dumps([dict(point) for point in points]))})
    return report

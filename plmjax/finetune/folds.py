"""Cross-validation: every part of the training examples held out in turn, for data sets too small for one split."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.results import Results, summary
from plmjax.tasks.metrics import is_share
from plmjax.tasks.report import Measure, Report, write
from plmjax.tasks.supervised import SupervisedTask


def run_folds(task: SupervisedTask, workdir: Path, run: Callable[[Any, Path], Results]) -> Report:
    """Runs every fold in a folder of its own; WORKDIR/results.json has what they score.

    A seed's score is the mean over the folds, each counted by its examples.

    Args:
        task: with `folds` set and no validation source.
        workdir: of all folds.
        run: fine-tunes a task into a folder.

    Raises:
        UserError: the task has no folds.
    """
    if not task.folds or task.validation:
        raise UserError("There are no folds to hold out in turn: set --task.folds, and no --task.validation.")
    found: list[Results] = []
    for fold in range(task.folds):
        part = copy.deepcopy(task)
        part.fold = fold
        found.append(run(part, workdir / f"fold_{fold}"))
    counts = [results.counts["validation"] for results in found]
    report = Report([])
    content: dict[str, dict[str, Any]] = {}
    for name in found[0].runs[0].scores["validation"]:
        seeds = [
            sum(count * run.scores["validation"][name] for count, run in zip(counts, runs, strict=True)) / sum(counts)
            for runs in zip(*(results.runs for results in found), strict=True)
        ]
        content[name] = summary(seeds) | {"seeds": seeds}
        label = f"{name}, median of {len(seeds)}" if len(seeds) > 1 else name
        part_name = f"{task.folds} folds"
        report.measures.append(Measure(label, content[name]["median"], part_name, None, sum(counts), is_share(name)))
        if len(seeds) > 1:
            each = " ".join(f"{value:.4f}" for value in seeds)
            deviation = content[name]["deviation"]
            report.notes.append(f"{name}: mean {content[name]['mean']:.4f}, deviation {deviation:.4f}; {each}")
    write(report, workdir, {"folds": task.folds, "summary": content})
    return report

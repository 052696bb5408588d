"""The side of plmjax, a process of its own: python -m experiments.vs_transformers.plmjax_side PLAN FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from experiments.vs_transformers.sides import Run, read_side, write_side
from plmjax.checkpoints.provenance import versions
from plmjax.checkpoints.serialize import from_json
from plmjax.errors import UserError
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import SeedResult
from plmjax.interop import load


def run_side(plan: dict[str, Any], folder: Path) -> None:
    """Runs the seeds that are not done, and writes FOLDER/side.json."""
    task, recipe = from_json(plan["task"]), from_json(plan["recipe"])
    found = finetune(load(plan["from"]), task, recipe, folder, seeds=plan["seeds"])
    trained = bool(found.about["compiled"]["training"])
    compiling = found.about["compile_seconds"] if trained else read_side(folder).get("compile_seconds")
    about = {"versions": versions(), "compile_seconds": compiling, "buckets": found.about["buckets"]}
    write_side(folder, [_plain(run) for run in found.runs], trained, about)


def _plain(run: SeedResult) -> Run:
    scores = {split: metrics["accuracy"] for split, metrics in run.scores.items()}
    names = ("seed", "best_step", "steps", "seconds", "train_seconds")
    return {name: getattr(run, name) for name in names} | {"scores": scores}


if __name__ == "__main__":
    try:
        run_side(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
    except UserError as error:
        sys.exit(f"error: {error}")

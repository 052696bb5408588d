"""What both sides are to do, as a file: the examples, the recipe, and how many updates there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plmjax.checkpoints.serialize import to_json
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.update_strategies import AllParameters
from plmjax.renames import upgraded
from plmjax.tasks.supervised import Example

PLAN = "plan.json"


def make_plan(source: Path, task: Any, recipe: FineTune, seeds: int, threads: int) -> dict[str, Any]:
    """The plan as JSON: "examples" is {"train", "validation", each test source: [[texts, label's number], ...]}.

    Raises:
        UserError: the task or the recipe has something that the loop with PyTorch does not do alike.
    """
    _check(task, recipe)
    splits = task.splits()
    if "validation" not in splits or not task.test:
        raise UserError("The comparison chooses by a validation split and scores a test: name both with --task.")
    train = recipe.train
    epoch_steps = -(-len(splits["train"]) // train.batch_size)
    steps = train.steps or max(1, round(train.epochs * epoch_steps))
    return {
        "from": str(source),
        "seeds": seeds,
        "threads": threads,
        "recipe": to_json(recipe),
        "task": to_json(task),
        "epoch_steps": epoch_steps,
        "steps": steps,
        "warmup_steps": round(train.warmup_ratio * steps),
        "examples": {name: [_plain(example) for example in found] for name, found in splits.items()},
    }


def store_plan(plan: dict[str, Any], workdir: Path) -> None:
    """Writes the plan; UserError where the folder holds runs of another. The number of seeds may grow."""
    file = workdir / PLAN
    plan = json.loads(json.dumps(plan))
    if file.exists():
        old = upgraded(json.loads(file.read_text(encoding="utf-8")))
        other = [name for name in plan if name != "seeds" and old.get(name) != plan[name]]
        if other:
            raise UserError(
                f"{workdir} holds runs of another plan ({', '.join(other)} differ): give another --workdir, or delete "
                "it."
            )
    workdir.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".partial")
    draft.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
    draft.replace(file)


def _plain(example: Example) -> list[Any]:
    if example.target is None:
        raise UserError(f"{example.place} has no label: the comparison needs one of every example.")
    return [list(example.texts), example.target]


def _check(task: Any, recipe: FineTune) -> None:
    if task.kind != "classification" or task.metrics != ("accuracy",):
        raise UserError("The comparison is of classification measured by accuracy: choose such a task.")
    optimizer, train = recipe.optimizer, recipe.train
    wanted = {
        "optimizer.name": (optimizer.name, "adamw"),
        "optimizer.schedule": (optimizer.schedule, "linear"),
        "optimizer.final_scale": (optimizer.final_scale, 0.0),
        "optimizer.bias_correction": (optimizer.bias_correction, True),
        "optimizer.warmup_init_lr": (optimizer.warmup_init_lr, 0.0),
        "optimizer.exclude_from_weight_decay": (optimizer.exclude_from_weight_decay, "biases_and_norms"),
        "train.microbatches": (train.microbatches, 1),
        "dtype": (recipe.dtype, ""),
    }
    for name, (value, needed) in wanted.items():
        if value != needed:
            raise UserError(f"{name} is {value!r}, and the loop with PyTorch has {needed!r}: set --config.{name}.")
    if not isinstance(recipe.update_strategy, AllParameters):
        raise UserError("The loop with PyTorch moves all parameters at one rate: choose a recipe that does.")

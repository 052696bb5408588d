"""Fine-tuning: a checkpoint, a task and a recipe give a network for each seed, and its scores."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.plots import by_length, draw_all
from plmjax.finetune.progress import forget
from plmjax.finetune.results import Results, SeedResult, better, read_seed, write_seed
from plmjax.finetune.seed import SeedTrainer
from plmjax.finetune.setup import FineTuneSetup
from plmjax.interop import Pretrained
from plmjax.interop.native import save_tokenizers
from plmjax.tasks.report import write
from plmjax.tasks.supervised import SupervisedTask
from plmjax.train.backend import enable_compilation_cache
from plmjax.train.checks import check_bounds, check_rows
from plmjax.train.sharding import make_mesh
from plmjax.working_folder import FINETUNING, working_folder


def finetune(
    pretrained: Pretrained,
    task: SupervisedTask,
    recipe: FineTune,
    workdir: str | Path,
    *,
    seeds: int = 1,
    from_random: bool = False,
    about: dict[str, Any] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Results:
    """Fine-tunes with each seed and writes what is found.

    WORKDIR gets checkpoints/ and tokenizer/ of the seed with the best validation, which `plmjax.load` reads,
    results.json, results.txt, that seed's predictions.jsonl and pictures; and seed_N/ for each seed, with its
    metrics.jsonl, results and predictions. A seed that was interrupted resumes from its last validation, or from the
    step at which SIGTERM or SIGINT stopped it (with exit status 75, after saving); the results are the same. A seed
    whose results are there is not run again.

    Args:
        pretrained: from `plmjax.load`.
        task: of plmjax.tasks; its labels are filled in.
        recipe: how.
        workdir: made if need be.
        seeds: runs, with recipe.train.seed and the numbers after it.
        from_random: start from random parameters of the same network.
        about: more fields of results.json, by which the folder of another run is recognised.
        devices: to train on, None: all.

    Raises:
        UserError: the network, the task or an example does not allow it; before any training.
    """
    enable_compilation_cache(recipe.train.compilation_cache)
    devices = jax.devices() if devices is None else devices
    check(recipe, len(devices))
    if seeds < 1:
        raise UserError(f"--seeds is {seeds}: give 1 or more.")
    mesh = make_mesh(recipe.mesh, devices)
    with working_folder(workdir, FINETUNING), jax.set_mesh(mesh):
        setup = FineTuneSetup(pretrained, task, recipe, mesh, from_random)
        return _run(setup, Path(workdir), seeds, about or {})


def check(recipe: FineTune, device_count: int) -> None:
    """UserError for numbers that no run can have."""
    train = recipe.train
    check_bounds(recipe, positive=("train.buckets", "train.pool"), not_negative=("train.patience",))
    if not train.steps and train.epochs <= 0:
        raise UserError(f"train.epochs is {train.epochs}: it must be above 0.")
    if not 0.0 <= train.warmup_ratio <= 1.0:
        raise UserError(f"train.warmup_ratio is {train.warmup_ratio}: it must be from 0 to 1.")
    check_rows(train, recipe.mesh, device_count)


def _run(setup: FineTuneSetup, workdir: Path, seeds: int, about: dict[str, Any]) -> Results:
    """Every seed in turn; the best one's checkpoint becomes the folder's."""
    for line in setup.description(seeds):
        print(line, flush=True)
    identity = setup.identity(about)
    runs: list[SeedResult] = []
    best: tuple[SeedResult, list[dict[str, Any]]] | None = None
    for seed in range(setup.recipe.train.seed, setup.recipe.train.seed + seeds):
        folder = workdir / f"seed_{seed}"
        known = read_seed(folder, identity)
        result, lines = known or SeedTrainer(setup, seed, folder, identity).run()
        runs.append(result)
        is_best = best is None or _is_better(setup, result, best[0])
        if is_best or best is None:
            best = result, lines
        if known:
            print(f"seed {seed} is done: its results are in {folder}", flush=True)
            continue
        if setup.recipe.keep_seeds:
            save_tokenizers(setup.pretrained, folder)
        if is_best:
            _keep(setup, folder, workdir)
        elif not setup.recipe.keep_seeds:
            shutil.rmtree(folder / "checkpoints")
        write_seed(folder, result, setup.counts, lines, identity)
        forget(folder)
    assert best is not None
    notes = setup.task.notes({name: split.examples for name, split in setup.splits.items() if name != "train"})
    found = Results(runs, best[0], setup.counts, setup.chance(), identity | setup.measured(), notes)
    lines = best[1]
    groups = by_length(setup.task.kind, lines, setup.lengths(), setup.buckets)
    write(found.report(lines), workdir, found.as_dict() | {"by_length": groups})
    labels = getattr(setup.task, "labels", ())
    for file in draw_all(workdir, setup.task.kind, labels, lines, groups, [run.seed for run in runs]):
        print(f"picture: {file}", flush=True)
    for kind, lengths in setup.programs.counts().items():
        said = f"{len(lengths)} programs, for rows of {', '.join(map(str, lengths)) or 'no'} tokens"
        print(f"compiled for {kind}: {said}, in {setup.programs.seconds[kind]:.1f} s", flush=True)
    return found


def _is_better(setup: FineTuneSetup, new: SeedResult, old: SeedResult) -> bool:
    """True where the validation is better; without a validation split the first seed stays the best."""
    metric = setup.task.metrics[0]
    return "validation" in new.scores and better(
        metric, new.scores["validation"][metric], old.scores["validation"][metric]
    )


def _keep(setup: FineTuneSetup, folder: Path, workdir: Path) -> None:
    """The seed's checkpoint becomes the run's."""
    target = workdir / "checkpoints"
    if target.exists():
        shutil.rmtree(target)
    if setup.recipe.keep_seeds:
        shutil.copytree(folder / "checkpoints", target)
    else:
        (folder / "checkpoints").rename(target)
    save_tokenizers(setup.pretrained, workdir)

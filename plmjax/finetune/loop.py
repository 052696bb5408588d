"""From a checkpoint, a task and a recipe to fine-tuned networks, one for each seed, and what they score."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from plmjax.errors import UserError
from plmjax.finetune import buckets
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import Feature, make_batch
from plmjax.finetune.fingerprints import fingerprint, fingerprint_of_examples
from plmjax.finetune.network import filler, limits_of, manifest_of, network_config, save_params
from plmjax.finetune.programs import Programs
from plmjax.finetune.readers import make_reader
from plmjax.finetune.results import Results, SeedResult, better, peak_memory, read_seed, write_seed
from plmjax.finetune.ways import make_way
from plmjax.interop import Pretrained
from plmjax.losses.weighted import Weighted
from plmjax.modules import build
from plmjax.tasks.labelled import Example
from plmjax.tasks.report import write
from plmjax.train.backend import enable_compilation_cache
from plmjax.train.checkpoints import Checkpointer, find, restore_params
from plmjax.train.config import OptimizerConfig
from plmjax.train.metrics import Interval, finite
from plmjax.train.optimizers import make_optimizer
from plmjax.train.reporting import Reporter
from plmjax.train.schedules import make_schedule
from plmjax.train.serialize import to_json
from plmjax.train.sharding import make_mesh, mesh_shape
from plmjax.train.state import State, abstract_state, create_state, parameter_count

Scores = dict[str, float]


def finetune(
    pretrained: Pretrained,
    task: Any,
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
    results.json, results.txt and that seed's predictions.jsonl; and seed_N/ for each seed, with its metrics.jsonl,
    results and predictions. A seed whose results are there is not run again.

    Args:
        pretrained: from `plmjax.load`.
        task: of plmjax.tasks; its labels are filled in.
        recipe: how.
        workdir: made if need be.
        seeds: runs, with recipe.train.seed and the numbers after it.
        from_random: start from random parameters of the same network.
        about: what results.json says beside; another run's folder is known by it.
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
    with jax.set_mesh(mesh):
        return _Run(pretrained, task, recipe, Path(workdir), mesh, from_random, about or {}).go(seeds)


def check(recipe: FineTune, device_count: int) -> None:
    """UserError for numbers that no run can have."""
    train = recipe.train
    for name in ("batch_size", "microbatches", "buckets", "pool", "log_every", "max_nonfinite"):
        if getattr(train, name) < 1:
            raise UserError(f"train.{name} is {getattr(train, name)}: it must be at least 1.")
    for name in ("steps", "eval_every", "eval_batch_size", "patience", "seed"):
        if getattr(train, name) < 0:
            raise UserError(f"train.{name} is {getattr(train, name)}: it must be at least 0.")
    if not train.steps and train.epochs <= 0:
        raise UserError(f"train.epochs is {train.epochs}: it must be above 0.")
    if not 0.0 <= train.warmup_share <= 1.0:
        raise UserError(f"train.warmup_share is {train.warmup_share}: it must be from 0 to 1.")
    data, fsdp, _ = mesh_shape(recipe.mesh, device_count)
    for name, size in (("batch_size", train.batch_size), ("eval_batch_size", train.eval_batch_size)):
        parts = data * fsdp * (train.microbatches if name == "batch_size" else 1)
        if size % parts:
            raise UserError(
                f"train.{name} is {size}, which {parts} (devices times microbatches) does not divide: choose a "
                "multiple."
            )
    if recipe.optimizer.learning_rate <= 0:
        raise UserError(f"optimizer.learning_rate is {recipe.optimizer.learning_rate}: it must be above 0.")


class _Split:
    """The examples of a split and their rows."""

    def __init__(self, examples: list[Example], features: list[Feature]) -> None:
        self.examples, self.features = examples, features
        self.lengths = np.array([feature.length for feature in features], np.int64)


class _Run:
    """One call of `finetune`: what its seeds share."""

    def __init__(
        self,
        pretrained: Pretrained,
        task: Any,
        recipe: FineTune,
        workdir: Path,
        mesh: Any,
        from_random: bool,
        about: dict[str, Any],
    ) -> None:
        self.task, self.recipe, self.workdir, self.mesh, self.about = task, recipe, workdir, mesh, about
        if pretrained.tokenizer is None:
            raise UserError("The checkpoint has no tokenizer: put its files beside it.")
        self.pretrained, self.tokenizer, self.from_random = pretrained, pretrained.tokenizer, from_random
        reader = make_reader(pretrained.module.kind, pretrained.config, self.tokenizer, recipe)
        examples = task.splits()
        self.way = make_way(task, reader, limits_of(pretrained.config, recipe), recipe)
        self.splits = {
            name: _Split(found, self.way.features(found, learn=name == "train")) for name, found in examples.items()
        }
        self.fill = filler(pretrained, reader)
        self.config = network_config(pretrained.config, self.way, recipe)
        self.module = build(self.config)
        self.buckets = buckets.bucket_lengths(
            self.splits["train"].lengths.tolist(),
            max(int(split.lengths.max()) for split in self.splits.values()),
            recipe.train.buckets,
        )
        self._plan()

    def _plan(self) -> None:
        """The number of steps, the optimizer and the programs."""
        train = self.recipe.train
        self.epoch_steps = -(-len(self.splits["train"].features) // train.batch_size)
        self.steps = train.steps or max(1, round(train.epochs * self.epoch_steps))
        self.recipe = replace(self.recipe, train=replace(train, steps=self.steps))
        self.identity = self._identity()
        self.eval_rows = train.eval_batch_size or train.batch_size
        warmup = round(train.warmup_share * self.steps)
        given = replace(self.recipe.optimizer, warmup_steps=warmup, decay_steps=self.steps)
        optimizer = self._optimizer(given)
        self.abstract = abstract_state(self.module, optimizer, train.seed, self.mesh)
        self.optimizer = optimizer
        self.programs = Programs(
            self.mesh,
            self.abstract,
            self.module,
            self.way,
            self.tokenizer.vocabulary,
            optimizer=optimizer,
            schedule=make_schedule(given, self.steps),
            clip_norm=given.clip_norm,
            microbatches=train.microbatches,
        )

    def _identity(self) -> dict[str, Any]:
        """What a seed's result depends on, as it comes back from JSON."""
        start = "random" if self.from_random else fingerprint(self.pretrained.params)
        data = {name: fingerprint_of_examples(split.examples) for name, split in self.splits.items()}
        found = {"recipe": to_json(self.recipe), "task": to_json(self.task), "parameters": start, "examples": data}
        return json.loads(json.dumps({**self.about, **found}))

    def _optimizer(self, given: OptimizerConfig) -> optax.GradientTransformation:
        return optax.chain(make_optimizer(given), self.recipe.updates.transform(self.config))

    def go(self, seeds: int) -> Results:
        """Runs every seed."""
        for line in self._description(seeds):
            print(line, flush=True)
        chance = self._chance()
        runs: list[SeedResult] = []
        best: tuple[SeedResult, list[dict[str, Any]]] | None = None
        for seed in range(self.recipe.train.seed, self.recipe.train.seed + seeds):
            folder = self.workdir / f"seed_{seed}"
            known = read_seed(folder, self.identity)
            result, predictions = known or _Seed(self, seed, folder).run()
            runs.append(result)
            is_best = best is None or self._is_better(result, best[0])
            if is_best:
                best = result, predictions
            if known:
                print(f"seed {seed} is done: its results are in {folder}", flush=True)
                continue
            if is_best:
                self._keep(folder)
            elif not self.recipe.keep_seeds:
                shutil.rmtree(folder / "checkpoints")
            write_seed(folder, result, self.counts, predictions, self.identity)
        found = Results(runs, best[0], self.counts, chance, self.identity | self._measured())
        write(found.report(best[1]), self.workdir, found.as_dict())
        for kind, lengths in self.programs.counts().items():
            said = f"{len(lengths)} programs, for rows of {', '.join(map(str, lengths)) or 'no'} tokens"
            print(f"compiled for {kind}: {said}, in {self.programs.seconds[kind]:.1f} s", flush=True)
        return found

    def _measured(self) -> dict[str, Any]:
        return {
            "buckets": list(self.buckets),
            "compiled": self.programs.counts(),
            "compile_seconds": self.programs.seconds,
            "peak_memory_bytes": peak_memory(),
        }

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each split."""
        return {name: len(split.examples) for name, split in self.splits.items()}

    def _description(self, seeds: int) -> list[str]:
        train, source = self.recipe.train, "random parameters" if self.from_random else "the checkpoint"
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        rows = self.splits["train"]
        padded = sum(buckets.bucket_of(int(length), self.buckets) for length in rows.lengths)
        cut = f"; {self.way.cut_rows:,} rows cut" if self.way.cut_rows else ""
        return [
            f"task: {self.task.kind}, {self.way.num_outputs} output(s); examples: {counts}{cut}",
            f"network: {type(self.config).__name__}, {parameter_count(self.abstract.params):,} parameters, from "
            f"{source}",
            f"rows of up to {', '.join(map(str, self.buckets))} tokens, {rows.lengths.sum() / padded:.0%} of them real",
            f"{self.steps:,} steps of {train.batch_size} rows, {self.epoch_steps:,} an epoch; {seeds} seed(s)",
        ]

    def _chance(self) -> dict[str, Scores]:
        """What the answer that needs no reading scores."""
        guess = self.task.baseline(self.splits["train"].examples)
        if guess is None:
            return {}
        return {
            name: self.task.measure(labelled, [guess] * len(labelled))
            for name, split in self.splits.items()
            if name != "train" and (labelled := [example for example in split.examples if example.target is not None])
        }

    def _is_better(self, new: SeedResult, old: SeedResult) -> bool:
        metric = self.task.metrics[0]
        return "validation" in new.scores and better(
            metric, new.scores["validation"][metric], old.scores["validation"][metric]
        )

    def _keep(self, folder: Path) -> None:
        """The seed's checkpoint becomes the run's."""
        target = self.workdir / "checkpoints"
        if target.exists():
            shutil.rmtree(target)
        if self.recipe.keep_seeds:
            shutil.copytree(folder / "checkpoints", target)
        else:
            (folder / "checkpoints").rename(target)
        self.tokenizer.save(self.workdir / "tokenizer")


class _Seed:
    """One run."""

    def __init__(self, run: _Run, seed: int, folder: Path) -> None:
        self.r, self.seed, self.folder = run, seed, folder
        self.best: float | None = None
        self.best_step = 0
        self.worse_in_a_row = 0
        self.compiled_before = dict(run.programs.seconds)

    def run(self) -> tuple[SeedResult, list[dict[str, Any]]]:
        """Trains, and scores the best step on every split."""
        r = self.r
        if (self.folder / "checkpoints").exists():
            shutil.rmtree(self.folder / "checkpoints")  # of a run that was broken off
        self.folder.mkdir(parents=True, exist_ok=True)
        self.began, self.evaluating = time.perf_counter(), 0.0
        self.writer = Checkpointer(self.folder / "checkpoints", keep=1)
        self.reporter = Reporter(self.folder, r.recipe, 0, active=jax.process_index() == 0)
        try:
            state, steps = self._train(self._start())
            trained = time.perf_counter() - self.began - self.evaluating
            self.writer.wait()
            params = state.params if self.best_step == steps else restore_params(find(self.folder), r.abstract.params)
            scores, predictions = self._score(params)
        finally:
            self.reporter.close()
            self.writer.close()
        compiling = {kind: spent - self.compiled_before[kind] for kind, spent in r.programs.seconds.items()}
        seconds = time.perf_counter() - self.began - sum(compiling.values())
        return (
            SeedResult(
                self.seed, self.best_step, steps, steps < r.steps, scores, seconds, trained - compiling["training"]
            ),
            predictions,
        )

    def _start(self) -> State:
        r = self.r
        state = create_state(r.module, r.optimizer, self.seed, r.abstract)
        self.reporter.say(f"seed {self.seed}")
        if not r.from_random:
            params, fresh, unused = r.fill(state.params)
            names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
            self.reporter.say(f"fresh parameters: {names['fresh']}; unused: {names['unused']}")
            state = replace(state, params=params)
        return state

    def _batches(self):
        """(batch, features) without end, a pass after the other."""
        r, train = self.r, self.r.recipe.train
        split, epoch = r.splits["train"], 0
        while True:
            for rows in buckets.epoch_plan(split.lengths, train.batch_size, train.pool, self.seed, epoch):
                features = [split.features[row] for row in rows]
                yield self._batch(features, train.batch_size)
            epoch += 1

    def _batch(self, features: list[Feature], rows: int) -> dict[str, np.ndarray]:
        longest = max(feature.length for feature in features)
        return make_batch(features, rows, buckets.bucket_of(longest, self.r.buckets), self.r.way.padding)

    def _train(self, state: State) -> tuple[State, int]:
        """The state after the last step that was made, and its number."""
        r, train = self.r, self.r.recipe.train
        stream, interval = self._batches(), Interval()
        every = train.eval_every or r.epoch_steps
        pending: tuple[int, Any] | None = None
        batch = next(stream)
        interval.start()
        for step in range(1, r.steps + 1):
            state, report = r.programs.train(state, batch, self.seed)
            self.reporter.tick()
            if step < r.steps:
                batch = next(stream)  # while the device works
            if pending is not None:
                self._report(interval, *pending)
            pending = step, report
            if step % every == 0 or step == r.steps:
                self._report(interval, *pending)
                pending, began = None, time.perf_counter()
                enough = self._validate(step, state)
                interval.began += time.perf_counter() - began
                self.evaluating += time.perf_counter() - began
                if enough:
                    self.reporter.say(f"stopped after step {step:,}: {train.patience} validations were no better")
                    return state, step
        return state, r.steps

    def _report(self, interval: Interval, step: int, report: Any) -> None:
        report = jax.device_get(report)
        interval.add(report, 0.0)
        train = self.r.recipe.train
        if report["nonfinite_in_a_row"] >= train.max_nonfinite:
            raise UserError(
                f"The gradient was not finite {train.max_nonfinite} times in a row, lastly in step {step} of seed "
                f"{self.seed}: lower optimizer.learning_rate or set optimizer.clip_norm."
            )
        if step % train.log_every and step != self.r.steps:
            return
        self.reporter.write(
            {
                "split": "train",
                "step": step,
                "epoch": step / self.r.epoch_steps,
                **interval.means(self.r.way.coefficients()),
                "grad_norm": finite(float(report["grad_norm"])),
                "param_norm": float(report["param_norm"]),
                "learning_rate": float(report["learning_rate"]),
                "nonfinite": int(report["nonfinite"]),
                **interval.speed(None, self.r.mesh.size),
            }
        )
        interval.clear()

    def _validate(self, step: int, state: State) -> bool:
        """Saves the parameters where they are the best so far; True where it is time to stop."""
        r = self.r
        if "validation" not in r.splits:
            if step == r.steps:
                self._save(step, state)
            return False
        began = time.perf_counter()
        scores, _ = self._scores("validation", state.params)
        value = scores[r.task.metrics[0]]
        record = {"split": "validation", "step": step, "epoch": step / r.epoch_steps, **scores}
        self.reporter.write(record | {"seconds": time.perf_counter() - began})
        if better(r.task.metrics[0], value, self.best):
            self.best, self.worse_in_a_row = value, 0
            self._save(step, state)
            return False
        self.worse_in_a_row += 1
        return bool(r.recipe.train.patience) and self.worse_in_a_row >= r.recipe.train.patience

    def _save(self, step: int, state: State) -> None:
        r = self.r
        self.best_step = step
        manifest = manifest_of(r.pretrained, r.config, r.recipe, r.task, {"seed": self.seed})
        save_params(self.writer, state.params, step, manifest)

    def _score(self, params: Any) -> tuple[dict[str, Scores], list[dict[str, Any]]]:
        """The scores of every split but the training examples, and a line for each example."""
        scores, lines = {}, []
        for name, split in self.r.splits.items():
            if name == "train":
                continue
            scores[name], predictions = self._scores(name, params)
            for example, prediction in zip(split.examples, predictions, strict=True):
                line = {"split": name, "id": example.id, "target": self.r.task.shown_target(example)}
                lines.append(line | self.r.task.readable(prediction))
        return scores, lines

    def _scores(self, name: str, params: Any) -> tuple[Scores, list[Any]]:
        """The loss and the metrics of a split, as far as it has labels, and the predictions."""
        r, split = self.r, self.r.splits[name]
        outputs: list[Any] = [None] * len(split.features)
        sums: dict[str, Weighted] = {}
        for rows in buckets.sorted_plan(split.lengths, r.eval_rows):
            batch = self._batch([split.features[row] for row in rows], r.eval_rows)
            losses, _, found = jax.device_get(r.programs.predict(params, batch))
            sums = {key: Weighted(*loss) + sums.get(key, Weighted(0.0, 0.0)) for key, loss in losses.items()}
            for place, row in enumerate(rows):
                outputs[row] = {key: value[place] for key, value in found.items()}
        predictions = r.way.predictions(split.examples, split.features, outputs)
        known = [number for number, example in enumerate(split.examples) if example.target is not None]
        if not known:
            return {}, predictions
        coefficients = r.way.coefficients()
        loss = sum(coefficients.get(key, 1.0) * float(term.mean()) for key, term in sums.items())
        measured = r.task.measure([split.examples[i] for i in known], [predictions[i] for i in known])
        return {"loss": loss} | measured, predictions

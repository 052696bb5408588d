"""One run of a prepared task: it trains with one seed, keeps the best step and scores it; it resumes by itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from plmjax.checkpoints.checkpointer import Checkpoint, Checkpointer, find, restore, restore_params
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.finetune import buckets
from plmjax.finetune.features import Batch
from plmjax.finetune.network import manifest_of, save_params
from plmjax.finetune.progress import Progress, Saver, find_progress, forget
from plmjax.finetune.results import SeedResult, better
from plmjax.finetune.setup import FineTuneSetup, Scores
from plmjax.train.loop import EXIT_STOPPED
from plmjax.train.metrics import MetricAccumulator, finite
from plmjax.train.reporting import Reporter
from plmjax.train.signals import Stop, stop_signals
from plmjax.train.state import create_state

SAVE_SECONDS = 600.0  # between two saves of the whole state where validations are further apart


class SeedTrainer:
    """A run with `seed` in `folder`, which gets metrics.jsonl, the best step's checkpoint and the state to resume from.

    `identity` is what its result depends on: a broken-off run of another is refused.
    """

    def __init__(self, prepared: FineTuneSetup, seed: int, folder: Path, identity: Mapping[str, Any]) -> None:
        self.p, self.seed, self.folder, self.identity = prepared, seed, folder, identity

    def run(self) -> tuple[SeedResult, list[dict[str, Any]]]:
        """Trains, and scores the best step on every split: the result, and a line for each example."""
        p, found = self.p, find_progress(self.folder, self.identity)
        checkpoint, self.progress = found or (None, Progress())
        if checkpoint is None:
            forget(self.folder)
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)  # of a run that was broken off early
        self.folder.mkdir(parents=True, exist_ok=True)
        self.began, self.evaluating, self.compiled = time.perf_counter(), 0.0, dict(p.programs.seconds)
        self.before = self.progress.seconds, self.progress.train_seconds
        self.writer = Checkpointer(self.folder / "checkpoints", keep=1)
        self.saver = Saver(self.folder, self.identity)
        self.reporter = Reporter(self.folder, self._reported(), checkpoint.step if checkpoint else 0)
        try:
            state, steps = self._train(self._start(checkpoint), checkpoint.step if checkpoint else 0)
            _, trained = self._seconds()
            self.writer.wait()
            best_step = self.progress.best_step
            params = state.params if best_step == steps else restore_params(find(self.folder), p.abstract.params)
            scores, lines = self._score(params)
        finally:
            self.reporter.close()
            self.writer.close()
            self.saver.close()
        early = steps < p.steps
        seconds, peaks = self._seconds()[0], self.progress.peaks
        return SeedResult(self.seed, best_step, steps, early, scores, seconds, trained, peaks), lines

    def _seconds(self) -> tuple[float, float]:
        """Of the run so far, and of its training alone; both without compiling."""
        compiling = {kind: seconds - self.compiled[kind] for kind, seconds in self.p.programs.seconds.items()}
        now = time.perf_counter() - self.began
        whole, training = now - sum(compiling.values()), now - self.evaluating - compiling["training"]
        return self.before[0] + whole, self.before[1] + training

    def _reported(self) -> Any:
        """The recipe under a name of its own for each seed, as trackers of experiments want it."""
        return replace(self.p.recipe, name=f"{self.p.recipe.name}_seed_{self.seed}")

    def _start(self, checkpoint: Checkpoint | None) -> State:
        p = self.p
        if checkpoint is not None:
            self.reporter.say(f"seed {self.seed} goes on from step {checkpoint.step:,}")
            return restore(checkpoint, p.abstract)
        state = create_state(p.module, p.optimizer, self.seed, p.abstract)
        self.reporter.say(f"seed {self.seed}")
        if p.from_random:
            return state
        params, fresh, unused = p.fill(state.params)
        names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
        self.reporter.say(f"fresh parameters: {names['fresh']}; unused: {names['unused']}")
        return replace(state, params=params)

    def _batches(self, start: int) -> Iterator[Batch]:
        """Batches without end, a pass after the other, those before step `start` left out."""
        train, split = self.p.recipe.train, self.p.splits["train"]
        epoch, skipped = divmod(start, self.p.epoch_steps)
        while True:
            plan = buckets.epoch_plan(split.lengths, train.batch_size, train.pool, self.seed, epoch, self.p.order)
            for rows in plan[skipped:]:
                yield self.p.batch([split.features[row] for row in rows], train.batch_size)
            epoch, skipped = epoch + 1, 0

    def _train(self, state: State, start: int) -> tuple[State, int]:
        """The state after the last step that was made, and its number.

        The first SIGTERM or SIGINT ends the program after saving, with status EXIT_STOPPED.
        """
        with stop_signals() as stop:
            return self._loop(state, start, stop)

    def _loop(self, state: State, start: int, stop: Stop) -> tuple[State, int]:
        p, train = self.p, self.p.recipe.train
        stream, interval = self._batches(start), MetricAccumulator(self.progress.sums)
        every = train.eval_every or p.epoch_steps
        pending: tuple[int, Any] | None = None
        batch = next(stream)
        interval.start()
        saved = time.monotonic()
        for step in range(start + 1, p.steps + 1):
            state, report = p.programs.train(state, batch, self.seed)
            self.reporter.tick()
            if step < p.steps:
                batch = next(stream)  # while the device works
            if pending is not None:
                self._report(interval, *pending)
            pending = step, report
            last = step == p.steps
            validate = last or step % every == 0
            if not (validate or stop.requested or time.monotonic() - saved > SAVE_SECONDS):
                continue
            self._report(interval, *pending)
            pending, began = None, time.perf_counter()
            enough = validate and self._validate(step, state)
            if not (last or enough):
                self._save_progress(state, interval)
                saved = time.monotonic()
            interval.began += time.perf_counter() - began
            self.evaluating += time.perf_counter() - began
            if enough:
                self.reporter.say(f"stopped after step {step:,}: {train.patience} validations were no better")
                return state, step
            if stop.requested and not last:
                self.saver.wait()
                self.reporter.say(f"stopped by {stop.name} after step {step:,}: run the same command again to resume")
                raise SystemExit(EXIT_STOPPED)
        return state, p.steps

    def _save_progress(self, state: State, interval: MetricAccumulator) -> None:
        """Begins to write the state, once the best step that it speaks of is on the disk."""
        self.writer.wait()
        seconds, training = self._seconds()
        sums = {name: list(pair) for name, pair in interval.sums.items()}  # it is written later
        self.saver.save(state, replace(self.progress, seconds=seconds, train_seconds=training, sums=sums))

    def _report(self, interval: MetricAccumulator, step: int, report: Any) -> None:
        """Takes in the metrics of a step, and writes a line when it is due."""
        p, train, report = self.p, self.p.recipe.train, jax.device_get(report)
        interval.add(report, 0.0)
        if report["nonfinite_in_a_row"] >= train.max_nonfinite:
            raise UserError(
                f"The gradient was not finite {train.max_nonfinite} times in a row, lastly in step {step} of seed "
                f"{self.seed}: lower optimizer.learning_rate or set optimizer.clip_norm."
            )
        if step % train.log_every and step != p.steps:
            return
        self.reporter.write(
            {
                "split": "train",
                "step": step,
                "epoch": step / p.epoch_steps,
                **interval.means(p.task_model.coefficients()),
                "grad_norm": finite(float(report["grad_norm"])),
                "param_norm": float(report["param_norm"]),
                "learning_rate": float(report["learning_rate"]),
                "nonfinite": int(report["nonfinite"]),
                **interval.speed(None, p.mesh.size),
            }
        )
        interval.clear()

    def _validate(self, step: int, state: State) -> bool:
        """Saves the parameters where they are the best so far; True where it is time to stop."""
        p, patience = self.p, self.p.recipe.train.patience
        if "validation" not in p.splits:
            if step == p.steps:
                self._save(step, state)
            return False
        began, metric = time.perf_counter(), p.task.metrics[0]
        scores, _ = p.scores("validation", state.params)
        record = {"split": "validation", "step": step, "epoch": step / p.epoch_steps, **scores}
        self.reporter.write(record | {"seconds": time.perf_counter() - began})
        for name in p.task.metrics:
            known = self.progress.peaks[name]["value"] if name in self.progress.peaks else None
            if name in scores and better(name, scores[name], known):
                self.progress.peaks[name] = {"value": scores[name], "step": step}
        if better(metric, scores[metric], self.progress.best):
            self.progress.best, self.progress.worse_in_a_row = scores[metric], 0
            self._save(step, state)
            return False
        self.progress.worse_in_a_row += 1
        return bool(patience) and self.progress.worse_in_a_row >= patience

    def _save(self, step: int, state: State) -> None:
        p = self.p
        self.progress.best_step = step
        manifest = manifest_of(p.pretrained, p.config, p.recipe, p.task_model, {"seed": self.seed})
        save_params(self.writer, state.params, step, manifest)

    def _score(self, params: Any) -> tuple[dict[str, Scores], list[dict[str, Any]]]:
        """The scores of every split but the training examples, and a line for each example."""
        p, scores = self.p, {}
        lines: list[dict[str, Any]] = []
        for name, split in p.splits.items():
            if name == "train":
                continue
            scores[name], shown = p.scores(name, params)
            for example, prediction in zip(split.examples, shown, strict=True):
                line = {"split": name, "id": example.id, "target": p.task.shown_target(example)}
                lines.append(line | prediction)
        return scores, lines

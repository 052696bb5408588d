"""One seed of a fine-tuning: it trains, keeps the best step and scores it; a seed that was interrupted resumes."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plmjax.checkpoints.checkpointer import Checkpoint, Checkpointer, find, restore, restore_params
from plmjax.checkpoints.state import State
from plmjax.data import buckets
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import Batch
from plmjax.finetune.network import manifest_of, save_params
from plmjax.finetune.progress import Progress, Saver, find_progress, forget
from plmjax.finetune.results import SeedResult, better
from plmjax.finetune.setup import FineTuneSetup, Scores
from plmjax.train.metrics import MetricAccumulator
from plmjax.train.reporting import Reporter
from plmjax.train.state import create_state
from plmjax.train.trainer import EXIT_STOPPED, LoopEnd, LoopSettings, Trainer

SAVE_SECONDS = 600.0  # between two saves of the whole state where validations are further apart


class SeedTrainer(Trainer):
    """A run with `seed` in `folder`, which gets metrics.jsonl, the best step's checkpoint and the state to resume from.

    `identity` is what its result depends on: the interrupted run of another is refused.
    """

    def __init__(self, setup: FineTuneSetup, seed: int, folder: Path, identity: Mapping[str, Any]) -> None:
        self.setup, self.seed, self.folder, self.identity = setup, seed, folder, identity
        train = setup.recipe.train
        self.mesh, self.programs, self.arguments = setup.mesh, setup.programs.train, (np.int32(seed),)
        self.settings = LoopSettings(
            setup.steps,
            train.log_every,
            train.eval_every or setup.epoch_steps,
            train.max_nonfinite,
            SAVE_SECONDS,
            setup.task_model.coefficients(),
        )

    def run(self) -> tuple[SeedResult, list[dict[str, Any]]]:
        """Trains, and scores the best step on every split: the result, and a line for each example."""
        found = find_progress(self.folder, self.identity)
        checkpoint, self.progress = found or (None, Progress())
        start = checkpoint.step if checkpoint else 0
        if checkpoint is None:
            forget(self.folder)
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)  # of a run that was interrupted early
        self.folder.mkdir(parents=True, exist_ok=True)
        self.began, self.compiled = time.perf_counter(), dict(self.setup.programs.seconds)
        self.before = self.progress.seconds, self.progress.train_seconds
        self.metrics = MetricAccumulator(self.progress.sums)
        self.writer = Checkpointer(self.folder / "checkpoints", keep=1)
        self.saver = Saver(self.folder, self.identity)
        self.reporter = Reporter(self.folder, self._reported(), start)
        try:
            return self._run(checkpoint, start)
        finally:
            self.reporter.close()
            self.writer.close()
            self.saver.close()

    def _run(self, checkpoint: Checkpoint | None, start: int) -> tuple[SeedResult, list[dict[str, Any]]]:
        end = self.fit(self._start(checkpoint), start)
        self._say_end(end)
        _, trained = self._seconds()
        self.writer.wait()
        best_step = self.progress.best_step
        is_last = best_step == end.step
        params = end.state.params if is_last else restore_params(find(self.folder), self.setup.abstract.params)
        scores, lines = self._score(params)
        early, seconds = end.step < self.setup.steps, self._seconds()[0]
        return SeedResult(self.seed, best_step, end.step, early, scores, seconds, trained, self.progress.peaks), lines

    def _say_end(self, end: LoopEnd) -> None:
        """Says why a seed ended before its last step; one that a signal stopped ends the program."""
        if end.status == "early":
            patience = self.setup.recipe.train.patience
            self.reporter.say(f"stopped after step {end.step:,}: {patience} validations were no better")
        if end.status == "stopped":
            self.saver.wait()
            self.reporter.say(f"stopped by {end.signal} after step {end.step:,}: run the same command again to resume")
            raise SystemExit(EXIT_STOPPED)

    def _seconds(self) -> tuple[float, float]:
        """Seconds of the run so far, and of its training alone; both without compiling."""
        compiling = {kind: seconds - self.compiled[kind] for kind, seconds in self.setup.programs.seconds.items()}
        now = time.perf_counter() - self.began
        whole, training = now - sum(compiling.values()), now - self.paused - compiling["training"]
        return self.before[0] + whole, self.before[1] + training

    def _reported(self) -> FineTune:
        """The recipe under a name of its own for each seed, as trackers of experiments want it."""
        return replace(self.setup.recipe, name=f"{self.setup.recipe.name}_seed_{self.seed}")

    def _start(self, checkpoint: Checkpoint | None) -> State:
        p = self.setup
        if checkpoint is not None:
            self.reporter.say(f"seed {self.seed} resumes from step {checkpoint.step:,}")
            return restore(checkpoint, p.abstract)
        state = create_state(p.module, p.optimizer, self.seed, p.abstract)
        self.reporter.say(f"seed {self.seed}")
        if p.from_random:
            return state
        params, fresh, unused = p.fill(state.params)
        names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
        self.reporter.say(f"fresh parameters: {names['fresh']}; unused: {names['unused']}")
        return replace(state, params=params)

    def stream(self, start: int) -> Iterator[Batch]:
        """Batches without end, a pass after the other, those before step `start` left out."""
        train, split = self.setup.recipe.train, self.setup.splits["train"]
        epoch, skipped = divmod(start, self.setup.epoch_steps)
        while True:
            plan = buckets.epoch_plan(split.lengths, train.batch_size, train.pool, self.seed, epoch, self.setup.order)
            for rows in plan[skipped:]:
                yield self.setup.batch([split.features[row] for row in rows], train.batch_size)
            epoch, skipped = epoch + 1, 0

    def batch_size(self, step: int) -> int:
        return self.setup.recipe.train.batch_size

    def epoch(self, step: int) -> float:
        return step / self.setup.epoch_steps

    def is_saved(self, step: int, validated: bool) -> bool:
        return validated

    def save(self, step: int, state: State) -> None:
        """Begins to write the state, once the best step that it speaks of is on the disk; not after the last step."""
        if step == self.setup.steps:
            return
        self.writer.wait()
        seconds, training = self._seconds()
        sums = self.metrics.copied_sums()
        self.saver.save(state, replace(self.progress, seconds=seconds, train_seconds=training, sums=sums))

    def nonfinite_error(self, step: int, in_a_row: int) -> UserError:
        return UserError(
            f"The gradient was not finite {in_a_row} times in a row, lastly in step {step} of seed {self.seed}: lower "
            "optimizer.learning_rate or set optimizer.clip_norm."
        )

    def validate(self, step: int, state: State) -> bool:
        """Saves the parameters where they are the best so far; True where it is time to stop."""
        p, patience = self.setup, self.setup.recipe.train.patience
        if "validation" not in p.splits:
            if step == p.steps:
                self._save(step, state)
            return False
        began, metric = time.perf_counter(), p.task.metrics[0]
        scores, _ = p.scores("validation", state.params)
        if not math.isfinite(scores[metric]):
            raise UserError(
                f"The validation after step {step} of seed {self.seed} gives {metric} = {scores[metric]}: lower "
                "optimizer.learning_rate, or set the recipe's dtype to float32."
            )
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
        p = self.setup
        self.progress.best_step = step
        manifest = manifest_of(p.pretrained, p.config, p.recipe, p.task_model, {"seed": self.seed})
        save_params(self.writer, state.params, step, manifest)

    def _score(self, params: Any) -> tuple[dict[str, Scores], list[dict[str, Any]]]:
        """The scores of every split but the training examples, and a line for each example."""
        p, scores = self.setup, {}
        lines: list[dict[str, Any]] = []
        for name, split in p.splits.items():
            if name == "train":
                continue
            scores[name], shown = p.scores(name, params)
            for example, prediction in zip(split.examples, shown, strict=True):
                line = {"split": name, "id": example.id, "target": p.task.shown_target(example)}
                lines.append(line | prediction)
        return scores, lines

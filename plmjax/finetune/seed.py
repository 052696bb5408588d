"""One run of a prepared task: it trains with one seed, keeps the best step and scores it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from plmjax.errors import UserError
from plmjax.finetune import buckets
from plmjax.finetune.features import Batch
from plmjax.finetune.network import manifest_of, save_params
from plmjax.finetune.prepared import Prepared, Scores
from plmjax.finetune.results import SeedResult, better
from plmjax.train.checkpoints import Checkpointer, find, restore_params
from plmjax.train.metrics import Interval, finite
from plmjax.train.reporting import Reporter
from plmjax.train.state import State, create_state


class SeedRun:
    """A run with `seed` in `folder`, which gets metrics.jsonl and the best step's checkpoint."""

    def __init__(self, prepared: Prepared, seed: int, folder: Path) -> None:
        self.p, self.seed, self.folder = prepared, seed, folder
        self.best: float | None = None
        self.best_step = 0
        self.worse_in_a_row = 0

    def run(self) -> tuple[SeedResult, list[dict[str, Any]]]:
        """Trains, and scores the best step on every split: the result, and a line for each example."""
        p, config = self.p, self._reported()
        if (self.folder / "checkpoints").exists():
            shutil.rmtree(self.folder / "checkpoints")  # of a run that was broken off
        self.folder.mkdir(parents=True, exist_ok=True)
        began, self.evaluating, compiled = time.perf_counter(), 0.0, dict(p.programs.seconds)
        self.writer = Checkpointer(self.folder / "checkpoints", keep=1)
        self.reporter = Reporter(self.folder, config, 0)
        try:
            state, steps = self._train(self._start())
            trained = time.perf_counter() - began - self.evaluating
            self.writer.wait()
            params = state.params if self.best_step == steps else restore_params(find(self.folder), p.abstract.params)
            scores, lines = self._score(params)
        finally:
            self.reporter.close()
            self.writer.close()
        compiling = {kind: seconds - compiled[kind] for kind, seconds in p.programs.seconds.items()}
        seconds = time.perf_counter() - began - sum(compiling.values())
        early = steps < p.steps
        result = SeedResult(self.seed, self.best_step, steps, early, scores, seconds, trained - compiling["training"])
        return result, lines

    def _reported(self) -> Any:
        """The recipe under a name of its own for each seed, as trackers of experiments want it."""
        return replace(self.p.recipe, name=f"{self.p.recipe.name}_seed_{self.seed}")

    def _start(self) -> State:
        p = self.p
        state = create_state(p.module, p.optimizer, self.seed, p.abstract)
        self.reporter.say(f"seed {self.seed}")
        if p.from_random:
            return state
        params, fresh, unused = p.fill(state.params)
        names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
        self.reporter.say(f"fresh parameters: {names['fresh']}; unused: {names['unused']}")
        return replace(state, params=params)

    def _batches(self) -> Iterator[Batch]:
        """Batches without end, a pass after the other."""
        train, split, epoch = self.p.recipe.train, self.p.splits["train"], 0
        while True:
            for rows in buckets.epoch_plan(split.lengths, train.batch_size, train.pool, self.seed, epoch, self.p.order):
                yield self.p.batch([split.features[row] for row in rows], train.batch_size)
            epoch += 1

    def _train(self, state: State) -> tuple[State, int]:
        """The state after the last step that was made, and its number."""
        p, train = self.p, self.p.recipe.train
        stream, interval = self._batches(), Interval()
        every = train.eval_every or p.epoch_steps
        pending: tuple[int, Any] | None = None
        batch = next(stream)
        interval.start()
        for step in range(1, p.steps + 1):
            state, report = p.programs.train(state, batch, self.seed)
            self.reporter.tick()
            if step < p.steps:
                batch = next(stream)  # while the device works
            if pending is not None:
                self._report(interval, *pending)
            pending = step, report
            if step % every == 0 or step == p.steps:
                self._report(interval, *pending)
                pending, began = None, time.perf_counter()
                enough = self._validate(step, state)
                interval.began += time.perf_counter() - began
                self.evaluating += time.perf_counter() - began
                if enough:
                    self.reporter.say(f"stopped after step {step:,}: {train.patience} validations were no better")
                    return state, step
        return state, p.steps

    def _report(self, interval: Interval, step: int, report: Any) -> None:
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
                **interval.means(p.way.coefficients()),
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
        if better(metric, scores[metric], self.best):
            self.best, self.worse_in_a_row = scores[metric], 0
            self._save(step, state)
            return False
        self.worse_in_a_row += 1
        return bool(patience) and self.worse_in_a_row >= patience

    def _save(self, step: int, state: State) -> None:
        p = self.p
        self.best_step = step
        manifest = manifest_of(p.pretrained, p.config, p.recipe, p.way, {"seed": self.seed})
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

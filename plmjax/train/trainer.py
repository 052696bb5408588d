"""The loop that pre-training and fine-tuning share: step, report, validate, save, stop."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
from jax.sharding import Mesh

from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.train.distributed import agree
from plmjax.train.metrics import MetricAccumulator, finite
from plmjax.train.reporting import Reporter
from plmjax.train.sharding import AbstractBatch, HostBatch, abstract_batch, to_devices
from plmjax.train.signals import Stop, stop_signals

EXIT_STOPPED = 75  # of a script whose run a signal stopped after saving: start it again (EX_TEMPFAIL of sysexits.h)


class Programs:
    """A jitted function compiled ahead of time, once for each shape of batches.

    Args:
        lower: the function, lowered for a batch's shapes.
    """

    def __init__(self, lower: Callable[[AbstractBatch], jax.stages.Lowered]) -> None:
        self._lower = lower
        self.by_shape: dict[tuple[tuple[str, tuple[int, ...]], ...], jax.stages.Compiled] = {}
        self.seconds = 0.0  # that compiling took

    def __call__(self, batch: AbstractBatch) -> jax.stages.Compiled:
        """The program for batches of these shapes."""
        key = tuple((name, batch[name].shape) for name in sorted(batch))
        if key not in self.by_shape:
            began = time.perf_counter()
            self.by_shape[key] = self._lower(batch).compile()
            self.seconds += time.perf_counter() - began
        return self.by_shape[key]

    def lengths(self) -> list[int]:
        """The lengths of `tokens` that there is a program for, in order."""
        return sorted(dict(key)["tokens"][-1] for key in self.by_shape)


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The numbers that the loop reads.

    Attributes:
        steps: of the whole run.
        log_every: steps between two lines of metrics.
        eval_every: steps between two validations; the last step is always validated.
        max_nonfinite: non-finite gradients in a row that end the run.
        save_seconds: after which the state is saved whatever the step, 0: never.
        coefficients: factors of the losses in their sum.
        peak: FLOPs a second of one device, None: not known.
    """

    steps: int
    log_every: int
    eval_every: int
    max_nonfinite: int
    save_seconds: float
    coefficients: Mapping[str, float]
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class LoopEnd:
    """The end of the loop.

    Attributes:
        status: "finished"; "early", where a validation ended it; "stopped" by a signal, after saving.
        state: after the last step that was made.
        step: its number.
        signal: that stopped it, empty where another process was told to.
    """

    status: Literal["finished", "early", "stopped"]
    state: State
    step: int
    signal: str = ""


class Trainer(ABC):
    """Steps, and what comes between them. A subclass fills in the hooks below `fit`.

    A step's report is read once the next step has been started, so that the device never waits for the host. Batches
    are read and programs compiled ahead of their use, in time that the metrics leave out.

    Attributes:
        mesh: from `sharding.make_mesh`.
        reporter: where lines of metrics go.
        metrics: sums since the last line, those of the checkpoint in a run that resumes.
        programs: the training step.
        settings: the numbers of the loop.
        arguments: what the training step takes after state and batch.
        paused: seconds that validating and saving took.
    """

    mesh: Mesh
    reporter: Reporter
    metrics: MetricAccumulator
    programs: Programs
    settings: LoopSettings
    arguments: tuple[Any, ...] = ()
    paused: float = 0.0

    def fit(self, state: State, start: int) -> LoopEnd:
        """Takes the steps after `start`; the first SIGTERM or SIGINT ends them after saving.

        Raises:
            UserError: gradients are not finite, or a hook's.
        """
        with stop_signals() as stop:
            return self._fit(state, start, stop)

    @abstractmethod
    def stream(self, start: int) -> Iterator[HostBatch]:
        """This process's rows of the batches that are read after `start` updates and later."""

    @abstractmethod
    def batch_size(self, step: int) -> int:
        """Examples of the batch that is read after `step` updates, over all processes."""

    @abstractmethod
    def epoch(self, step: int) -> float:
        """The number of times that the examples have been read in the first `step` updates."""

    @abstractmethod
    def validate(self, step: int, state: State) -> bool:
        """Scores the state; True ends the run early."""

    @abstractmethod
    def is_saved(self, step: int, validated: bool) -> bool:
        """True where the state is saved after this step even if nothing stops the run."""

    @abstractmethod
    def save(self, step: int, state: State) -> None:
        """Begins to save the state."""

    @abstractmethod
    def nonfinite_error(self, step: int, in_a_row: int) -> UserError:
        """The error of a run whose gradients are not finite."""

    def begin(self, state: State) -> None:  # noqa: B027 a hook that need not be filled in
        """Called before the first step of a new run."""

    def check(self) -> None:  # noqa: B027
        """Called once a step; raises what went wrong in the background."""

    def flops(self, step: int) -> float:
        """FLOPs of the step with this number, 0: not known."""
        return 0.0

    def _fit(self, state: State, start: int, stop: Stop) -> LoopEnd:
        steps = self.settings.steps
        stream = self.stream(start)
        program, batch = self._take(stream, start)
        pending: tuple[int, Any] | None = None
        if start == 0:
            self.begin(state)
        self._saved_at = time.monotonic()
        self.metrics.start()
        for step in range(start + 1, steps + 1):
            state, report = program(state, batch, *self.arguments)
            self.reporter.tick()
            if step < steps:
                program, batch = self._take(stream, step)  # while the device works
            if pending is not None:
                self._report(*pending)
            pending = step, report
            last, flags = step == steps, self._flags(step, stop)
            validated = last or step % self.settings.eval_every == 0
            saved = flags["stop"] or flags["save"] or self.is_saved(step, validated)
            if not (validated or saved):
                continue
            self._report(*pending)
            pending = None
            if self._pause(step, state, validated, saved):
                return LoopEnd("early", state, step)
            if flags["stop"] and not last:
                return LoopEnd("stopped", state, step, stop.name)
        return LoopEnd("finished", state, steps)

    def _take(self, stream: Iterator[HostBatch], step: int) -> tuple[jax.stages.Compiled, dict[str, jax.Array]]:
        """The program and the batch of the step after `step` updates."""
        began = time.perf_counter()
        local = next(stream)
        self.metrics.waited += time.perf_counter() - began
        size, compiling = self.batch_size(step), self.programs.seconds
        program = self.programs(abstract_batch(local, size))
        self.metrics.leave_out(self.programs.seconds - compiling)
        return program, to_devices(local, self.mesh, size)

    def _pause(self, step: int, state: State, validated: bool, saved: bool) -> bool:
        """Validates and saves; True where the validation ends the run, which is then not saved."""
        began = time.perf_counter()
        enough = validated and self.validate(step, state)
        if saved and not enough:
            self.save(step, state)
            self._saved_at = time.monotonic()
        seconds = time.perf_counter() - began
        self.metrics.leave_out(seconds)
        self.paused += seconds
        return enough

    def _flags(self, step: int, stop: Stop) -> dict[str, bool]:
        """Says whether to stop, and whether it is time to save; processes agree on it when a line of metrics is due."""
        seconds = self.settings.save_seconds
        flags = {"stop": stop.requested, "save": bool(seconds) and time.monotonic() - self._saved_at > seconds}
        if jax.process_count() == 1:
            return flags
        if step % self.settings.log_every:
            return dict.fromkeys(flags, False)
        return agree(flags)

    def _report(self, step: int, report: Any) -> None:
        """Adds up the metrics of a step and writes a line when one is due.

        Reading the report waits for its step, which is no wait once the next step has been started.
        """
        report = jax.device_get(report)
        self.metrics.add(report, self.flops(step))
        self.check()
        if report["nonfinite_in_a_row"] >= self.settings.max_nonfinite:
            raise self.nonfinite_error(step, int(report["nonfinite_in_a_row"]))
        if step % self.settings.log_every and step != self.settings.steps:
            return
        self.reporter.write(
            {
                "split": "train",
                "step": step,
                "epoch": self.epoch(step),
                **self.metrics.means(self.settings.coefficients),
                "grad_norm": finite(float(report["grad_norm"])),
                "param_norm": finite(float(report["param_norm"])),
                "learning_rate": float(report["learning_rate"]),
                "nonfinite": int(report["nonfinite"]),
                **self.metrics.speed(self.settings.peak, self.mesh.size),
            }
        )
        self.metrics.clear()

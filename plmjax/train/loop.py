"""The loop: from a configuration and a folder to a trained, validated, saved network; it resumes by itself."""

import errno
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from plmjax.checkpoints.checkpointer import Checkpoint, Checkpointer, restore
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.modules.distillation import DistillationConfig
from plmjax.objectives.base import start_memory
from plmjax.train.backend import enable_compilation_cache
from plmjax.train.config import Config
from plmjax.train.data import TrainingBatches, abstract_batch, open_store, validation_batches, validation_loader
from plmjax.train.distributed import agree, first_process_first
from plmjax.train.evaluation import Evaluator
from plmjax.train.flops import forward_flops, peak_flops
from plmjax.train.initialize import Loader, adapt_params, load_init_params, load_native
from plmjax.train.manifest import check_same_run, run_manifest
from plmjax.train.metrics import MetricAccumulator, finite
from plmjax.train.optimizers import make_optimizer
from plmjax.train.reporting import Reporter, si
from plmjax.train.resolve import resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.sharding import make_mesh, to_devices
from plmjax.train.signals import Stop, stop_signals
from plmjax.train.state import abstract_state, create_state, parameter_count, shardings_of
from plmjax.train.step import forward, jit_train_step
from plmjax.train.teacher import fill_in_teacher, init_from_teacher

EXIT_STOPPED = 75  # of a script whose run a signal stopped after saving: start it again (EX_TEMPFAIL of sysexits.h)


@dataclass(slots=True)
class Result:
    """How a call of `train` ended."""

    status: str  # "finished"; "stopped" by a signal, after saving; "complete": there was nothing left to do
    step: int  # steps that the run has behind it
    workdir: Path
    checkpoint: Path  # of that step
    validation: dict[str, float] = field(default_factory=dict)  # the last validation's losses and metrics
    unigram_entropy: float | None = None  # nats, of the validation targets


def train(
    config: Config,
    workdir: str | Path,
    *,
    init_from: str = "",
    load: Loader = load_native,
    devices: Sequence[jax.Device] | None = None,
) -> Result:
    """Trains as `config` says, resuming from what `workdir` holds.

    Args:
        config: the run; it is not changed.
        workdir: folder of checkpoints/, metrics.jsonl, tensorboard/, loss.png and, where `config.data.store` is empty,
            the token store. Made if need be; several hosts share it.
        init_from: the checkpoint whose parameters a new run starts from. A run that resumes has no use for it.
        load: reads `init_from` and a distillation's teacher; by default plmjax's own checkpoints alone, while
            `plmjax.interop.initial.load_source` reads all kinds.
        devices: to train on, None: all.

    Returns:
        Result. The first SIGTERM or SIGINT ends the run after saving, with status "stopped".

    Raises:
        UserError: the configuration, the data, the folder or the disk does not allow it; one sentence.
    """
    workdir = Path(workdir).absolute()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        enable_compilation_cache(config.train.compilation_cache)
        store = first_process_first(lambda: open_store(config.data, workdir))
        devices = jax.devices() if devices is None else devices
        config = fill_in_teacher(config, workdir, load)
        config = resolve(config, store.vocabulary, len(devices), store.languages)
        mesh = make_mesh(config.mesh, devices)
        with jax.set_mesh(mesh):
            return _Run(config, workdir, store, mesh, load).go(init_from)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"The disk that holds {workdir} is full: free some space and run again to resume.") from error


class _Run:
    """One call of `train`: what its phases share."""

    def __init__(self, config: Config, workdir: Path, store: Any, mesh: Mesh, load: Loader) -> None:
        self.config, self.workdir, self.store, self.mesh, self.load = config, workdir, store, mesh, load
        self.module = build(config.model)
        self.parts = {"module": self.module, "objective": config.objective, "vocabulary": store.vocabulary}
        self.optimizer = make_optimizer(config.optimizer, getattr(self.module, "frozen", ()))
        self.empty_memory = partial(start_memory, config.objective, self.module, config.train.batch_size, train=True)
        self.abstract = abstract_state(self.module, self.optimizer, config.train.seed, mesh, self.empty_memory)
        self.manifest = run_manifest(config, store)
        self.validation: dict[str, float] = {}

    def go(self, init_from: str) -> Result:
        """Finds out where the run stands and takes it on from there."""
        self.checkpointer = Checkpointer.open(self.workdir / "checkpoints", self.config.checkpoint)
        try:
            found = self.checkpointer.latest()
            if found is not None:
                check_same_run(found.manifest, self.manifest, self.workdir)
                if found.step >= self.config.train.steps:
                    return Result("complete", found.step, self.workdir, Path(found.path))
            start = found.step if found else 0
            if jax.process_index() == 0:
                self.store.tokenizer.save(self.workdir / "tokenizer")  # a checkpoint is read without the store
            self.reporter = Reporter(self.workdir, self.config, start, active=jax.process_index() == 0)
            try:
                return self._train(found, init_from)
            finally:
                self.reporter.close()
        finally:
            self.checkpointer.close()

    def _train(self, found: Checkpoint | None, init_from: str) -> Result:
        state = self._initial_state(found, init_from)
        start = found.step if found else 0
        self.interval = MetricAccumulator(found.manifest["interval"] if found else None)
        self.batches = TrainingBatches(self.config, self.store, self.mesh)
        self.held_out = validation_loader(self.config, self.store, self.mesh)
        self.evaluator = Evaluator(self.mesh, shardings_of(self.abstract.params), **self.parts)
        self._describe(start)
        self.entropy = self.evaluator.unigram_entropy(self._validation_batches())
        self.reporter.say(f"unigram entropy of the validation targets: {self.entropy:.4f} nats")
        with stop_signals() as stop:
            return self._loop(state, start, stop)

    def _initial_state(self, found: Checkpoint | None, init_from: str) -> State:
        if found is not None:
            self.reporter.say(f"resuming from step {found.step:,} of {self.workdir}")
            return restore(found, self.abstract)
        state = create_state(self.module, self.optimizer, self.config.train.seed, self.abstract, self.empty_memory)
        if isinstance(self.config.model, DistillationConfig):
            fingerprint, vocabulary = self.store.tokenizer.fingerprint, self.store.vocabulary
            for line in init_from_teacher(self.config.model, state.params, fingerprint, vocabulary, self.load):
                self.reporter.say(line)
        if init_from:
            source = load_init_params(init_from, self.store.tokenizer.fingerprint, self.load)
            state.params, fresh, unused = adapt_params(source, state.params, self.store.vocabulary.size)
            names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
            self.reporter.say(f"parameters from {init_from}; fresh: {names['fresh']}; unused: {names['unused']}")
        return state

    def _compile(self, local: dict[str, np.ndarray], size: int) -> float:
        """Compiles the training step for batches of `size` examples; returns the seconds it took."""
        config, train = self.config, self.config.train
        step = jit_train_step(
            self.mesh,
            self.abstract,
            **self.parts,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=config.optimizer.clip_norm,
            microbatches=train.microbatches * size // train.batch_size if train.microbatches > 1 else 1,
            seed=train.seed,
        )
        began = time.perf_counter()
        self.programs[size] = step.lower(self.abstract, abstract_batch(local, size)).compile()
        return time.perf_counter() - began

    def _describe(self, start: int) -> None:
        """Compiles the first training step and prints the header."""
        config, train, ramp = self.config, self.config.train, self.batches.ramp
        rate = make_schedule(config.optimizer, train.steps)
        self.schedule = lambda step: rate(ramp.full_batches(step))
        self.programs: dict[int, Any] = {}
        local, size = self.batches.batch(start), ramp.at(start).batch_size
        seconds = self._compile(local, size)
        run = partial(forward, **self.parts)
        flops = 3.0 * forward_flops(run, self.abstract.params, abstract_batch(local, size), self.abstract.memory)
        self.flops_per_example = flops / size
        self.peak = peak_flops(self.mesh.devices.flat[0])
        mesh = ", ".join(f"{axis} {size}" for axis, size in self.mesh.shape.items())
        kind = self.mesh.devices.flat[0].device_kind
        grows = f" (at first {ramp.stages[0].batch_size})" if len(ramp.stages) > 1 else ""
        epoch = ramp.examples(1) / self.batches.epoch(1) / train.batch_size  # in whole batches
        for line in (
            f"{config.name or 'run'} in {self.workdir}",
            f"model: {type(config.model).__name__}, {parameter_count(self.abstract.params):,} parameters; "
            f"objective: {type(config.objective).__name__}; optimizer: {config.optimizer.name}",
            f"step: {train.batch_size} examples{grows} x {train.length} tokens = {train.batch_size * train.length:,} "
            f"tokens, {si(self.flops_per_example * train.batch_size)} FLOPs; epoch: {epoch:,.1f} steps; "
            f"run: {train.steps:,} steps",
            f"devices: {self.mesh.size} x {kind} ({mesh}), {jax.process_count()} process(es); "
            f"compiled in {seconds:.1f} s"
            + ("" if self.peak else f"; the peak of {kind!r} is not known, so no MFU is given"),
        ):
            self.reporter.say(line)

    def _loop(self, state: State, start: int, stop: Stop) -> Result:
        train = self.config.train
        stream = self.batches.stream(start)
        batch = self._take(stream, start)
        pending: tuple[int, Any] | None = None
        if start == 0:
            self._evaluate(0, state)  # where the curves start from
        self.saved_at = time.monotonic()
        self.interval.start()
        for step in range(start + 1, train.steps + 1):
            state, report = self.programs[self.batches.ramp.at(step - 1).batch_size](state, batch)
            self.reporter.tick()
            if step < train.steps:
                batch = self._take(stream, step)  # while the device works
            if pending is not None:
                self._report(*pending)
            pending = (step, report)
            last = step == train.steps
            flags = self._flags(step, stop)
            evaluate = last or step % train.eval_every == 0
            save = last or flags["stop"] or flags["save"] or self._every(step)
            if evaluate or save:
                self._report(*pending)
                pending, began = None, time.perf_counter()
                if evaluate:
                    self._evaluate(step, state)
                if save:
                    self._save(state)
                self.interval.began += time.perf_counter() - began
            if flags["stop"] and not last:
                self.checkpointer.wait()
                self.reporter.say(f"stopped by {stop.name or 'another process'} after step {step:,}, which is saved")
                return self._result("stopped", step)
        self.checkpointer.wait()
        self.reporter.plot(force=True)
        return self._result("finished", train.steps)

    def _take(self, stream: Iterator[dict[str, np.ndarray]], step: int) -> dict[str, jax.Array]:
        """The batch that is read after `step` updates, and a program for its size."""
        began = time.perf_counter()
        local = next(stream)
        self.interval.waited += time.perf_counter() - began
        size = self.batches.ramp.at(step).batch_size
        if size not in self.programs:
            began = time.perf_counter()
            self._compile(local, size)
            self.interval.began += time.perf_counter() - began
        return to_devices(local, self.mesh, size)

    def _flags(self, step: int, stop: Stop) -> dict[str, bool]:
        """Whether to stop and whether the clock says to save; processes agree on it when a line of metrics is due."""
        minutes = self.config.checkpoint.every_minutes
        late = bool(minutes) and time.monotonic() - self.saved_at > 60.0 * minutes
        flags = {"stop": stop.requested, "save": late}
        if jax.process_count() == 1:
            return flags
        if step % self.config.train.log_every:
            return dict.fromkeys(flags, False)
        return agree(flags)

    def _every(self, step: int) -> bool:
        every = self.config.checkpoint.every_steps
        return bool(every) and step % every == 0

    def _report(self, step: int, report: dict[str, Any]) -> None:
        """Takes in the metrics of a step; waits for them, which is no wait if the next step was started."""
        report = jax.device_get(report)
        self.interval.add(report, self.flops_per_example * self.batches.ramp.at(step - 1).batch_size)
        if self.checkpointer.failed():
            self.checkpointer.wait()
        if report["nonfinite_in_a_row"] >= self.config.train.max_nonfinite:
            self._give_up(step, int(report["nonfinite_in_a_row"]))
        if step % self.config.train.log_every and step != self.config.train.steps:
            return
        record = {
            "split": "train",
            "step": step,
            "epoch": self.batches.epoch(step),
            **self.interval.means(self.config.objective.coefficients()),
            "grad_norm": finite(float(report["grad_norm"])),
            "param_norm": float(report["param_norm"]),
            "learning_rate": float(report["learning_rate"]),
            "nonfinite": int(report["nonfinite"]),
            **self.interval.speed(self.peak, self.mesh.size),
        }
        self.reporter.write(record)
        self.interval.clear()

    def _give_up(self, step: int, in_a_row: int) -> None:
        """Writes down which examples the last step read, and ends the run."""
        path = self.workdir / "nonfinite.json"
        ids = TrainingBatches(self.config, self.store, None).batch(step - 1)["example_ids"].tolist()
        if jax.process_index() == 0:
            path.write_text(json.dumps({"step": step, "in_a_row": in_a_row, "example_ids": ids}))
        raise UserError(
            f"The gradient was not finite {in_a_row} times in a row, lastly in step {step}, whose example ids are in "
            f"{path}: lower optimizer.learning_rate or set optimizer.clip_norm, and start again."
        )

    def _validation_batches(self) -> Iterator[dict[str, jax.Array]]:
        return validation_batches(self.config, self.held_out, self.mesh)

    def _evaluate(self, step: int, state: State) -> None:
        began = time.perf_counter()
        self.validation = self.evaluator(state.params, self._validation_batches())
        record = {"split": "validation", "step": step, "epoch": self.batches.epoch(step), **self.validation}
        self.reporter.write(record | {"unigram_entropy": self.entropy, "seconds": time.perf_counter() - began})
        self.reporter.plot()

    def _save(self, state: State) -> None:
        interval = {name: list(pair) for name, pair in self.interval.sums.items()}  # it is written later
        self.checkpointer.save(state, self.manifest | {"interval": interval})
        self.saved_at = time.monotonic()

    def _result(self, status: str, step: int) -> Result:
        path = self.workdir / "checkpoints" / str(step)
        return Result(status, step, self.workdir, path, self.validation, self.entropy)

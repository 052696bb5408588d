"""Pre-training: from a configuration and a folder to a trained, validated, saved network; a run resumes by itself."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from plmjax.checkpoints.checkpointer import Checkpoint, Checkpointer, restore
from plmjax.checkpoints.state import State
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.modules import COMPOSITES, build
from plmjax.objectives.base import groups_of, start_memory
from plmjax.train.backend import enable_compilation_cache
from plmjax.train.composites import complete_model, prepare_params
from plmjax.train.config import Config
from plmjax.train.data import TrainingBatches, open_store, validation_batches, validation_loader
from plmjax.train.distributed import first_process_first
from plmjax.train.evaluation import Evaluator
from plmjax.train.flops import forward_flops, peak_flops
from plmjax.train.initialize import Loader, adapt_params, load_init_optimizer, load_init_params, load_native
from plmjax.train.manifest import changed_schedule, check_same_run, check_same_start, run_manifest, start_of
from plmjax.train.metrics import MetricAccumulator
from plmjax.train.optimizers import make_optimizer
from plmjax.train.reporting import Reporter, si
from plmjax.train.resolve import check_without_data, resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.sharding import AbstractBatch, HostBatch, abstract_batch, make_mesh
from plmjax.train.state import abstract_state, create_state, parameter_count, shardings_of
from plmjax.train.step import forward, jit_train_step
from plmjax.train.trainer import LoopSettings, Programs, Trainer
from plmjax.working_folder import PRETRAINING, full_disk_explained, working_folder


@dataclass(slots=True)
class Result:
    """The end of a call of `train`."""

    status: str  # "finished"; "stopped" by a signal, after saving; "complete": there was nothing left to do
    step: int  # steps that the run has behind it
    workdir: Path
    checkpoint: Path  # of that step
    validation: dict[str, float] = field(default_factory=dict)  # the last validation's losses and metrics
    unigram_entropy: float | None = None  # nats, of the validation targets


def pretrain(
    config: Config,
    workdir: str | Path,
    *,
    init_from: str = "",
    load: Loader = load_native,
    devices: Sequence[jax.Device] | None = None,
) -> Result:
    """Opens the token store that `config.data` names, building it first where it says from what, and trains on it.

    Args:
        config: the run; it is not changed.
        workdir: as of `train`; it gets the token store too where `config.data.store` is empty.
        init_from, load, devices: as of `train`.

    Raises:
        UserError: the configuration, the data, the folder or the disk does not allow it; one sentence.
    """
    workdir = Path(workdir).absolute()
    if type(config.model) not in COMPOSITES:  # a teacher's config is not known yet
        check_without_data(config)
    with _own_folder(workdir):
        store = first_process_first(lambda: open_store(config.data, workdir))
        return _train(config, store, workdir, init_from, load, devices)


def train(
    config: Config,
    store: Store,
    workdir: str | Path,
    *,
    init_from: str = "",
    load: Loader = load_native,
    devices: Sequence[jax.Device] | None = None,
) -> Result:
    """Trains as `config` says, resuming from what `workdir` holds.

    Args:
        config: the run; it is not changed.
        store: the tokens.
        workdir: folder of checkpoints/, metrics.jsonl, tensorboard/ and loss.png. Made if need be; several hosts share
            it.
        init_from: the checkpoint whose parameters a new run starts from. A run that resumes has no use for it, and
            refuses another than it has started from.
        load: reads `init_from` and a distillation's teacher; by default plmjax's own checkpoints alone, while
            `plmjax.interop.initial.load_source` reads all kinds.
        devices: to train on, None: all.

    Returns:
        Result. The first SIGTERM or SIGINT ends the run after saving, with status "stopped".

    Raises:
        UserError: the configuration, the data, the folder or the disk does not allow it; one sentence.
    """
    workdir = Path(workdir).absolute()
    with _own_folder(workdir):
        return _train(config, store, workdir, init_from, load, devices)


def _train(
    config: Config,
    store: Store,
    workdir: Path,
    init_from: str,
    load: Loader,
    devices: Sequence[jax.Device] | None,
) -> Result:
    enable_compilation_cache(config.train.compilation_cache)
    devices = jax.devices() if devices is None else devices
    config = complete_model(config, workdir, load)
    config = resolve(config, store.vocabulary, len(devices), store.languages)
    mesh = make_mesh(config.mesh, devices)
    with jax.set_mesh(mesh):
        return PretrainTrainer(config, workdir, store, mesh, load).run(init_from)


class PretrainTrainer(Trainer):
    """One call of `train`."""

    def __init__(self, config: Config, workdir: Path, store: Store, mesh: Mesh, load: Loader) -> None:
        self.config, self.workdir, self.store, self.mesh, self.load = config, workdir, store, mesh, load
        self.module = build(config.model)
        self.parts = {"module": self.module, "objective": config.objective, "vocabulary": store.vocabulary}
        self.optimizer = make_optimizer(config.optimizer, getattr(self.module, "frozen", ()))
        self.empty_memory = partial(start_memory, config.objective, self.module, config.train.batch_size, train=True)
        self.abstract = abstract_state(self.module, self.optimizer, config.train.seed, mesh, self.empty_memory)
        self.manifest = run_manifest(config, store)
        self.validation: dict[str, float] = {}
        self.programs = Programs(self._lower)
        self.settings = LoopSettings(
            config.train.steps,
            config.train.log_every,
            config.train.eval_every,
            config.train.max_nonfinite,
            60.0 * config.checkpoint.every_minutes,
            config.objective.coefficients(),
            peak_flops(mesh.devices.flat[0]),
        )

    def run(self, init_from: str) -> Result:
        """Finds out where the run stands and takes it on from there."""
        self.checkpointer = Checkpointer.open(self.workdir / "checkpoints", self.config.checkpoint)
        try:
            found = self.checkpointer.latest()
            if found is not None:
                check_same_run(found.manifest, self.manifest, self.workdir)
                check_same_start(found.manifest, init_from, self.workdir)
                if found.step >= self.config.train.steps:
                    return Result("complete", found.step, self.workdir, Path(found.path))
            start = found.step if found else 0
            self.manifest["init_from"] = found.manifest.get("init_from", "") if found else start_of(init_from)
            if jax.process_index() == 0:
                self.store.tokenizer.save(self.workdir / "tokenizer")  # a checkpoint is read without the store
            groups, is_first = groups_of(self.config.objective), jax.process_index() == 0
            self.reporter = Reporter(self.workdir, self.config, start, active=is_first, groups=groups)
            try:
                return self._run(found, init_from)
            finally:
                self.reporter.close()
        finally:
            self.checkpointer.close()

    def _run(self, found: Checkpoint | None, init_from: str) -> Result:
        state, start = self._initial_state(found, init_from), found.step if found else 0
        self.metrics = MetricAccumulator(found.manifest["interval"] if found else None)
        self.batches = TrainingBatches(self.config, self.store, self.mesh)
        self.held_out = validation_loader(self.config, self.store, self.mesh)
        self.evaluator = Evaluator(self.mesh, shardings_of(self.abstract.params), **self.parts)
        self._compile_first_step(start)
        self._print_header()
        self.entropy = self.evaluator.unigram_entropy(self._validation_batches())
        self.reporter.say(f"unigram entropy of the validation targets: {self.entropy:.4f} nats")
        end = self.fit(state, start)
        self.checkpointer.wait()
        if end.status == "stopped":
            cause = end.signal or "another process"
            self.reporter.say(f"stopped by {cause} after step {end.step:,}, which is saved")
        else:
            self.reporter.plot(force=True)
        path = self.workdir / "checkpoints" / str(end.step)
        return Result(end.status, end.step, self.workdir, path, self.validation, self.entropy)

    def _initial_state(self, found: Checkpoint | None, init_from: str) -> State:
        if found is not None:
            self.reporter.say(f"resuming from step {found.step:,} of {self.workdir}")
            if said := changed_schedule(found.manifest, self.manifest):
                self.reporter.say(said)
            return restore(found, self.abstract)
        state = create_state(self.module, self.optimizer, self.config.train.seed, self.abstract, self.empty_memory)
        fingerprint, vocabulary = self.store.tokenizer.fingerprint, self.store.vocabulary
        for line in prepare_params(self.config.model, state.params, fingerprint, vocabulary, self.load):
            self.reporter.say(line)
        if init_from:
            source = load_init_params(init_from, fingerprint, self.load)
            state.params, fresh, unused = adapt_params(source, state.params, vocabulary.size)
            names = {"fresh": ", ".join(fresh) or "none", "unused": ", ".join(unused) or "none"}
            self.reporter.say(f"parameters from {init_from}; fresh: {names['fresh']}; unused: {names['unused']}")
        if self.config.train.carry_optimizer:
            state.opt_state = load_init_optimizer(init_from, self.abstract.opt_state)
            self.reporter.say(f"the optimizer's state from {init_from}")
        return state

    def _lower(self, batch: AbstractBatch) -> jax.stages.Lowered:
        """The training step for batches of these shapes, as many of whose rows make a microbatch as of a full batch."""
        config, train = self.config, self.config.train
        (size,), rate = batch["example_ids"].shape, make_schedule(config.optimizer, train.steps)
        step = jit_train_step(
            self.mesh,
            self.abstract,
            **self.parts,
            optimizer=self.optimizer,
            schedule=lambda step: rate(self.batches.ramp.full_batches(step)),
            clip_norm=config.optimizer.clip_norm,
            microbatches=train.microbatches * size // train.batch_size if train.microbatches > 1 else 1,
            seed=train.seed,
        )
        return step.lower(self.abstract, batch)

    def _compile_first_step(self, start: int) -> None:
        """Compiles the step after `start` updates, and counts its FLOPs."""
        size = self.batch_size(start)
        shapes = abstract_batch(self.batches.batch(start), size)
        program = self.programs(shapes)
        tree: Any = program.out_tree
        _, report = jax.tree.unflatten(tree, range(tree.num_leaves))
        self.reporter.losses = tuple(report["losses"])
        run = partial(forward, **self.parts)
        flops = 3.0 * forward_flops(run, self.abstract.params, shapes, self.abstract.memory)
        self.flops_per_example = flops / size

    def _print_header(self) -> None:
        config, train, ramp = self.config, self.config.train, self.batches.ramp
        mesh = ", ".join(f"{axis} {size}" for axis, size in self.mesh.shape.items())
        kind = self.mesh.devices.flat[0].device_kind
        grows = f" (at first {ramp.stages[0].batch_size})" if len(ramp.stages) > 1 else ""
        epoch = ramp.examples(1) / self.batches.epoch(1) / train.batch_size  # in whole batches
        tokens, flops = train.batch_size * train.length, self.flops_per_example * train.batch_size
        if train.steps <= config.optimizer.warmup_steps:
            self.reporter.say(
                f"the run ends after {train.steps:,} steps, within the {config.optimizer.warmup_steps:,} of the warm-up"
            )
        for line in (
            f"{config.name or 'run'} in {self.workdir}",
            f"model: {type(config.model).__name__}, {parameter_count(self.abstract.params):,} parameters",
            f"objective: {type(config.objective).__name__}; optimizer: {config.optimizer.name}",
            f"step: {train.batch_size} examples{grows} x {train.length} tokens = {tokens:,} tokens, {si(flops)} FLOPs",
            f"run: {train.steps:,} steps; epoch: {epoch:,.1f} steps",
            f"devices: {self.mesh.size} x {kind} ({mesh}), {jax.process_count()} process(es)",
            f"compiled in {self.programs.seconds:.1f} s"
            + ("" if self.settings.peak else f"; no MFU, as the peak of {kind!r} is not known"),
        ):
            self.reporter.say(line)

    def stream(self, start: int) -> Iterator[HostBatch]:
        return self.batches.stream(start)

    def batch_size(self, step: int) -> int:
        return self.batches.ramp.at(step).batch_size

    def epoch(self, step: int) -> float:
        return self.batches.epoch(step)

    def flops(self, step: int) -> float:
        return self.flops_per_example * self.batch_size(step - 1)

    def begin(self, state: State) -> None:
        self.validate(0, state)  # where the curves start from

    def validate(self, step: int, state: State) -> bool:
        began = time.perf_counter()
        self.validation = self.evaluator(state.params, self._validation_batches())
        if wrong := [name for name, value in self.validation.items() if not math.isfinite(value)]:
            raise UserError(
                f"The validation after step {step} gives {wrong[0]} = {self.validation[wrong[0]]}, so this step is not "
                "saved: lower optimizer.learning_rate or set model.dtype=float32, and run again from the last step."
            )
        record = {"split": "validation", "step": step, "epoch": self.batches.epoch(step), **self.validation}
        self.reporter.write(record | {"unigram_entropy": self.entropy, "seconds": time.perf_counter() - began})
        self.reporter.plot()
        return False

    def is_saved(self, step: int, validated: bool) -> bool:
        every = self.config.checkpoint.every_steps
        return step == self.config.train.steps or (bool(every) and step % every == 0)

    def save(self, step: int, state: State) -> None:
        self.checkpointer.save(state, self.manifest | {"interval": self.metrics.copied_sums()})

    def check(self) -> None:
        if self.checkpointer.failed():
            self.checkpointer.wait()

    def nonfinite_error(self, step: int, in_a_row: int) -> UserError:
        """Writes down which examples the last step read, too."""
        path = self.workdir / "nonfinite.json"
        ids = TrainingBatches(self.config, self.store, None).batch(step - 1)["example_ids"].tolist()
        if jax.process_index() == 0:
            path.write_text(json.dumps({"step": step, "in_a_row": in_a_row, "example_ids": ids}))
        return UserError(
            f"The gradient was not finite {in_a_row} times in a row, lastly in step {step}, whose example ids are in "
            f"{path}: lower optimizer.learning_rate or set optimizer.clip_norm, and start again."
        )

    def _validation_batches(self) -> Iterator[dict[str, jax.Array]]:
        return validation_batches(self.config, self.held_out, self.mesh)


@contextlib.contextmanager
def _own_folder(workdir: Path) -> Iterator[None]:
    """Keeps the folder for this run, of whose processes the first one does so."""
    is_first = jax.process_index() == 0
    with working_folder(workdir, PRETRAINING) if is_first else full_disk_explained(workdir):
        yield

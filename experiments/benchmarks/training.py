"""How fast a configuration trains: its step alone, without reading, validation and checkpoints."""

import resource
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from plmjax.interop.initial import load_source
from plmjax.modules import build
from plmjax.objectives.base import start_memory
from plmjax.train.composites import complete_model, prepare_params
from plmjax.train.config import Config
from plmjax.train.data import TrainingBatches, open_store
from plmjax.train.flops import forward_flops, peak_flops
from plmjax.train.optimizers import make_optimizer
from plmjax.train.resolve import resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.sharding import abstract_batch, make_mesh, to_devices
from plmjax.train.state import abstract_state, create_state, parameter_count
from plmjax.train.step import forward, jit_train_step


def measure_training(
    config: Config, workdir: Path, *, steps: int, warmup: int, peak: float | None = None
) -> dict[str, Any]:
    """Compiles the training step and runs it on one batch, the largest that the run has.

    Args:
        config: of the run.
        workdir: where the token store is, if the configuration names none.
        steps: how many are timed; the step time is their median.
        warmup: how many run before.
        peak: FLOPs a second of one device; None: what train/flops.py knows of it.

    Returns:
        Numbers under the names that experiments.benchmark prints; `mfu` is None where the peak is not known.

    Raises:
        UserError: the configuration or the data does not allow it.
    """
    store = open_store(config.data, workdir)
    config = complete_model(config, workdir, load_source)
    config = resolve(config, store.vocabulary, len(jax.devices()), store.languages)
    train = replace(config.train, ramp_batch_size=0, ramp_tokens=0)
    config = replace(config, train=train)
    module = build(config.model)
    parts: dict[str, Any] = {"module": module, "objective": config.objective, "vocabulary": store.vocabulary}
    optimizer = make_optimizer(config.optimizer, getattr(module, "frozen", ()))
    empty_memory = partial(start_memory, config.objective, module, train.batch_size, train=True)
    mesh = make_mesh(config.mesh)
    with jax.set_mesh(mesh):
        abstract = abstract_state(module, optimizer, train.seed, mesh, empty_memory)
        local = TrainingBatches(config, store, mesh).batch(0)
        shapes = abstract_batch(local, train.batch_size)
        step = jit_train_step(
            mesh,
            abstract,
            **parts,
            optimizer=optimizer,
            schedule=make_schedule(config.optimizer, train.steps),
            clip_norm=config.optimizer.clip_norm,
            microbatches=train.microbatches,
            seed=train.seed,
        )
        began = time.perf_counter()
        program = step.lower(abstract, shapes).compile()
        compiled = time.perf_counter() - began
        flops = 3.0 * forward_flops(partial(forward, **parts), abstract.params, shapes, abstract.memory)
        state = create_state(module, optimizer, train.seed, abstract, empty_memory)
        list(prepare_params(config.model, state.params, store.tokenizer.fingerprint, store.vocabulary, load_source))
        batch = to_devices(local, mesh, train.batch_size)
        seconds = []
        for _ in range(warmup + steps):
            began = time.perf_counter()
            state, report = program(state, batch)
            jax.block_until_ready((state, report))
            seconds.append(time.perf_counter() - began)
    device = mesh.devices.flat[0]
    taken, tokens = float(np.median(seconds[warmup:])), train.batch_size * train.length
    peak = peak or peak_flops(device)
    return {
        "mode": "training",
        "config": config.name,
        "vocabulary": store.vocabulary.size,
        "parameters": parameter_count(abstract.params),
        "devices": mesh.size,
        "device_kind": device.device_kind,
        "batch_size": train.batch_size,
        "length": train.length,
        "compile_seconds": compiled,
        "steps": steps,
        "step_seconds": taken,
        "step_seconds_least": min(seconds[warmup:]),
        "tokens_per_second": tokens / taken,
        "model_flops_per_step": flops,
        "peak_flops_per_device": peak,
        "mfu": flops / taken / (peak * mesh.size) if peak else None,
        **peak_memory(device),
    }


def peak_memory(device: jax.Device) -> dict[str, Any]:
    """The most bytes held at once so far: of the device where it counts them, otherwise of the process."""
    counted = device.memory_stats() or {}
    if "peak_bytes_in_use" in counted:
        return {"peak_memory_bytes": int(counted["peak_bytes_in_use"]), "peak_memory_of": "device"}
    unit = 1 if sys.platform == "darwin" else 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_memory_bytes": int(most), "peak_memory_of": "process"}

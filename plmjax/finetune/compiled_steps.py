"""The compiled programs of fine-tuning, one for each length of a batch, and how many there are."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from plmjax.checkpoints.state import State
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.finetune.features import Batch
from plmjax.finetune.task_models.base import TaskModel
from plmjax.modules import Bound
from plmjax.train.sharding import batch_sharding, replicated, to_devices
from plmjax.train.state import shardings_of
from plmjax.train.step import train_step


class CompiledSteps:
    """Training steps and predictions.

    The seed is an argument of the step, so that all seeds of a run share the programs.

    Args:
        mesh: from `sharding.make_mesh`.
        abstract: shapes of the state.
        module, task_model, vocabulary: what is trained.
        step: the other arguments of train/step.py's `train_step`.
    """

    def __init__(
        self, mesh: Mesh, abstract: State, module: Any, task_model: TaskModel, vocabulary: Vocabulary, **step: Any
    ) -> None:
        self._mesh, self._abstract = mesh, abstract
        at, rows, copies = shardings_of(abstract), batch_sharding(mesh), replicated(mesh)
        parts = {"module": module, "objective": task_model, "vocabulary": vocabulary, **step}
        self._train = jax.jit(
            lambda state, batch, seed: train_step(state, batch, **parts, seed=seed),
            in_shardings=(at, rows, copies),
            out_shardings=(at, copies),
            donate_argnums=0,
        )
        self._predict = jax.jit(
            lambda params, batch: task_model.forward(Bound(module, params), batch, train=False),
            in_shardings=(at.params, rows),
            out_shardings=(copies, copies, copies),
        )
        self.compiled: dict[tuple[str, int], Any] = {}
        self.seconds = {"training": 0.0, "evaluation": 0.0}  # that compiling took

    def train(self, state: State, batch: Batch, seed: int) -> tuple[State, dict[str, Any]]:
        """One step; the old state's memory is given to the new."""
        program = self._program("training", self._train, (self._abstract,), batch, (jnp.int32(seed),))
        return program(state, self._placed(batch), np.int32(seed))

    def predict(self, params: Any, batch: Batch) -> Any:
        """(losses, metrics, outputs) of a batch."""
        program = self._program("evaluation", self._predict, (self._abstract.params,), batch)
        return program(params, self._placed(batch))

    def counts(self) -> dict[str, list[int]]:
        """The lengths that each kind of program was compiled for."""
        found: dict[str, list[int]] = {"training": [], "evaluation": []}
        for kind, length in sorted(self.compiled):
            found[kind].append(length)
        return found

    def _placed(self, batch: Batch) -> Any:
        return to_devices(batch, self._mesh, len(batch["row_weights"]))

    def _program(self, kind: str, function: Any, first: tuple, batch: Batch, last: tuple = ()) -> Any:
        key = kind, batch["tokens"].shape[-1]
        if key not in self.compiled:
            began = time.perf_counter()
            shapes = {name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in batch.items()}
            self.compiled[key] = function.lower(*first, shapes, *last).compile()
            self.seconds[kind] += time.perf_counter() - began
        return self.compiled[key]

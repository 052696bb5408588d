"""The compiled steps of fine-tuning: training and prediction, each compiled once for each length of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from plmjax.checkpoints.state import State
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.finetune.features import Batch
from plmjax.finetune.task_models.base import TaskModel
from plmjax.modules import Bound
from plmjax.modules.network import Network
from plmjax.train.sharding import abstract_batch, batch_sharding, replicated, to_devices
from plmjax.train.state import shardings_of
from plmjax.train.step import train_step
from plmjax.train.trainer import Programs


class CompiledSteps:
    """Training steps and predictions.

    The seed is an argument of the training step, so that all seeds of a run share the programs.

    Args:
        mesh: from `sharding.make_mesh`.
        abstract: shapes of the state.
        module, task_model, vocabulary: what is trained.
        step: the other arguments of train/step.py's `train_step`.

    Attributes:
        train: (state, batch, seed) -> (state, report); the old state's memory is given to the new.
        predictions: (params, batch) -> (losses, metrics, outputs).
    """

    def __init__(
        self, mesh: Mesh, abstract: State, module: Network, task_model: TaskModel, vocabulary: Vocabulary, **step: Any
    ) -> None:
        self._mesh = mesh
        at, rows, copies = shardings_of(abstract), batch_sharding(mesh), replicated(mesh)
        parts = {"module": module, "objective": task_model, "vocabulary": vocabulary, **step}
        train = jax.jit(
            lambda state, batch, seed: train_step(state, batch, **parts, seed=seed),
            in_shardings=(at, rows, copies),
            out_shardings=(at, copies),
            donate_argnums=0,
        )
        predict = jax.jit(
            lambda params, batch: task_model.forward(Bound(module, params), batch, train=False),
            in_shardings=(at.params, rows),
            out_shardings=(copies, copies, copies),
        )
        self.train = Programs(lambda batch: train.lower(abstract, batch, jnp.int32(0)))
        self.predictions = Programs(lambda batch: predict.lower(abstract.params, batch))

    def predict(self, params: Any, batch: Batch) -> Any:
        """(losses, metrics, outputs) of a batch."""
        rows = len(batch["row_weights"])
        return self.predictions(abstract_batch(batch, rows))(params, to_devices(batch, self._mesh, rows))

    def counts(self) -> dict[str, list[int]]:
        """The lengths that each kind of program was compiled for."""
        return {"training": self.train.lengths(), "evaluation": self.predictions.lengths()}

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds that compiling each kind took."""
        return {"training": self.train.seconds, "evaluation": self.predictions.seconds}

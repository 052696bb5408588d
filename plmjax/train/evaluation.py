"""Validation on fixed noise, and the entropy that a network beats only by reading the context."""

import math
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.network import Network
from plmjax.objectives.base import perplexities_of, start_memory
from plmjax.train.sharding import batch_sharding, replicated
from plmjax.train.step import Batch, StepObjective, Sums, corrupt_batch, losses_and_memory

# The noise of validation is the same in every run, whatever its seed, so that losses of different runs compare.
EVAL_KEY = 20181011


def eval_step(
    params: Any, batch: Batch, memory: Any = (), *, module: Network, objective: StepObjective, vocabulary: Vocabulary
) -> tuple[Sums, Sums, Any]:
    """Losses and metrics by name, summed over one raw batch [B, ...], without dropout, smoothing and z-loss; and the
    memory for the next batch, () where the objective carries none."""
    corrupted = corrupted_as_in_validation(objective, vocabulary, batch)
    return losses_and_memory(objective, Bound(module, params), corrupted, memory, vocabulary, train=False)


def target_counts(batch: Batch, *, objective: StepObjective, vocabulary: Vocabulary) -> jax.Array:
    """Weight of each vocabulary row among the targets of one raw batch, float32 [V]."""
    corrupted = corrupted_as_in_validation(objective, vocabulary, batch)
    targets, weights = corrupted["targets"].reshape(-1), corrupted["weights"].reshape(-1)
    return jnp.zeros(vocabulary.padded_size, jnp.float32).at[targets].add(weights.astype(jnp.float32))


def corrupted_as_in_validation(objective: StepObjective, vocabulary: Vocabulary, batch: Batch) -> Batch:
    """A raw batch [B, ...] under the noise of every validation."""
    first_epoch = batch | {"epochs": jnp.zeros_like(batch["epochs"])}
    return corrupt_batch(objective, vocabulary, jax.random.key(EVAL_KEY), first_epoch, static=False)


class Evaluator:
    """Validates parameters on the same batches each time.

    Args:
        mesh: from `sharding.make_mesh`.
        param_shardings: of the parameters.
        parts: module, objective, vocabulary.
    """

    def __init__(
        self, mesh: Mesh, param_shardings: Any, *, module: Network, objective: StepObjective, vocabulary: Vocabulary
    ) -> None:
        self._coefficients = objective.coefficients()
        self._perplexities = perplexities_of(objective)
        rows, copies = batch_sharding(mesh), replicated(mesh)
        parts: dict[str, Any] = {"module": module, "objective": objective, "vocabulary": vocabulary}
        self._step = jax.jit(
            lambda params, batch, memory: eval_step(params, batch, memory, **parts),
            in_shardings=(param_shardings, rows, rows),
            out_shardings=(copies, copies, rows),
        )
        empty = partial(start_memory, objective, module, train=False)
        self._empty_memory = cache(lambda count: jax.jit(lambda: empty(count), out_shardings=rows)())
        self._count = jax.jit(
            lambda batch: target_counts(batch, objective=objective, vocabulary=vocabulary),
            in_shardings=(rows,),
            out_shardings=copies,
        )

    def __call__(self, params: Any, batches: Iterable[Batch]) -> dict[str, float]:
        """{"loss": ..., each loss and metric by name: ...}: means over all batches, the losses first.

        A loss and a metric of one name give one entry, the loss's; a metric of nothing gives none. Of the names in
        `perplexities_of` the objective, `<name>_perplexity` is given too.
        """
        sums: tuple[Sums, Sums] | None = None
        memory: Any = None
        for batch in batches:
            memory = self._empty_memory(len(batch["epochs"])) if memory is None else memory
            *new, memory = self._step(params, batch, memory)
            sums = tuple(new) if sums is None else jax.tree.map(jnp.add, sums, tuple(new))
        if sums is None:
            return {}
        losses, metrics = jax.device_get(sums)
        found = {name: term for name, term in metrics.items() if name not in losses and term[1] > 0}
        means = {name: float(Weighted(*term).mean()) for name, term in (losses | found).items()}
        for name in self._perplexities:
            if name in means:
                means[f"{name}_perplexity"] = math.exp(min(means[name], 700.0))
        total = sum(self._coefficients.get(name, 1.0) * means[name] for name in losses)
        return {"loss": total} | means

    def unigram_entropy(self, batches: Iterable[Batch]) -> float:
        """Entropy in nats of the weighted validation targets: the loss of the best guess that ignores the context."""
        counts: np.ndarray | None = None
        for batch in batches:
            new = np.asarray(self._count(batch), np.float64)
            counts = new if counts is None else counts + new
        return 0.0 if counts is None else entropy(counts)


def entropy(counts: np.ndarray) -> float:
    """Entropy in nats of the distribution that `counts` [V] are proportional to; 0 for none."""
    shares = counts[counts > 0] / max(counts.sum(), 1e-30)
    return float(-(shares * np.log(shares)).sum())

"""The training step: noise, gradients over microbatches, clipping, update; one jitted program.

The loss is sum over terms i of coefficient_i * sum_i / weight_i with sums over the whole batch, whatever the number of
devices and microbatches: each microbatch's gradient is taken of its sums over the whole batch's weights.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from plmjax.checkpoints.state import State
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.network import Network
from plmjax.objectives.base import carries_memory
from plmjax.train.schedules import Schedule
from plmjax.train.sharding import batch_sharding, replicated
from plmjax.train.state import shardings_of

Batch = dict[str, jax.Array]
Sums = dict[str, Weighted]

NOISE_STREAM, DROPOUT_STREAM = 1, 2  # of the seed; 0 is the initialisation


class StepObjective(Protocol):
    """The methods that a step calls, of an objective or of a task model."""

    @property
    def static(self) -> bool:
        """True where an example has the same noise in every epoch."""

    def corrupt(self, key: jax.Array, example: Batch, vocabulary: Vocabulary) -> Batch:
        """The noise for one example."""

    def losses(self, network: Bound, batch: Batch, vocabulary: Vocabulary, train: bool) -> tuple[Sums, Sums]:
        """Losses and metrics of a corrupted batch, by name."""

    def coefficients(self) -> dict[str, float]:
        """Factor of each loss in the total; 1 for a name that is missing."""


def corrupt_batch(
    objective: StepObjective, vocabulary: Vocabulary, key: jax.Array, batch: Batch, *, static: bool
) -> Batch:
    """Adds the objective's fields to clean windows, each example under a key of its own.

    The key is fold_in(fold_in(key, epoch), example id), so that neither the order of examples nor the number of hosts,
    devices or microbatches changes the noise; `static` leaves the epoch out, so that each epoch draws the same.

    Args:
        objective: an objective of plmjax.objectives.
        vocabulary: the store's.
        key: scalar key.
        batch: {field: [B, ...]} from the loader, with `example_ids` and `epochs` int32 [B].
        static: the same noise in each epoch.

    Returns:
        {field: [B, ...]} with the clean window's fields (as far as the objective keeps them) and the objective's.
    """
    fields = {name: value for name, value in batch.items() if name not in ("example_ids", "epochs")}

    def one(example: Batch, example_id: jax.Array, epoch: jax.Array) -> Batch:
        epoch_key = key if static else jax.random.fold_in(key, epoch)
        return objective.corrupt(jax.random.fold_in(epoch_key, example_id), example, vocabulary)

    return jax.vmap(one)(fields, batch["example_ids"], batch["epochs"])


def weighted_total(objective: StepObjective, terms: Sums, weights: dict[str, jax.Array]) -> jax.Array:
    """sum_i coefficient_i * sum_i / weight_i; a term without weight counts 0."""
    coefficients = objective.coefficients()
    means = {name: Weighted(term.sum, weights[name]).mean() for name, term in terms.items()}
    return sum((coefficients.get(name, 1.0) * mean for name, mean in means.items()), jnp.zeros(()))


def losses_and_memory(
    objective: StepObjective, network: Bound, batch: Batch, memory: Any, vocabulary: Vocabulary, train: bool
) -> tuple[Sums, Sums, Any]:
    """The objective's losses and metrics, and the memory after the batch: () for an objective that carries none."""
    if not carries_memory(objective):
        return (*objective.losses(network, batch, vocabulary, train), ())
    return objective.losses_after(network, batch, memory, vocabulary, train)


def gradients(
    module: Network,
    objective: StepObjective,
    vocabulary: Vocabulary,
    params: Any,
    batch: Batch,
    dropout_key: jax.Array,
    microbatches: int,
    memory: Any = (),
) -> tuple[Any, jax.Array, Sums, Sums, Any]:
    """Gradient and value of the loss over the whole batch.

    Args:
        module, objective, vocabulary: what is trained.
        params: parameters.
        batch: corrupted fields [B, ...].
        dropout_key: scalar key, folded with the number of the microbatch.
        microbatches: how many portions the batch is cut into, one after the other in memory.
        memory: of the text before, [B, ...]; () where the objective carries none.

    Returns:
        gradients like `params`, the loss (float32 scalar), the sums of the losses and of the metrics by name, and the
        memory for the next batch.
    """

    def loss(
        params: Any, part: tuple[Batch, Any], key: jax.Array, weights: dict[str, jax.Array] | None
    ) -> tuple[jax.Array, Any]:
        network = Bound(module, params, key)
        terms, metrics, memory = losses_and_memory(objective, network, *part, vocabulary, train=True)
        if weights is None:
            weights = {name: jax.lax.stop_gradient(term.weight) for name, term in terms.items()}
        return weighted_total(objective, terms, weights), (terms, metrics, memory)

    value_and_grad = jax.value_and_grad(loss, has_aux=True)
    if microbatches == 1:
        key = jax.random.fold_in(dropout_key, 0)
        (total, (terms, metrics, memory)), grads = value_and_grad(params, (batch, memory), key, None)
        return grads, total, terms, metrics, memory

    # Only the weights of this forward pass are used: the compiler drops the rest (test_step.py counts its FLOPs).
    network = Bound(module, params, dropout_key)
    whole, _, _ = losses_and_memory(objective, network, batch, memory, vocabulary, train=True)
    weights = {name: term.weight for name, term in whole.items()}

    # Row r goes to portion r mod M, so that each portion lies on all devices and no row moves.
    portions = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, microbatches, *x.shape[1:]), 1, 0), (batch, memory))

    def add(carry: Any, number_and_portion: Any) -> tuple[Any, Any]:
        number, portion = number_and_portion
        key = jax.random.fold_in(dropout_key, number)
        (total, (terms, metrics, memory)), grads = value_and_grad(params, portion, key, weights)
        return jax.tree.map(jnp.add, carry, (grads, total, terms, metrics)), memory

    first = jax.tree.map(lambda x: x[0], portions)
    (total, (terms, metrics, _)), grads = jax.eval_shape(value_and_grad, params, first, dropout_key, weights)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, total, terms, metrics))
    summed, memories = jax.lax.scan(add, zeros, (jnp.arange(microbatches), portions))
    return *summed, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:]), memories)


def forward(
    params: Any, batch: Batch, memory: Any = (), *, module: Network, objective: StepObjective, vocabulary: Vocabulary
) -> Sums:
    """The losses of a raw batch in training, without dropout: what the model's FLOPs are counted of."""
    corrupted = corrupt_batch(objective, vocabulary, jax.random.key(0), batch, static=objective.static)
    return losses_and_memory(objective, Bound(module, params), corrupted, memory, vocabulary, train=True)[0]


def train_step(
    state: State,
    batch: Batch,
    *,
    module: Network,
    objective: StepObjective,
    vocabulary: Vocabulary,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    clip_norm: float,
    microbatches: int,
    seed: int,
) -> tuple[State, dict[str, Any]]:
    """One step on a raw batch: the new state and the step's metrics.

    A gradient or an update that is not finite leaves parameters, optimizer, schedule and memory as they are and is
    counted; `param_norm` is that of the update which was tried.

    Returns:
        state, and {"losses": {name: Weighted}, "metrics": {name: Weighted}, "loss", "grad_norm", "param_norm",
        "learning_rate", "tokens" (not padding), "nonfinite", "nonfinite_in_a_row"}: float32 or int32 scalars.
    """
    root = jax.random.key(seed)
    noise_key, dropout_key = (jax.random.fold_in(root, stream) for stream in (NOISE_STREAM, DROPOUT_STREAM))
    corrupted = corrupt_batch(objective, vocabulary, noise_key, batch, static=objective.static)
    grads, total, losses, metrics, memory = gradients(
        module,
        objective,
        vocabulary,
        state.params,
        corrupted,
        jax.random.fold_in(dropout_key, state.step),
        microbatches,
        state.memory,
    )
    norm = optax.tree.norm(grads)
    if clip_norm:
        factor = jnp.minimum(1.0, clip_norm / jnp.maximum(norm, 1e-12))
        grads = jax.tree.map(lambda g: g * factor, grads)
    rate = schedule(state.step - state.nonfinite)
    direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
    param_norm = optax.tree.norm(params)
    finite = jnp.isfinite(norm) & jnp.isfinite(total) & jnp.isfinite(param_norm)
    params, opt_state, memory = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, memory),
        (state.params, state.opt_state, state.memory),
    )
    skipped = 1 - finite.astype(jnp.int32)
    in_a_row = skipped * (state.nonfinite_in_a_row + 1)
    new = State(state.step + 1, params, opt_state, state.nonfinite + skipped, in_a_row, memory)
    report = {
        "losses": losses,
        "metrics": metrics,
        "loss": total,
        "grad_norm": norm,
        "param_norm": param_norm,
        "learning_rate": rate,
        "tokens": jnp.sum(batch["segments"] > 0, dtype=jnp.int32),
        "nonfinite": new.nonfinite,
        "nonfinite_in_a_row": in_a_row,
    }
    return new, report


def jit_train_step(mesh: Mesh, abstract: State, **parts: Any) -> Any:
    """`train_step` with its keyword arguments bound, shardings fixed, and the old state's memory given to the new."""
    at = shardings_of(abstract)
    return jax.jit(
        lambda state, batch: train_step(state, batch, **parts),
        in_shardings=(at, batch_sharding(mesh)),
        out_shardings=(at, replicated(mesh)),
        donate_argnums=0,
    )

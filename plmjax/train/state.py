"""The training state: its shapes, its shardings, and how a fresh one is made."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from plmjax.checkpoints.state import State
from plmjax.modules.network import Network
from plmjax.train.sharding import batch_sharding, tree_shardings


def init_state(
    module: Network, optimizer: optax.GradientTransformation, seed: int, make_memory: Callable[[], Any] = tuple
) -> State:
    """The state before the first step. Pure: wrap it in `jax.eval_shape` or `jax.jit`."""
    params = module.init(jax.random.fold_in(jax.random.key(seed), 0))["params"]
    return state_of(params, optimizer, make_memory())


def state_of(params: Any, optimizer: optax.GradientTransformation, memory: Any = ()) -> State:
    """The state that starts from `params` with a fresh optimizer."""
    step, nonfinite, in_a_row = (jnp.zeros((), jnp.int32) for _ in range(3))
    return State(step, params, optimizer.init(params), nonfinite, in_a_row, memory)


def abstract_state(
    module: Network,
    optimizer: optax.GradientTransformation,
    seed: int,
    mesh: Mesh,
    make_memory: Callable[[], Any] = tuple,
) -> State:
    """Shapes, dtypes and shardings of the state (`jax.ShapeDtypeStruct` leaves); nothing is allocated."""
    shapes = jax.eval_shape(lambda: init_state(module, optimizer, seed, make_memory))
    shardings = tree_shardings(shapes, shapes.params, mesh)
    shardings.memory = jax.tree.map(lambda _: batch_sharding(mesh), shapes.memory)
    return jax.tree.map(lambda leaf, at: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=at), shapes, shardings)


def shardings_of(abstract: Any) -> Any:
    """The shardings of an abstract tree."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract)


def create_state(
    module: Network,
    optimizer: optax.GradientTransformation,
    seed: int,
    abstract: State,
    make_memory: Callable[[], Any] = tuple,
) -> State:
    """A fresh state, each array made where it belongs: unsharded parameters never exist."""
    # Code that runs once need not be fast code: on a CPU its compilation took a third of the time this way.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    init = jax.jit(
        lambda: init_state(module, optimizer, seed, make_memory),
        out_shardings=shardings_of(abstract),
        compiler_options=options,
    )
    return init()


def parameter_count(params: Any) -> int:
    """Numbers in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))

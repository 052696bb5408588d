"""Adafactor as T5 used it (Shazeer & Stern 2018; Raffel et al. 2020, Sec. 3.1; figures of the Mesh-TensorFlow code)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from plmjax.checkpoints.paths import path_string
from plmjax.train.weight_decay_mask import layer_axes, matrix_axes


class Moments(NamedTuple):
    """Second moments of one parameter: `rows` and `columns` of a factored one, else `full`; the others are None."""

    rows: jax.Array | None
    columns: jax.Array | None
    full: jax.Array | None


class AdafactorState(NamedTuple):
    """`count` updates so far (int32) and `moments`, {path: Moments}."""

    count: jax.Array  # type: ignore[assignment]  # hides tuple.count, which nothing calls
    moments: dict[str, Moments]


def adafactor(
    decay_exponent: float = 0.8,
    epsilon: float = 1e-30,
    clip_threshold: float = 1.0,
    parameter_floor: float = 1e-3,
    smallest_factored: int = 128,
) -> optax.GradientTransformation:
    """The direction that, times the learning rate, is taken off the parameters. No momentum, no weight decay.

    Second moments decay by 1 - (count + 1)^-decay_exponent; a matrix whose both sides are at least
    `smallest_factored` keeps only their row and column means. The update is scaled down to root mean square
    `clip_threshold`, then multiplied by the parameter's root mean square (at least `parameter_floor`). In a scanned
    stack each layer is its own matrix.
    """

    def init(params: Any) -> AdafactorState:
        moments = {}
        for path, param in _leaves(params):
            split = _factors(path, param.shape, smallest_factored)
            if split is None:
                moments[path] = Moments(None, None, jnp.zeros_like(param))
            else:
                rows, columns = split
                moments[path] = Moments(
                    jnp.zeros(_without(param.shape, columns)), jnp.zeros(_without(param.shape, rows)), None
                )
        return AdafactorState(jnp.zeros((), jnp.int32), moments)

    def update(gradients: Any, state: AdafactorState, params: Any) -> tuple[Any, AdafactorState]:
        decay = 1.0 - (state.count.astype(jnp.float32) + 1.0) ** -decay_exponent
        updates, moments = [], {}
        for (path, gradient), (_, param) in zip(_leaves(gradients), _leaves(params), strict=True):
            square = jnp.square(gradient) + epsilon
            before = state.moments[path]
            split = _factors(path, param.shape, smallest_factored)
            if split is None:
                full = decay * before.full + (1.0 - decay) * square
                moments[path] = Moments(None, None, full)
                step = gradient * jax.lax.rsqrt(full)
            else:
                rows, columns = split
                row = decay * before.rows + (1.0 - decay) * square.mean(columns)
                column = decay * before.columns + (1.0 - decay) * square.mean(rows)
                moments[path] = Moments(row, column, None)
                row = jnp.expand_dims(row, columns)
                row = row / row.mean(rows, keepdims=True)
                step = gradient * jax.lax.rsqrt(row) * jax.lax.rsqrt(jnp.expand_dims(column, rows))
            axes = layer_axes(path, param.ndim)
            step = step / jnp.maximum(_rms(step, axes) / clip_threshold, 1.0)
            updates.append(step * jnp.maximum(_rms(param, axes), parameter_floor))
        return jax.tree.unflatten(jax.tree.structure(params), updates), AdafactorState(state.count + 1, moments)

    return optax.GradientTransformation(init, update)


def _leaves(tree: Any) -> list[tuple[str, jax.Array]]:
    return [(path_string(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _factors(path: str, shape: tuple[int, ...], smallest: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    split = matrix_axes(path, len(shape))
    if split is None or min(int(np.prod([shape[a] for a in axes])) for axes in split) < smallest:
        return None
    return split


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _rms(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x), axes, keepdims=True))

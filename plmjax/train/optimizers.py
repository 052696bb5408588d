"""The update rules by name. Each gives a direction; the step subtracts it times the learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from plmjax.checkpoints.paths import path_string
from plmjax.errors import UserError
from plmjax.train.adafactor import adafactor
from plmjax.train.config import OptimizerConfig, refuse_set
from plmjax.train.weight_decay_mask import decays, layer_axes

NAMES = ("adamw", "adafactor", "adagrad", "lamb")
_OF_ADAM = ("b1", "b2", "eps", "bias_correction", "weight_decay", "exclude_from_weight_decay")
# The settings that a rule has no use for.
UNUSED = {
    "adamw": ("initial_accumulator", "exclude_from_layer_adaptation"),
    "lamb": ("initial_accumulator",),
    "adafactor": (*_OF_ADAM, "exclude_from_layer_adaptation", "initial_accumulator"),
    "adagrad": (*_OF_ADAM, "exclude_from_layer_adaptation"),
}


def make_optimizer(config: OptimizerConfig, frozen: tuple[str, ...] = ()) -> optax.GradientTransformation:
    """The transformation from gradients to the direction that the learning rate multiplies (sign: to be subtracted).

    adamw: Adam with decoupled weight decay (Loshchilov & Hutter 2019); BERT's with `bias_correction=False`, fairseq's
    with `exclude_from_weight_decay="nothing"`. adafactor: T5's. adagrad: Duchi et al. 2011, as TensorFlow's:
    g / sqrt(initial_accumulator + sum of g^2). lamb: You et al. 2020, the trust ratio taken layer by layer.

    LAMB's Algorithm 2 corrects the moments' bias and gives every tensor a trust ratio; the released code does neither
    (google-research/albert, lamb_optimizer.py:89-95 and 107-114): biases and norms, which do not decay, have the ratio
    1, as `exclude_from_layer_adaptation` is `exclude_from_weight_decay` unless given (lines 58-64), and that is
    LayerNorm, layer_norm and bias (optimization.py:84-90). A bias that starts at 0 would else be held near 0 by its own
    length. fairseq hands its optimizer all parameters in one group (trainer.py:304-310), so that biases and norms decay
    too, as XLM does (xlm/optim.py:81-82).

    Args:
        config: of the run.
        frozen: beginnings of the paths of parameters that are not trained, whole parts of them: nothing is kept of
            these, and their direction is their gradient, which must be zero.

    Raises:
        UserError: unknown name, an accumulator that starts at no positive number, or a setting that the rule has no use
            for.
    """
    rule = _rule(config)
    return optax.masked(rule, lambda params: _trained(params, frozen)) if frozen else rule


def _trained(params: Any, frozen: tuple[str, ...]) -> Any:
    """True where a parameter is trained, by path."""
    beginnings = tuple(f"{path}/" for path in frozen)
    return jax.tree_util.tree_map_with_path(lambda path, _: not path_string(path).startswith(beginnings), params)


def _rule(config: OptimizerConfig) -> optax.GradientTransformation:
    """The transformation of trained parameters."""
    _check(config)
    if config.name == "adafactor":
        return adafactor()
    if config.name == "adagrad":
        return optax.scale_by_rss(config.initial_accumulator, eps=0.0)
    adam = optax.scale_by_adam if config.bias_correction else uncorrected_adam
    decay_mask = EXCLUSIONS[config.exclude_from_weight_decay]
    decay = optax.add_decayed_weights(config.weight_decay, decay_mask) if config.weight_decay else optax.identity()
    parts = [adam(config.b1, config.b2, config.eps), decay]
    if config.name == "lamb":
        parts.append(optax.masked(layer_trust_ratio(), EXCLUSIONS[config.exclude_from_layer_adaptation]))
    return optax.chain(*parts)


def _check(config: OptimizerConfig) -> None:
    if config.name not in NAMES:
        raise UserError(f"optimizer.name is {config.name!r}: it must be one of {', '.join(NAMES)}.")
    refuse_set(config, UNUSED[config.name], config.name)
    for field in ("exclude_from_weight_decay", "exclude_from_layer_adaptation"):
        if (value := getattr(config, field)) not in EXCLUSIONS:
            raise UserError(f"optimizer.{field} is {value!r}: it must be one of {', '.join(EXCLUSIONS)}.")
    if config.initial_accumulator <= 0:
        raise UserError(f"optimizer.initial_accumulator is {config.initial_accumulator}: it must be above 0.")


def no_biases_and_norms(params: Any) -> Any:
    """True for all but biases, scales of norms and relative position biases, by path."""
    return jax.tree_util.tree_map_with_path(lambda path, _: decays(path_string(path)), params)


def everything(params: Any) -> Any:
    """True for all."""
    return jax.tree.map(lambda _: True, params)


EXCLUSIONS = {"biases_and_norms": no_biases_and_norms, "nothing": everything}


class UncorrectedAdamState(NamedTuple):
    """First and second moments, in the structure of the parameters."""

    mu: Any
    nu: Any


def uncorrected_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam's direction mu / (sqrt(nu) + eps) without bias correction, as in BERT's optimization code."""

    def init(params: Any) -> UncorrectedAdamState:
        return UncorrectedAdamState(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))

    def update(gradients: Any, state: UncorrectedAdamState, params: Any = None) -> tuple[Any, UncorrectedAdamState]:
        mu = jax.tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.mu, gradients)
        nu = jax.tree.map(lambda n, g: b2 * n + (1.0 - b2) * jnp.square(g), state.nu, gradients)
        return jax.tree.map(lambda m, n: m / (jnp.sqrt(n) + eps), mu, nu), UncorrectedAdamState(mu, nu)

    return optax.GradientTransformation(init, update)


def layer_trust_ratio() -> optax.GradientTransformation:
    """Multiplies each layer's update by |parameters| / |update|, 1 where either is 0 (You et al. 2020, Algorithm 2)."""

    def scale(path: tuple[Any, ...], update: jax.Array, param: jax.Array) -> jax.Array:
        axes = layer_axes(path_string(path), param.ndim)
        length = jnp.sqrt(jnp.sum(jnp.square(param), axes, keepdims=True))
        step = jnp.sqrt(jnp.sum(jnp.square(update), axes, keepdims=True))
        return update * jnp.where((length > 0) & (step > 0), length / jnp.where(step > 0, step, 1.0), 1.0)

    def update(updates: Any, state: optax.EmptyState, params: Any) -> tuple[Any, optax.EmptyState]:
        return jax.tree_util.tree_map_with_path(scale, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

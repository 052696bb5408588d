"""Update strategies: which parameters fine-tuning trains, when, and how fast.

A subclass of UpdateStrategy says which parameters are trained at all (`trainable`) and wraps the optimizer
(`wrap_optimizer`); it may ask for a change of the network (`config_changes`). Parameters are told apart by their paths;
those outside the trunk are the heads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import GradientTransformation as Transformation

from plmjax.checkpoints.paths import path_string
from plmjax.errors import UserError
from plmjax.modules.facts import adapter_width_of, num_decoder_layers_of, shares_layers
from plmjax.train.initialize import ADAPTER
from plmjax.train.state import parameter_count
from plmjax.train.weight_decay_mask import is_stacked

EMBEDDINGS = re.compile(r"(^|/)([a-z]+_)?embeddings/")
TRUNK = re.compile(r"(^|/)(encoder|decoder)/")
NEW_ENCODER = re.compile(r"^source_(embeddings|encoder)/")
POSITIONS = re.compile(r"^(encoder|decoder)_embeddings/positions/")
FIRST_PROJECTIONS = re.compile(r"^encoder/layers/attention/(query|key|value)/")
# XLNet's released variables that have a row a layer and no layer's name: r_w_bias, r_r_bias, r_s_bias and seg_embed.
OUTSIDE_LAYERS = re.compile(r"/attention/(biases/|segment_embedding$)")
NORM = re.compile(r"(^|/)([a-z]+_)?norm/")


@dataclass(slots=True)
class UpdateStrategy:
    """The base: every parameter is trained, at the optimizer's rate."""

    def config_changes(self, network: Any) -> dict[str, Any]:
        """Fields of the network's config that are to be another; UserError where it lacks one."""
        return {}

    def trainable(self, path: str) -> bool:
        """True where the parameter of this path is trained at all."""
        return True

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """The transformation of a run of so many steps, from gradients to the direction of each parameter.

        Args:
            optimizer: of train/optimizers.py.
            network: the config of what is trained.
            steps: of the run.
        """
        return optimizer

    def frozen(self, params: Any) -> Any:
        """The parameters, those that are not trained without a gradient."""
        return by_path(lambda path, leaf: leaf if self.trainable(path) else jax.lax.stop_gradient(leaf), params)

    def num_trainable(self, params: Any) -> int:
        """The number of trained parameters in a tree of arrays or shapes."""
        return parameter_count(by_path(lambda path, leaf: leaf if self.trainable(path) else None, params))


@dataclass(slots=True)
class AllParameters(UpdateStrategy):
    """Trains every parameter at the optimizer's rate."""


@dataclass(slots=True)
class HeadsOnly(UpdateStrategy):
    """Freezes the trunk and trains what is above it, as features (ELMo); the optimizer keeps no state of the trunk."""

    def trainable(self, path: str) -> bool:
        return not (TRUNK.search(path) or EMBEDDINGS.search(path))

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """Limits the optimizer to what is trained; all else keeps its gradient, zero, as its direction."""
        return only_trainable(optimizer, self)


@dataclass(slots=True)
class LayerDecay(UpdateStrategy):
    """Trains lower layers at lower rates, multiplied by `rate` once for each layer above.

    The two rules are those of released codes; for a layer l of N, counted from 0 at the bottom:

    * learning_rates: ELECTRA's (google-research/electra, model/optimization.py:181-193). The update, decoupled weight
      decay and all, is multiplied by rate^(N + 2 - depth), where the embeddings have depth 0, layer l has l + 1 and the
      task's own layers have N + 2: the top layer learns at rate^2, the first at rate^(N + 1), the embeddings at
      rate^(N + 2), the heads at the whole rate. (Clark et al. 2020, App. B, gives no exponents.)
    * gradients: XLNet's (zihangdai/xlnet, model_utils.py:147-163). Clipped gradients are multiplied by rate^(N - 1 - l)
      before the optimizer sees them; what lies outside "layer_l" is untouched: the embeddings, the heads, the biases of
      relative attention and the segments' embeddings. Adam's direction does not change with the size of its gradients
      but by its epsilon, so that this is far weaker than Yang et al. 2019, Table 8 ("layer-wise lr decay") says.

    Attributes:
        rate: ELECTRA base and small 0.8, large 0.9; XLNet large 0.75 on SQuAD.
        scales: "learning_rates" or "gradients".
    """

    rate: float = 0.8
    scales: str = "learning_rates"

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """Scales by depth; UserError for a rate outside (0, 1], an unknown rule or layers that share parameters."""
        if not 0.0 < self.rate <= 1.0:
            raise UserError(f"update_strategy.rate is {self.rate}: it must be above 0 and at most 1.")
        if self.scales not in ("learning_rates", "gradients"):
            raise UserError(
                f"update_strategy.scales is {self.scales!r}: it must be one of learning_rates and gradients."
            )
        if shares_layers(network):
            raise UserError("The layers share their parameters, so they have no rates of their own: use AllParameters.")
        of_rates = self.scales == "learning_rates"
        one = partial(self._of_learning_rates, network.num_layers) if of_rates else self._of_gradients

        def update(directions: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            return by_path(one, directions), state

        scaling = Transformation(lambda params: optax.EmptyState(), update)
        return optax.chain(optimizer, scaling) if of_rates else optax.chain(scaling, optimizer)

    def _of_learning_rates(self, layers: int, name: str, direction: jax.Array) -> jax.Array:
        if is_stacked(name):
            depth = len(direction)
            return direction * along_layers(self.rate ** (depth + 1 - jnp.arange(depth, dtype=jnp.float32)), direction)
        if EMBEDDINGS.search(name):
            return direction * self.rate ** (layers + 2)
        # What all layers read (a table of relative positions) is of the first's depth, a last norm of the last's.
        if TRUNK.search(name):
            return direction * self.rate ** (2 if "norm" in name and "relative" not in name else layers + 1)
        return direction

    def _of_gradients(self, name: str, gradient: jax.Array) -> jax.Array:
        if not is_stacked(name) or OUTSIDE_LAYERS.search(name):
            return gradient
        depth = len(gradient)
        return gradient * along_layers(self.rate ** (depth - 1 - jnp.arange(depth, dtype=jnp.float32)), gradient)


@dataclass(slots=True)
class Adapters(UpdateStrategy):
    """Trains small layers after each feed-forward layer, the norms and the fresh heads; all else is frozen.

    Houlsby et al. 2019; Raffel et al. 2020, Sec. 3.5.1, where the token head is the token table, and stays too. The
    optimizer keeps nothing of what stays.

    Attributes:
        width: of the adapters, the papers' d.
    """

    width: int = 32

    def config_changes(self, network: Any) -> dict[str, Any]:
        if self.width < 1:
            raise UserError(f"update_strategy.width is {self.width}: it must be at least 1.")
        if adapter_width_of(network) is None:
            raise UserError(f"A {type(network).__name__} has no adapters: use AllParameters.")
        return {"adapter_width": self.width}

    def trainable(self, path: str) -> bool:
        if TRUNK.search(path) or EMBEDDINGS.search(path):
            return bool(ADAPTER.search(path) or NORM.search(path))
        return not path.startswith("token_head/")

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """Limits the optimizer to what is trained; all else keeps its gradient, zero, as its direction."""
        return only_trainable(optimizer, self)


@dataclass(slots=True)
class GradualUnfreezing(UpdateStrategy):
    """Trains the top layer from the first step on, and of a stack of N one more layer after each N-th of the steps.

    Raffel et al. 2020, Sec. 3.5.1, after Howard & Ruder 2018: encoder and decoder side by side, the embeddings and the
    heads always. What all layers read (a table of relative positions) is of the first's depth, a last norm of the
    last's. The optimizer sees the gradients of what is still frozen, so that its moments are there when it thaws.
    """

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """Freezes the layers that are not yet trained; UserError for layers that share their parameters."""
        if shares_layers(network):
            raise UserError(
                "The layers share their parameters, so they can't be unfrozen one by one: use AllParameters."
            )

        def update(directions: Any, step: jax.Array, params: Any = None) -> tuple[Any, Any]:
            def free(name: str, direction: jax.Array) -> jax.Array:
                if is_stacked(name):
                    depth = len(direction)
                    return direction * along_layers(is_free(jnp.arange(depth), depth, step, steps), direction)
                last = "norm" in name and "relative" not in name
                if not TRUNK.search(name) or last:
                    return direction
                return direction * is_free(0, depth_of(network, name), step, steps)

            return by_path(free, directions), step + 1

        return optax.chain(optimizer, Transformation(lambda params: jnp.zeros((), jnp.int32), update))


@dataclass(slots=True)
class NewEncoderFirst(UpdateStrategy):
    """Trains a new encoder below a BART first, then everything (Lewis et al. 2019, Sec. 3.4; modules/bart_translation).

    At first it trains the new encoder, BART's positions, and of its encoder's first layer what projects the input of
    the self-attention to queries, keys and values. The optimizer sees the gradients of what is still frozen.

    Attributes:
        share: of the steps, before everything is trained. The paper says "a small number of iterations" of the rest.
    """

    share: float = 0.9

    def wrap_optimizer(self, optimizer: Transformation, network: Any, steps: int) -> Transformation:
        """Freezes the rest at first; UserError for a share out of range or a network without a new encoder."""
        if not 0.0 <= self.share <= 1.0:
            raise UserError(f"update_strategy.share is {self.share}: it must be from 0 to 1.")
        if not hasattr(network, "source_layers"):
            raise UserError(
                f"A {type(network).__name__} has no new encoder to learn first: name the source's tokenizer with "
                "--config.seq2seq.source_tokenizer=DIR, or use AllParameters."
            )

        def update(directions: Any, step: jax.Array, params: Any = None) -> tuple[Any, Any]:
            everything = step >= self.share * steps

            def one(name: str, direction: jax.Array) -> jax.Array:
                if NEW_ENCODER.search(name) or POSITIONS.search(name):
                    return direction
                if FIRST_PROJECTIONS.search(name):
                    return direction * along_layers((jnp.arange(len(direction)) == 0) | everything, direction)
                return direction * everything

            return by_path(one, directions), step + 1

        return optax.chain(optimizer, Transformation(lambda params: jnp.zeros((), jnp.int32), update))


def only_trainable(optimizer: Transformation, rule: UpdateStrategy) -> Transformation:
    """The optimizer, limited to the parameters that a strategy trains."""
    return optax.masked(optimizer, lambda params: by_path(lambda path, _: rule.trainable(path), params))


def is_free(layer: Any, depth: int, step: Any, steps: int) -> jax.Array:
    """True where layer (from 0) of `depth` is trained in the step (from 0) of `steps`."""
    return step * depth >= (depth - 1 - layer) * steps


def depth_of(network: Any, path: str) -> int:
    """The layers of the stack that a parameter of the trunk is in."""
    return num_decoder_layers_of(network) if "decoder/" in path else network.num_layers


def along_layers(values: jax.Array, leaf: jax.Array) -> jax.Array:
    """Values [N], shaped to multiply a leaf [N, ...]."""
    return values.reshape((-1,) + (1,) * (leaf.ndim - 1))


def by_path(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """`function(path, leaf)` of every leaf."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(path_string(path), leaf), tree)

"""Which parameters fine-tuning moves, and how far: a transformation of the optimizer's direction.

A class has one method, `transform(network_config) -> optax.GradientTransformation`, that scales the direction of each
parameter, found by its path. Parameters outside the trunk are the heads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from plmjax.errors import UserError
from plmjax.train.matrices import is_stacked
from plmjax.train.sharding import path_string

EMBEDDINGS = re.compile(r"(^|/)embeddings/")
TRUNK = re.compile(r"(^|/)(encoder|decoder)/")


@dataclass(slots=True)
class AllParameters:
    """Every parameter, at the optimizer's rate."""

    def transform(self, network: Any) -> optax.GradientTransformation:
        """Changes nothing."""
        return optax.identity()


@dataclass(slots=True)
class LayerDecay:
    """Lower layers move less: the rate is multiplied by `rate` once for each layer above (ELECTRA, App. B; XLNet).

    The heads have the whole rate, the last layer rate^1, the first rate^N and the embeddings rate^(N + 1), as in
    ELECTRA's released code, whose decoupled weight decay is scaled with it.

    Attributes:
        rate: ELECTRA base and small 0.8, large 0.9; XLNet large 0.75 on SQuAD.
    """

    rate: float = 0.8

    def transform(self, network: Any) -> optax.GradientTransformation:
        """Scales by depth; UserError for a rate outside (0, 1] or layers that share their parameters."""
        if not 0.0 < self.rate <= 1.0:
            raise UserError(f"updates.rate is {self.rate}: it must be above 0 and at most 1.")
        if hasattr(network, "sharing") and network.sharing != "none":
            raise UserError(
                "The layers share their parameters, so that they have no rates of their own: use AllParameters."
            )
        layers = network.num_layers
        by_layer = self.rate ** (layers - jnp.arange(layers, dtype=jnp.float32))

        def scale(path: tuple[Any, ...], direction: jax.Array) -> jax.Array:
            name = path_string(path)
            if is_stacked(name):
                return direction * by_layer.reshape((-1,) + (1,) * (direction.ndim - 1))
            if EMBEDDINGS.search(name):
                return direction * self.rate ** (layers + 1)
            # What all layers read (a table of relative positions) is of the first's depth, a last norm of the last's.
            if TRUNK.search(name):
                return direction * (self.rate if "norm" in name and "relative" not in name else self.rate**layers)
            return direction

        def update(directions: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            return jax.tree_util.tree_map_with_path(scale, directions), state

        return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

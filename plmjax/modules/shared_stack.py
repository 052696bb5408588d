"""A stack whose layers share parameters: all of them, their attention or their feed-forward half (ALBERT).

Legend: B batch, L length, D model width, N layers, G groups of layers, I blocks of a layer.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import backend
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import Block, BlockInputs

# What of a block each way of sharing stores once a group.
PARTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "attention": ("attention", "attention_norm"),
    "feed_forward": ("mlp", "mlp_norm"),
    "all": ("attention", "attention_norm", "mlp", "mlp_norm"),
}


class SharedStack(nn.Module):
    """`num_layers` layers of `inner` blocks under `layers/...`.

    Shared parts have a leading axis of G * I, the others one of N * I. Consecutive layers make a group: each of its
    layers runs the I blocks of the group one after another. The layers of a group are one loop whose shared parameters
    are constants, so that neither memory nor the program grows with the depth; `remat` and `unroll` as in
    transformer.run_layers.
    """

    num_layers: int
    groups: int
    sharing: str
    make_block: Callable[..., Block]
    remat: bool = False
    unroll: bool | None = None
    inner: int = 1

    @nn.compact
    def __call__(self, x_BLD: Array, inputs: BlockInputs) -> tuple[Array, None]:
        """[B, L, D], and nothing where transformer.Stack gives a cache's keys."""
        if self.sharing not in PARTS:
            raise ValueError(f"sharing {self.sharing!r} is not known; use one of {', '.join(PARTS)}")
        if self.num_layers % self.groups:
            raise ValueError(f"{self.num_layers} layers do not divide into {self.groups} groups; change one of them")
        block = self.make_block(parent=None)
        depth = self.num_layers // self.groups
        stored = self.param("layers", self._init, block, x_BLD[:1, :1])
        shared = {name: tree for name, tree in stored.items() if name in PARTS[self.sharing]}
        own = {name: tree for name, tree in stored.items() if name not in shared}
        shared = jax.tree.map(lambda leaf: leaf.reshape(self.groups, self.inner, *leaf.shape[1:]), shared)
        own = jax.tree.map(lambda leaf: leaf.reshape(self.groups, depth, self.inner, *leaf.shape[1:]), own)
        numbers = jnp.arange(self.num_layers * self.inner).reshape(self.groups, depth, self.inner)
        dropout_key = self.make_rng("dropout") if self.has_rng("dropout") else None

        def run(x_BLD: Array, params: Any, number: Array) -> Array:
            rngs = None if dropout_key is None else {"dropout": jax.random.fold_in(dropout_key, number)}
            return block.apply({"params": params}, x_BLD, inputs, rngs=rngs)[0]

        def layer(x_BLD: Array, params: Any, numbers_I: Array) -> Array:
            for place in range(self.inner):
                x_BLD = run(x_BLD, jax.tree.map(itemgetter(place), params), numbers_I[place])
            return x_BLD

        unroll = backend() == "cpu" if self.unroll is None else self.unroll
        if self.remat:
            layer = jax.checkpoint(layer, prevent_cse=unroll)

        def group(x_BLD: Array, parts: tuple[Any, Any, Array]) -> tuple[Array, None]:
            common, each, numbers = parts
            steps = depth if unroll else 1
            x_BLD, _ = jax.lax.scan(
                lambda x, one: (layer(x, common | one[0], one[1]), None), x_BLD, (each, numbers), unroll=steps
            )
            return x_BLD, None

        return jax.lax.scan(group, x_BLD, (shared, own, numbers), unroll=self.groups if unroll else 1)

    def _init(self, key: Array, block: Block, x_11D: Array) -> dict[str, Any]:
        layers = jax.vmap(lambda key: block.init(key, x_11D, BlockInputs(Mask()))["params"])(
            jax.random.split(key, self.num_layers * self.inner)
        )
        stored = self.groups * self.inner
        return {
            name: jax.tree.map(lambda leaf: leaf[:stored], tree) if name in PARTS[self.sharing] else tree
            for name, tree in layers.items()
        }

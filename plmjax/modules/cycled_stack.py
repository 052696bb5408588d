"""A stack whose layers see bands of the past in turn: dense, banded, dense, ... (GPT-3, GPT-Neo).

Legend: B batch, L length, D model width, H heads, K head width, N layers, P layers of one turn.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import KeysValues, backend
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import Block, Given, LayerCache


class CycledStack(nn.Module):
    """`num_layers` blocks, layer i with the band bands[i % P]; parameters as those of transformer.Stack.

    A band decides how attention is computed, so it can't be a number of the loop: the loop runs over turns of P layers.

    Attributes:
        bands: keys that a query sees at most, itself included; 0: all before it.
        remat, unroll: as in transformer.run_layers.
    """

    num_layers: int
    make_block: Callable[..., Block]
    bands: tuple[int, ...]
    make_final_norm: Callable[..., nn.Module] | None = None
    remat: bool = False
    unroll: bool | None = None

    @nn.compact
    def __call__(self, x_BLD: Array, given: Given, cache: LayerCache | None = None) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and the layers' new keys and values [N, B, L, H, K] when a cache [N, ...] is given."""
        turn = len(self.bands)
        if not turn or min(self.bands) < 0 or self.num_layers % turn:
            raise ValueError(
                f"bands {self.bands} for {self.num_layers} layers; give numbers from 0 on, as many as divide the layers"
            )
        block = self.make_block(parent=None)
        layers = self.param("layers", self._init, block, x_BLD[:1, :1])
        dropout_key = self.make_rng("dropout") if self.has_rng("dropout") else None
        unroll = backend() == "cpu" if self.unroll is None else self.unroll

        def run(x_BLD: Array, params: Any, number: Array, part: LayerCache | None, band: int) -> Any:
            rngs = None if dropout_key is None else {"dropout": jax.random.fold_in(dropout_key, number)}
            banded = given._replace(mask=replace(given.mask, band=band))
            return block.apply({"params": params}, x_BLD, banded, part, rngs=rngs)

        layer = jax.checkpoint(run, prevent_cse=unroll, static_argnums=4) if self.remat else run

        def one_turn(x_BLD: Array, parts: tuple[Any, Array, LayerCache | None]) -> tuple[Array, Any]:
            outs = []
            for at, band in enumerate(self.bands):
                params, number, own = jax.tree.map(lambda leaf, at=at: leaf[at], parts)
                x_BLD, fresh = layer(x_BLD, params, number, own, band)
                outs.append(fresh)
            return x_BLD, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)

        turns = self.num_layers // turn
        parts = (layers, jnp.arange(self.num_layers), cache)
        parts = jax.tree.map(lambda leaf: leaf.reshape(turns, turn, *leaf.shape[1:]), parts)
        x_BLD, fresh = jax.lax.scan(one_turn, x_BLD, parts, unroll=turns if unroll else 1)
        fresh = jax.tree.map(lambda leaf: leaf.reshape(self.num_layers, *leaf.shape[2:]), fresh)
        if self.make_final_norm is not None:
            x_BLD = self.make_final_norm(name="final_norm")(x_BLD)
        return x_BLD, fresh

    def _init(self, key: Array, block: Block, x_11D: Array) -> dict[str, Any]:
        return jax.vmap(lambda key: block.init(key, x_11D, Given(Mask()))["params"])(
            jax.random.split(key, self.num_layers)
        )

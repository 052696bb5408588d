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
from plmjax.modules.transformer import Block, BlockInputs, LayerCache


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
    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and when a cache is given, its `own` with these tokens written."""
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
            banded = inputs._replace(mask=replace(inputs.mask, band=band))
            return block.apply({"params": params}, x_BLD, banded, part, rngs=rngs)

        layer = jax.checkpoint(run, prevent_cse=unroll, static_argnums=4) if self.remat else run

        def one_turn(carry: Any, parts: tuple[Any, Array]) -> tuple[Any, None]:
            x_BLD, own = carry
            for at, band in enumerate(self.bands):
                params, number = jax.tree.map(lambda leaf, at=at: leaf[at], parts)
                part = None if own is None else LayerCache(own, layer=number)
                x_BLD, own = layer(x_BLD, params, number, part, band)
            return (x_BLD, own), None

        turns = self.num_layers // turn
        parts = (layers, jnp.arange(self.num_layers, dtype=jnp.int32))
        parts = jax.tree.map(lambda leaf: leaf.reshape(turns, turn, *leaf.shape[1:]), parts)
        carry = (x_BLD, None if cache is None else cache.own)
        (x_BLD, own), _ = jax.lax.scan(one_turn, carry, parts, unroll=turns if unroll else 1)
        if self.make_final_norm is not None:
            x_BLD = self.make_final_norm(name="final_norm")(x_BLD)
        return x_BLD, own

    def _init(self, key: Array, block: Block, x_11D: Array) -> dict[str, Any]:
        return jax.vmap(lambda key: block.init(key, x_11D, BlockInputs(Mask()))["params"])(
            jax.random.split(key, self.num_layers)
        )

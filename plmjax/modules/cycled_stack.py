"""A stack whose layers differ by a pattern that repeats: dense, banded, dense, ... (GPT-3, GPT-Neo, ModernBERT).

Legend: B batch, L length, D model width, N layers, P layers of one turn.
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

Pattern = tuple[Callable[[BlockInputs], BlockInputs], ...]


def banded(bands: tuple[int, ...]) -> Pattern:
    """The pattern of layers that see bands in turn; see masks.Mask. ValueError for a band under 0, or none at all."""
    if not bands or min(bands) < 0:
        raise ValueError(f"bands {bands} can't be; give at least one, each from 0 on")

    def one(band: int) -> Callable[[BlockInputs], BlockInputs]:
        return lambda inputs: inputs._replace(mask=replace(inputs.mask, band=band))

    return tuple(one(band) for band in bands)


class CycledStack(nn.Module):
    """`num_layers` blocks, layer i with the inputs that pattern[i % P] makes; parameters as those of transformer.Stack.

    A band decides how attention is computed, so it can't be a number of the loop: the loop runs over turns of P layers.
    The first layer, where it is another block, and the layers left over at the end stand outside it.

    Attributes:
        pattern: for each layer of a turn, what it makes of the stack's inputs. P need not divide `num_layers`.
        make_first: of layer 0, where that is another block with the same parameters; None: it is as the others.
        remat, unroll: as in transformer.run_layers.
    """

    num_layers: int
    make_block: Callable[..., Block]
    pattern: Pattern
    make_final_norm: Callable[..., nn.Module] | None = None
    make_first: Callable[..., Block] | None = None
    remat: bool = False
    unroll: bool | None = None

    @nn.compact
    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and when a cache is given, its `own` with these tokens written."""
        block = self.make_block(parent=None)
        first = block if self.make_first is None else self.make_first(parent=None)
        layers = self.param("layers", self._init, block, x_BLD[:1, :1])
        dropout_key = self.make_rng("dropout") if self.has_rng("dropout") else None
        unroll = backend() == "cpu" if self.unroll is None else self.unroll
        turn = len(self.pattern)

        def run(carry: Any, part: tuple[Any, Array], place: int, leads: bool) -> Any:
            (x_BLD, own), (params, number) = carry, part
            rngs = None if dropout_key is None else {"dropout": jax.random.fold_in(dropout_key, number)}
            cached = None if own is None else LayerCache(own, layer=number)
            return (first if leads else block).apply(
                {"params": params}, x_BLD, self.pattern[place](inputs), cached, rngs=rngs
            )

        step = jax.checkpoint(run, prevent_cse=unroll, static_argnums=(2, 3)) if self.remat else run
        parts = (layers, jnp.arange(self.num_layers, dtype=jnp.int32))
        lead = 0 if self.make_first is None else 1
        turns = (self.num_layers - lead) // turn

        def part_of(stacked: Any, at: int) -> Any:
            return jax.tree.map(lambda leaf: leaf[at], stacked)

        def one_turn(carry: Any, stacked: Any) -> tuple[Any, None]:
            for at in range(turn):
                carry = step(carry, part_of(stacked, at), (lead + at) % turn, False)
            return carry, None

        carry = (x_BLD, None if cache is None else cache.own)
        if self.make_first is not None:
            carry = step(carry, part_of(parts, 0), 0, True)
        end = lead + turns * turn
        if turns:
            looped = jax.tree.map(lambda leaf: leaf[lead:end].reshape(turns, turn, *leaf.shape[1:]), parts)
            carry, _ = jax.lax.scan(one_turn, carry, looped, unroll=turns if unroll else 1)
        for number in range(end, self.num_layers):
            carry = step(carry, part_of(parts, number), number % turn, False)
        x_BLD, own = carry
        if self.make_final_norm is not None:
            x_BLD = self.make_final_norm(name="final_norm")(x_BLD)
        return x_BLD, own

    def _init(self, key: Array, block: Block, x_11D: Array) -> dict[str, Any]:
        # Neither what a layer sees nor where its tokens stand decides the shape of a parameter.
        return jax.vmap(lambda key: block.init(key, x_11D, BlockInputs(Mask()))["params"])(
            jax.random.split(key, self.num_layers)
        )

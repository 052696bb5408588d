"""The two things that a network does to generate text: read the prompts (prefill), and read one more token.

Legend: B prompts, R rows (each prompt's copies side by side), L length of the prompts, T columns of the cache, V
vocabulary rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from plmjax.modules import Bound
from plmjax.modules.attention import backend
from plmjax.modules.cache import repeat_rows
from plmjax.modules.heads import TokenHead
from plmjax.modules.network import DecoderNetwork

LONG = 64  # new tokens

DecodeStep = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


class Prompts(NamedTuple):
    """The prompts, which are read before the first new token.

    Attributes:
        tokens, segments: int32 [B, L]; 0 in the segments is padding, for a decoder all on the left.
        start: int32 scalar, the first token of an encoder-decoder's decoder; -1 for a decoder.
        history: int32 [B, H], tokens that processors count as written, -1 where there is none, on the left. H may
            be 0.
    """

    tokens: Any
    segments: Any
    start: Any
    history: Any


class PrefillOutput(NamedTuple):
    """The network after the prompts.

    Attributes:
        logits: float32 [R, V], of the first new token.
        cache: with room for as many new tokens as there are slots.
        position: int32 [R], of the first new token.
    """

    logits: jax.Array
    cache: Any
    position: jax.Array


def prefill(network: Bound, prompts: Prompts, slots: int, copies: int) -> PrefillOutput:
    """Reads the prompts once, for `copies` rows each.

    A decoder's prompts are padded on the left, so that the newest token of every row sits in the same cache column;
    positions are counted from each row's first token; one that sees its prefix whole sees the prompt so. An
    encoder-decoder encodes its prompts, caches the memory's keys and values, and its decoder reads the start token.
    """
    batch, length = prompts.tokens.shape
    if network.kind == "decoder":
        positions_BL = jnp.maximum(jnp.cumsum(prompts.segments, axis=1) - 1, 0)
        cache = cast(DecoderNetwork, network.module).init_cache(batch, length + slots)
        prefix = {"prefix_BL": prompts.segments > 0} if network.is_prefix_lm else {}
        x_BLD, cache = network.decode(prompts.tokens, positions_BL, prompts.segments, cache, **prefix)
        logits_BV = network.token_logits(x_BLD[:, -1:])[:, 0]
        position_B = jnp.sum(prompts.segments, axis=1)
    else:
        memory_BLD = network.encode(prompts.tokens, None, prompts.segments)
        cache = network.start_cache(memory_BLD, prompts.segments, slots + 1)
        start_B = jnp.full(batch, prompts.start, jnp.int32)
        logits_BV, cache = decode_step(network, start_B, jnp.zeros(batch, jnp.int32), cache)
        position_B = jnp.ones(batch, jnp.int32)
    if copies > 1:
        cache = repeat_rows(cache, copies)
    return PrefillOutput(jnp.repeat(logits_BV, copies, axis=0), cache, jnp.repeat(position_B, copies))


def decode_step(
    network: Bound, token_R: jax.Array, position_R: jax.Array, cache: Any, columns_DV: jax.Array | None = None
) -> tuple[jax.Array, Any]:
    """The logits [R, V] after one more token at these positions, and the cache with it.

    columns_DV: what `table_by_columns` gave, or None.
    """
    tokens_R1, positions_R1 = token_R[:, None], position_R[:, None]
    if network.kind == "decoder":
        x_R1D, cache = network.decode(tokens_R1, positions_R1, None, cache)
    else:
        x_R1D, cache = network.decode(tokens_R1, None, None, positions_R1, None, cache)
    if columns_DV is None:
        return network.token_logits(x_R1D)[:, 0], cache
    return network.token_head(x_R1D)._replace(table=columns_DV.T).logits()[:, 0], cache


def make_decode_step(network: Bound, rows: int, slots: int) -> DecodeStep:
    """A `decode_step` for texts of up to `slots` tokens, which does once what every step would do again on a CPU.

    Parameters of layers lie stacked, and XLA copies a layer's slice of them at each step; from arrays of its own, which
    the step stacks for the network, a layer is read where it lies.
    """
    if slots < LONG or backend() != "cpu":
        return partial(decode_step, network)
    columns_DV = table_by_columns(network) if rows == 1 else None
    apart = jax.lax.optimization_barrier(jax.tree_util.tree_map_with_path(_layers_apart, network.params))

    def step(token_R: jax.Array, position_R: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
        params = jax.tree.map(_together, apart, is_leaf=_is_apart)
        return decode_step(Bound(network.module, params), token_R, position_R, cache, columns_DV)

    return step


def _layers_apart(path: tuple[Any, ...], x: jax.Array) -> Any:
    return tuple(x) if any(getattr(key, "key", None) == "layers" for key in path) else x


def _together(x: Any) -> jax.Array:
    return jnp.stack(x) if _is_apart(x) else x


def _is_apart(x: Any) -> bool:
    return isinstance(x, tuple)


def table_by_columns(network: Bound) -> jax.Array | None:
    """The head's table [D, V], made once for all steps.

    A CPU takes the product of one row with a table that no cache holds twice as fast by columns. Turning the table
    round takes as long as about twenty steps.
    """
    head = network.token_head(jnp.zeros((1, 1, network.config.d_model), network.config.dtype))
    if not isinstance(head, TokenHead):
        return None
    return jax.lax.optimization_barrier(head.table.astype(head.h.dtype).T)


def new_columns(prompts: Prompts, decoder: bool) -> int:
    """The cache's first column that the copies of a prompt do not share."""
    return prompts.tokens.shape[1] if decoder else 1

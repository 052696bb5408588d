"""The key-value cache of a decoder: a plain pytree that goes in with some tokens and comes out with them appended.

    key, value                  [N, B, T, H, K] in the network's dtype
    segments                    int32 [B, T]; 0 where there is nothing yet, or padding
    index                       int32 scalar: how many of the T columns are filled
    memory_key, memory_value    [N, B, S, H, K], memory_segments [B, S]: encoder-decoders only

Legend: N layers, B batch, L new tokens, T the cache's length, S memory length, H heads, K head width.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from plmjax.modules.attention import KeysValues
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import LayerCache

Cache = dict[str, Array]


def empty_cache(num_layers: int, batch: int, length: int, num_heads: int, head_width: int, dtype: Any) -> Cache:
    """A cache for `length` tokens in all, with none in it."""
    shape = (num_layers, batch, length, num_heads, head_width)
    return {
        "key": jnp.zeros(shape, dtype),
        "value": jnp.zeros(shape, dtype),
        "segments": jnp.zeros((batch, length), jnp.int32),
        "index": jnp.zeros((), jnp.int32),
    }


def layer_cache(cache: Cache) -> LayerCache:
    """The parts of `cache` with a leading layer axis, as the blocks read them."""
    memory = None
    if "memory_key" in cache:
        memory = KeysValues(cache["memory_key"], cache["memory_value"])
    return LayerCache(KeysValues(cache["key"], cache["value"]), memory)


def append_segments(cache: Cache, segments_BL: Array) -> tuple[Cache, Mask]:
    """The cache with the new tokens' segments written, and the causal mask from these tokens to all.

    `index` moves on in `append_keys_values`, after the layers. Raises ValueError when there are more tokens than
    columns. Whether the columns that are left suffice is the caller's to know, for `index` is a number of the run.
    """
    tokens, columns = segments_BL.shape[1], cache["segments"].shape[1]
    if tokens > columns:
        raise ValueError(f"{tokens} tokens do not fit in a cache of length {columns}; make it with a greater length")
    start = cache["index"]
    segments_BL = segments_BL.astype(jnp.int32)
    segments_BT = lax.dynamic_update_slice_in_dim(cache["segments"], segments_BL, start, axis=1)
    return cache | {"segments": segments_BT}, Mask(segments_BL, segments_BT, start, causal=True)


def append_keys_values(cache: Cache, fresh: KeysValues) -> Cache:
    """The cache with the layers' new keys and values [N, B, L, H, K] written and `index` moved past them."""
    start = cache["index"]
    written = {
        name: lax.dynamic_update_slice_in_dim(cache[name], new.astype(cache[name].dtype), start, axis=2)
        for name, new in (("key", fresh.key), ("value", fresh.value))
    }
    return cache | written | {"index": start + fresh.key.shape[2]}


def repeat_rows(cache: Cache, copies: int) -> Cache:
    """The cache of `copies` rows for each row, side by side."""
    axes = {name: 1 if cache[name].ndim == 5 else 0 for name in cache if name != "index"}
    return cache | {name: jnp.repeat(cache[name], copies, axis=axis) for name, axis in axes.items()}


def take_rows(cache: Cache, rows_B: Array, first: int) -> Cache:
    """The cache in which row b goes on from row `rows_B[b]`.

    The columns before `first` and the memory stay as they are: they must be the same for a row and the one it follows.
    """
    moved = {name: cache[name].at[:, :, first:].set(cache[name][:, rows_B, first:]) for name in ("key", "value")}
    return cache | moved

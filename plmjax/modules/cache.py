"""The key-value cache of a decoder: a plain pytree that goes in with some tokens and comes out with them appended.

    key                         [N, B, H, K, T] in the network's dtype: as a product with one query reads it, so that
    value                       [N, B, H, T, K] no step copies the cache into another order
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
    heads = (num_layers, batch, num_heads)
    return {
        "key": jnp.zeros((*heads, head_width, length), dtype),
        "value": jnp.zeros((*heads, length, head_width), dtype),
        "segments": jnp.zeros((batch, length), jnp.int32),
        "index": jnp.zeros((), jnp.int32),
    }


def layer_cache(cache: Cache) -> LayerCache:
    """The parts of `cache` with a leading layer axis, as a stack reads them."""
    memory = None
    if "memory_key" in cache:
        memory = KeysValues(cache["memory_key"], cache["memory_value"])
    return LayerCache(KeysValues(cache["key"], cache["value"]), memory)


def append_segments(cache: Cache, segments_BL: Array) -> tuple[Cache, Mask]:
    """The cache with the new tokens' segments written and `index` past them, and the causal mask from them to all.

    Their keys and values are still to be written. Raises ValueError when there are more tokens than columns. Whether
    the columns that are left suffice is the caller's to know, for `index` is a number of the run.
    """
    tokens, columns = segments_BL.shape[1], cache["segments"].shape[1]
    if tokens > columns:
        raise ValueError(f"{tokens} tokens do not fit in a cache of length {columns}; make it with a greater length")
    start = cache["index"]
    segments_BL = segments_BL.astype(jnp.int32)
    segments_BT = lax.dynamic_update_slice_in_dim(cache["segments"], segments_BL, start, axis=1)
    written = {"segments": segments_BT, "index": start + tokens}
    return cache | written, Mask(segments_BL, segments_BT, start, causal=True)


def with_keys_values(cache: Cache, own: KeysValues) -> Cache:
    """The cache with the keys and values that a stack gave back."""
    return cache | {"key": own.key, "value": own.value}


def repeat_rows(cache: Cache, copies: int) -> Cache:
    """The cache of `copies` rows for each row, side by side."""
    axes = {name: 1 if cache[name].ndim == 5 else 0 for name in cache if name != "index"}
    return cache | {name: jnp.repeat(cache[name], copies, axis=axis) for name, axis in axes.items()}


def take_rows(cache: Cache, rows_B: Array, first: int) -> Cache:
    """The cache in which row b goes on from row `rows_B[b]`.

    The columns before `first` and the memory stay as they are: they must be the same for a row and the one it follows.
    """
    key, value = cache["key"], cache["value"]
    return cache | {
        "key": key.at[..., first:].set(key[:, rows_B, ..., first:]),
        "value": value.at[..., first:, :].set(value[:, rows_B, :, first:]),
    }

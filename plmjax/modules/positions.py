"""Token positions: rows of a table, rotations of queries and keys, or T5's relative buckets.

Legend: B batch, L queries, T keys, D model width, H heads, K head width.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.layers import Initializer


class LearnedPositions(nn.Module):
    """A table `embedding` [max_positions + offset, D]; position p has the row p + offset.

    RoBERTa's offset is 2: row 1 is padding's, whose position is -1, and row 0 is never read.
    """

    max_positions: int
    features: int
    embedding_init: Initializer
    offset: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, positions_BL: Array | None, length: int) -> Array:
        """The rows of int32 `positions_BL` [B, L, D], or [1, L, D] of positions 0 to length - 1 for None.

        Raises ValueError when `length` has more positions than the table. A position past the end gives NaN.
        """
        shape = (self.max_positions + self.offset, self.features)
        table = self.param("embedding", self.embedding_init, shape, jnp.float32)
        if positions_BL is None:
            if length > self.max_positions:
                raise ValueError(
                    f"a sequence of {length} tokens is longer than the network's {self.max_positions} positions;"
                    " shorten it or raise max_positions"
                )
            rows = table[None, self.offset : self.offset + length]
        else:
            rows = jnp.take(table, positions_BL + self.offset, axis=0, mode="fill")
        return rows.astype(self.dtype)


class SinusoidalPositions(nn.Module):
    """A fixed table [max_positions, D]: sine and cosine in turn of p / 10000^(2 i / D) (Vaswani et al. 2017).

    In `halves` the sines come first and then the cosines, as the released CTRL has them.
    """

    max_positions: int
    features: int
    halves: bool = False
    dtype: Any = jnp.float32

    def __call__(self, positions_BL: Array | None, length: int) -> Array:
        """Takes and returns what LearnedPositions does."""
        columns = sinusoidal_table(self.max_positions, self.features)
        if self.halves:
            columns = np.concatenate([columns[:, 0::2], columns[:, 1::2]], axis=1)
        table = jnp.asarray(columns)
        if positions_BL is None:
            if length > self.max_positions:
                raise ValueError(
                    f"a sequence of {length} tokens is longer than the network's {self.max_positions} positions;"
                    " shorten it or raise max_positions"
                )
            return table[None, :length].astype(self.dtype)
        return jnp.take(table, positions_BL, axis=0, mode="fill").astype(self.dtype)


@lru_cache
def sinusoidal_table(positions: int, features: int) -> np.ndarray:
    """float32 [positions, features], computed in double precision."""
    exponents = 2.0 * (np.arange(features) // 2) / features
    angles = np.arange(positions)[:, None] / np.power(10000.0, exponents)
    table = np.empty(angles.shape, np.float32)
    table[:, 0::2], table[:, 1::2] = np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])
    return table


class Rotary(NamedTuple):
    """Rotary position embeddings: cosine and sine of each token's angles, float32 [B or 1, L, K/2] (Su et al. 2021).

    Queries and keys are turned by angles that grow with their positions, so that their product depends on the distance
    alone. Column i turns with column i + K/2, as in Hugging Face's code, not with its neighbour as in the paper.
    """

    cos: Array
    sin: Array

    @classmethod
    def at(cls, positions_BL: Array, head_width: int, theta: float) -> "Rotary":
        """Returns the rotations at int32 positions [B or 1, L]: angle i is position * theta ** (-2 i / K)."""
        if head_width % 2:
            raise ValueError(f"rotary positions turn pairs of columns, but a head is {head_width} wide; make it even")
        exponents = np.arange(0, head_width, 2, dtype=np.float32) / head_width
        frequencies = jnp.asarray(1.0 / np.power(theta, exponents, dtype=np.float32))
        angles = positions_BL[..., None].astype(jnp.float32) * frequencies[None, None]
        return cls(jnp.cos(angles), jnp.sin(angles))

    def rotate(self, x_BLHK: Array) -> Array:
        """Queries or keys, turned; computed in float32, returned in their dtype."""
        cos, sin = self.cos[:, :, None], self.sin[:, :, None]
        first, second = jnp.split(x_BLHK.astype(jnp.float32), 2, axis=-1)
        turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return turned.astype(x_BLHK.dtype)


@lru_cache
def _bucket_starts(buckets: int, max_distance: int) -> np.ndarray:
    """The least distance of each logarithmic bucket after the first of them, found in whole numbers.

    The bucket is exact + floor(ln(n / exact) / ln(max / exact) * (buckets - exact)), so bucket exact + j begins
    at the least n with (n / exact) ** (buckets - exact) >= (max / exact) ** j. Floating point logarithms put the
    boundaries one off on some backends.
    """
    exact = buckets // 2
    wide = buckets - exact
    starts, n = [], exact
    for j in range(1, wide):
        while n**wide * exact**j < max_distance**j * exact**wide:
            n += 1
        starts.append(n)
    return np.asarray(starts, np.int32)


def relative_buckets(distances: Array, buckets: int, max_distance: int, bidirectional: bool) -> Array:
    """T5's bucket of each distance, key index - query index (Raffel et al. 2020, Sec. 2.1; Mesh TensorFlow).

    Args:
        distances: int32 [...].
        buckets: how many there are in all. Bidirectional: the upper half is for keys on the right. Otherwise keys
            on the right, which a causal mask hides, fall in bucket 0.
        max_distance: from here on everything shares the last bucket.

    Returns:
        int32 [...] in [0, buckets).
    """
    behind = -distances
    base: Array | int = 0
    if bidirectional:
        buckets //= 2
        base = jnp.where(behind < 0, buckets, 0)
        behind = jnp.abs(behind)
    else:
        behind = jnp.maximum(behind, 0)
    exact = buckets // 2
    starts = jnp.asarray(_bucket_starts(buckets, max_distance))
    passed = jnp.sum((behind[..., None] >= starts).astype(jnp.int32), axis=-1)
    return base + jnp.where(behind < exact, behind, exact + passed)


def along_diagonals(values_HW: Array, queries: int, keys: int) -> Array:
    """[H, L, T] with entry (l, t) = values[:, t - l + L - 1], for values [H, L + T - 1].

    Writing the row again and again with one entry of fill between shifts it by one each time, so that copies and
    slices do it: a gather of L * T rows would cost a scatter of as many in the backward pass.
    """
    heads, width = values_HW.shape
    filled = jnp.pad(values_HW, ((0, 0), (0, 1)))
    rows = jnp.broadcast_to(filled[:, None, :], (heads, queries, width + 1))
    rows = rows.reshape(heads, queries * (width + 1))[:, : queries * width]
    return lax.slice_in_dim(rows.reshape(heads, queries, width), queries - 1, queries - 1 + keys, axis=2)


class RelativeBias(nn.Module):
    """T5's attention bias: a learned scalar for each bucket of distance and head, `embedding` [buckets, H].

    Distances are taken between array indices. Within one segment, and nothing else is ever seen, that equals the
    difference of positions, with packing and with padding on either side.
    """

    num_heads: int
    buckets: int
    max_distance: int
    bidirectional: bool
    embedding_init: Initializer
    dtype: Any = jnp.float32
    layers: int = 0  # N where each layer has a table of its own, `embedding` [N, buckets, H]; 0: there is one

    @nn.compact
    def __call__(self, queries: int, keys: int, query_start: Array | int = 0) -> Array:
        """[H, L, T] float32, or of each layer [N, H, L, T], the first query standing at key index `query_start`."""
        shape = (*([self.layers] if self.layers else []), self.buckets, self.num_heads)
        table = self.param("embedding", self.embedding_init, shape, jnp.float32)
        distances = jnp.arange(1 - queries, keys, dtype=jnp.int32) - query_start
        rows = relative_buckets(distances, self.buckets, self.max_distance, self.bidirectional)
        if self.layers:
            return jax.vmap(lambda one: along_diagonals(one[rows].T, queries, keys))(table)
        return along_diagonals(table[rows].T, queries, keys)

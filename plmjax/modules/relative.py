"""Attention to content and to distance, as Transformer-XL and XLNet have it (Dai et al. 2019, Sec. 3.3).

The score of key t for query l is (q + u) k + (q + v) (W r), where r is the sinusoid of the distance from t to l, and u
and v are learned. A memory's keys stand before the queries' own.

Legend: B batch, L queries, T keys, W distances, D model width, H heads, K head width.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.attention import KeysValues
from plmjax.modules.layers import Dense, Dropout, Initializer


def distances(queries: int, keys: int, *, causal: bool = False) -> Array:
    """int32 [W]: query index - key index from the largest, keys - 1, downwards; the queries are the last of the keys.

    Down to 1 - queries, or with `causal` to 0, where no key after a query is ever seen.
    """
    return jnp.arange(keys - 1, -1 if causal else -queries, -1, dtype=jnp.int32)


def sinusoids(distances_W: Array, width: int, clamp: int = 0) -> Array:
    """float32 [W, width]: sines of every frequency, then their cosines.

    Frequencies are 10,000 ** (-2 i / width). Distances beyond `clamp` count as `clamp`, where it is over 0.
    """
    if clamp > 0:
        distances_W = jnp.clip(distances_W, -clamp, clamp)
    frequencies = 1 / 10000 ** (jnp.arange(0, width, 2, dtype=jnp.float32) / width)
    angles = distances_W.astype(jnp.float32)[..., None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)[..., :width]


def relative_shift(by_distance: Array, keys: int, query_start: Array | None = None) -> Array:
    """[..., L, T] from [..., L, W]: entry (l, t) is that of the distance from key t to query l, in the order of
    `distances`.

    Entry (l, t) lies at L - 1 - l + t: one column of fill and two reshapes shift each row by one against the one
    before, and no gather is needed. Entries of distances under the last are another row's; mask them.

    query_start: the place of the first query among the keys, where the queries are not the last of them (a cache's).
    """
    *batch, queries, width = by_distance.shape
    filled = jnp.pad(by_distance, [(0, 0)] * (len(batch) + 1) + [(1, 0)])
    rows = filled.reshape(*batch, width + 1, queries)[..., 1:, :].reshape(*batch, queries, width)
    if query_start is None:
        return rows[..., :keys]
    beyond = jnp.pad(rows, [(0, 0)] * (len(batch) + 1) + [(0, keys)])
    return lax.dynamic_slice_in_dim(beyond, keys - queries - query_start, keys, axis=-1)


class RelativeBiases(NamedTuple):
    """u and v, each [H, K]: what is added to a query that asks for content, and to one that asks for a distance."""

    content: Array
    position: Array


class LearnedBiases(nn.Module):
    """The parameters `content_bias` and `position_bias` [H, K]: one pair a layer, or one for all layers."""

    num_heads: int
    head_width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self) -> RelativeBiases:
        shape = (self.num_heads, self.head_width)
        return RelativeBiases(
            *(self.param(f"{name}_bias", self.kernel_init, shape, jnp.float32) for name in RelativeBiases._fields)
        )


def relative_logits(
    q_BLHK: Array,
    k_BTHK: Array,
    r_BWHK: Array,
    biases: RelativeBiases,
    scale: float,
    causal: bool = False,
    query_start: Array | None = None,
) -> Array:
    """float32 [B, H, L, T]: scale ((q + u) k + (q + v) r).

    Args:
        q_BLHK, k_BTHK: queries, and the keys of which they are the last.
        r_BWHK: the projected sinusoids of `distances(L, T, causal)`; one row where all examples share it.
        biases: u and v.
        scale: what the sum is multiplied by.
        causal: W is T alone, and entries of keys after their query mean nothing.
        query_start: as `relative_shift`'s.
    """
    keys = k_BTHK.shape[1]
    wanted = keys if causal else keys + q_BLHK.shape[1] - 1
    if r_BWHK.shape[1] != wanted:
        raise ValueError(f"{r_BWHK.shape[1]} distances are given, where {wanted} are needed")
    content_BLHK = q_BLHK + biases.content.astype(q_BLHK.dtype)[None, None]
    position_BLHK = q_BLHK + biases.position.astype(q_BLHK.dtype)[None, None]
    exact = {"preferred_element_type": jnp.float32}
    content_BHLT = jnp.einsum("blhk,bthk->bhlt", content_BLHK, k_BTHK, **exact)
    if r_BWHK.shape[0] == 1:
        position_BHLW = jnp.einsum("blhk,whk->bhlw", position_BLHK, r_BWHK[0], **exact)
    else:
        position_BHLW = jnp.einsum("blhk,bwhk->bhlw", position_BLHK, r_BWHK, **exact)
    return (content_BHLT + relative_shift(position_BHLW, keys, query_start)) * scale


class RelativeProjections(nn.Module):
    """The parameters of an attention by content and distance (Dai et al. 2019, Sec. 3.3); a subclass computes it.

    Without biases: `query`, `key`, `value`, `position` kernels [D, H, K], `out` kernel [H, K, D]; and `biases/...` with
    `own_biases`, else they are given.
    """

    num_heads: int
    head_width: int
    features: int
    dropout: float
    own_biases: bool
    kernel_init: Initializer
    dtype: Any = jnp.float32

    def setup(self) -> None:
        split = (self.num_heads, self.head_width)
        make = partial(Dense, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype)
        self.query, self.key, self.value, self.position = make(split), make(split), make(split), make(split)
        self.out = make(self.features, inputs=2)
        if self.own_biases:
            self.biases = self.make_biases()
        self.weights_dropout = Dropout(self.dropout)

    def make_biases(self) -> nn.Module:
        """The learned biases of this layer alone."""
        return LearnedBiases(self.num_heads, self.head_width, self.kernel_init)

    def keys_values(self, x_BTD: Array) -> KeysValues:
        """The keys and values of `x_BTD`."""
        return KeysValues(self.key(x_BTD), self.value(x_BTD))

"""Attention to content and to distance by separate vectors (DeBERTa, He et al. 2021, Sec. 3.1).

The score of key j for query i is Qc_i Kc_j + Qc_i Kr_d + Kc_j Qr_d with d = i - j, over sqrt((1 + position terms) K)
(microsoft/DeBERTa, deberta/disentangled_attention.py:78-86 and 140-156). The last term's row is the paper's only up to
its sign: Eq. 4 has Kc_j Qr_e with e = j - i.

Legend: B batch, L queries, T keys, R rows of the relative table, W distances, D model width, H heads, K head width.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import attend_by_logits
from plmjax.modules.layers import Dense, Dropout, Initializer
from plmjax.modules.masks import Mask
from plmjax.modules.relative import relative_shift
from plmjax.modules.transformer import Block, BlockInputs, LayerCache


def table_rows(distances_W: np.ndarray, span: int, buckets: int) -> np.ndarray:
    """int32 [W]: the row of the table of each distance, query - key; distances past its ends share the last rows.

    Args:
        distances_W: int.
        span: largest distance that is told apart.
        buckets: 0, or half the rows of the table: distances are then exact up to half of it and logarithmic up to
            `span` beyond (released code of version 2), in its float32.
    """
    half = buckets or span
    if buckets:
        middle = buckets // 2
        size = np.where(np.abs(distances_W) < middle, middle - 1, np.abs(distances_W)).astype(np.float32)
        steps = np.log(size / np.float32(middle)) / np.log(np.float32((span - 1) / middle)) * np.float32(middle - 1)
        far = (np.ceil(steps) + middle) * np.sign(distances_W)
        distances_W = np.where(size <= middle, distances_W, far).astype(np.int64)
    return np.clip(distances_W + half, 0, 2 * half - 1).astype(np.int32)


class DisentangledAttention(nn.Module):
    """Self-attention whose scores have position terms: "c2p", content to position, and "p2c", position to content.

    Parameters: `query`, `key`, `value`, `out` as in Attention; and, unless `share_key`, `position_key` and
    `position_query` [D, H, K], which otherwise are `key` and `query`.
    """

    num_heads: int
    head_width: int
    features: int
    terms: tuple[str, ...]
    span: int
    buckets: int
    share_key: bool
    key_bias: bool  # version 1 has none, in `key` and `position_key`
    dropout: float
    kernel_init: Initializer
    p2c_distance: str = "query_to_key"  # or "key_to_query", the paper's
    table_dropout: float = 0.0  # each layer drops other entries of the relative table (released code, line 88)
    dtype: Any = jnp.float32

    def setup(self) -> None:
        split = (self.num_heads, self.head_width)
        shared: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        self.query = Dense(split, **shared)
        self.key = Dense(split, use_bias=self.key_bias, **shared)
        self.value = Dense(split, **shared)
        self.out = Dense(self.features, inputs=2, **shared)
        if not self.share_key:
            if "c2p" in self.terms:
                self.position_key = Dense(split, use_bias=self.key_bias, **shared)
            if "p2c" in self.terms:
                self.position_query = Dense(split, **shared)
        self.weights_dropout = Dropout(self.dropout)
        self.position_dropout = Dropout(self.table_dropout)

    def __call__(self, query_BLD: Array, content_BLD: Array, mask: Mask, table_RD: Array) -> Array:
        """`query_BLD` attends to `content_BLD`, both of one length: [B, L, D]."""
        q_BLHK, k_BLHK, v_BLHK = self.query(query_BLD), self.key(content_BLD), self.value(content_BLD)
        logits_BHLT = jnp.einsum("blhk,bthk->bhlt", q_BLHK, k_BLHK, preferred_element_type=jnp.float32)
        length, table_RD = query_BLD.shape[1], self.position_dropout(table_RD)
        distances_W = np.arange(length - 1, -length, -1)
        if "c2p" in self.terms:
            project = self.key if self.share_key else self.position_key
            rows_WHK = project(table_RD[table_rows(distances_W, self.span, self.buckets)])
            by_distance = jnp.einsum("blhk,whk->bhlw", q_BLHK, rows_WHK, preferred_element_type=jnp.float32)
            logits_BHLT = logits_BHLT + relative_shift(by_distance, length)
        if "p2c" in self.terms:
            # Rows are keys here and columns queries: `distances_W` are from query to key, the negatives of d.
            project = self.query if self.share_key else self.position_query
            signed_W = distances_W if self.p2c_distance == "key_to_query" else -distances_W
            rows_WHK = project(table_RD[table_rows(signed_W, self.span, self.buckets)])
            by_distance = jnp.einsum("bthk,whk->bhtw", k_BLHK, rows_WHK, preferred_element_type=jnp.float32)
            logits_BHLT = logits_BHLT + jnp.swapaxes(relative_shift(by_distance, length), -1, -2)
        logits_BHLT = logits_BHLT * ((1 + len(self.terms)) * self.head_width) ** -0.5
        dropout = self.weights_dropout if self.weights_dropout.active() else None
        mixed_BLHK = attend_by_logits(logits_BHLT, v_BLHK, mask.materialize(length, length), dropout)
        return self.out(mixed_BLHK)


class DisentangledBlock(Block):
    """A block on disentangled attention; `inputs.bias` is the relative table [R, D]."""

    def __call__(self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None) -> tuple[Array, None]:
        """The block's value [B, L, D], and nothing where other blocks give a cache's keys."""
        return self.attend(x_BLD, x_BLD, inputs), None

    def attend(self, query_BLD: Array, content_BLD: Array, inputs: BlockInputs) -> Array:
        """The block's value for queries of their own, which keys and values do not come from."""
        attention: Any = self.attention  # a DisentangledAttention
        y_BLD = attention(query_BLD, content_BLD, inputs.mask, inputs.bias)
        x_BLD = self.wiring.post(self.attention_norm, query_BLD, self.residual_dropout(y_BLD))
        return self.feed_forward(x_BLD)

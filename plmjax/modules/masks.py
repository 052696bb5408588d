"""Attention masks, kept as structure and turned into a boolean array only by the kernels that need one.

Legend: B batch, L queries, T keys.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

# Finite, so that no arithmetic on masked logits gives NaN, and far under any real logit.
MASK_VALUE = -1e30
# A row whose largest logit is under this has no key at all: see attention.attend.
MASK_FLOOR = -1e20


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["query_segments", "key_segments", "query_start", "prefix", "hidden"],
    meta_fields=["causal", "band"],
)
@dataclass(frozen=True)
class Mask:
    """A query sees a key of its own segment, if `causal` no later than itself; segment 0 is padding and sees nothing.

    What is said of `prefix` and `hidden` holds within a segment too.

    Attributes:
        query_segments [B, L], key_segments [B, T]: int32, or both None when all is one segment.
        query_start: index of the first query among the keys (int32 scalar), or None for 0.
        causal: whether a query sees only keys whose index is not over its own.
        band: a query sees only keys at a distance under `band`: with `causal` itself and the band - 1 keys next before
            it, else those on either side too (local attention); 0: all.
        prefix: bool [B, T], keys that every query sees, whatever `causal` and `band` say; None: none.
        hidden: bool [B, L, T], True where a query does not see a key all the same; None: nowhere.
    """

    query_segments: Array | None = None
    key_segments: Array | None = None
    query_start: Array | None = None
    causal: bool = False
    band: int = 0
    prefix: Array | None = None
    hidden: Array | None = None

    @classmethod
    def within(cls, segments_BL: Array | None, causal: bool = False, prefix_BL: Array | None = None) -> "Mask":
        """Self-attention; None means one segment and no padding, and no prefix."""
        return cls(segments_BL, segments_BL, None, causal, prefix=prefix_BL)

    @classmethod
    def across(
        cls, queries_BLD: Array, query_segments_BL: Array | None, keys_BTD: Array, key_segments_BT: Array | None
    ) -> "Mask":
        """Cross-attention; one side's None means all ones there, both None means that everything is seen."""
        if query_segments_BL is None and key_segments_BT is None:
            return cls()
        if query_segments_BL is None:
            query_segments_BL = jnp.ones(queries_BLD.shape[:2], jnp.int32)
        if key_segments_BT is None:
            key_segments_BT = jnp.ones(keys_BTD.shape[:2], jnp.int32)
        return cls(query_segments_BL, key_segments_BT)

    @property
    def is_regular(self) -> bool:
        """Whether segments, causality and the band say everything, as kernels that make the mask themselves need."""
        return self.prefix is None and self.hidden is None

    def comparable_queries(self) -> Array:
        """`query_segments` with padding as -1, which is no key's segment: equality alone then decides."""
        return jnp.where(self.query_segments > 0, self.query_segments, -1)

    def materialize(self, queries: int, keys: int) -> Array | None:
        """bool [B or 1, 1, L, T], True where the key is seen; None when everything is."""
        seen = None
        if self.query_segments is not None:
            seen = self.comparable_queries()[:, None, :, None] == self.key_segments[:, None, None, :]
        if self.causal or self.band:
            near = self._near(queries, keys)[None, None]
            if self.prefix is not None:
                near = near | self.prefix[:, None, None, :]
            seen = near if seen is None else seen & near
        if self.hidden is not None:
            shown = ~self.hidden[:, None]
            seen = shown if seen is None else seen & shown
        return seen

    def _near(self, queries: int, keys: int) -> Array:
        """bool [L, T]: what causality and the band show."""
        start = 0 if self.query_start is None else self.query_start
        query_index_L1 = jnp.arange(queries, dtype=jnp.int32)[:, None] + start
        key_index_1T = jnp.arange(keys, dtype=jnp.int32)[None, :]
        behind_LT = query_index_L1 - key_index_1T
        if self.causal:
            return (behind_LT >= 0) & (behind_LT < self.band) if self.band else behind_LT >= 0
        return jnp.abs(behind_LT) < self.band

    def live_rows(self, queries: int, keys: int) -> Array | None:
        """bool [B, L], True where a query sees at least one key; None when all do."""
        if self.query_segments is None and self.hidden is None:
            return None
        return jnp.any(self.materialize(queries, keys), axis=(1, 3))

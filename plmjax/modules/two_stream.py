"""The attention of XLNet's two streams, and the block made of it (Yang et al. 2019, Secs. 2.2, 2.3 and 2.5).

Legend: B batch, L length, M queries of g, T memory and L together, W distances, D model width, H heads, K head width.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import attend_by_logits
from plmjax.modules.layers import Initializer
from plmjax.modules.relative import LearnedBiases, RelativeBiases, RelativeProjections, relative_logits
from plmjax.modules.transformer import Block


class TwoStreamContext(NamedTuple):
    """The inputs of every layer besides the streams.

    Attributes:
        sinusoids_XWD: of the distances, X = 1; or X = 2, the second for rows that run backwards.
        backward_B: bool, which rows run backwards, or None.
        content_seen, query_seen: bool [B or 1, 1, L, T], what h and g see; None is everything.
        other_BLT: bool, where a key is of another text than the query; None: never.
        mapping_BML: which token each query stands for, or None.
    """

    sinusoids_XWD: Array
    backward_B: Array | None
    content_seen: Array | None
    query_seen: Array | None
    other_BLT: Array | None
    mapping_BML: Array | None


class XLNetBiases(NamedTuple):
    """The biases of queries that ask for content and distance, and [H, K] for text (same or other)."""

    relative: RelativeBiases
    segment: Array


class MakeBiases(nn.Module):
    """The parameters of one XLNetBiases: `content_bias`, `position_bias`, `segment_bias`, each [H, K]."""

    num_heads: int
    head_width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self) -> XLNetBiases:
        shape = (self.num_heads, self.head_width)
        relative = LearnedBiases(*shape, self.kernel_init, name="relative")()
        return XLNetBiases(relative, self.param("segment_bias", self.kernel_init, shape, jnp.float32))


class TwoStreamAttention(RelativeProjections):
    """Attention by content, distance and text (paper Secs. 2.2, 2.3 and 2.5), the same for both streams.

    Parameters, besides RelativeProjections': `segment_embedding` [2, H, K] for same and other.
    """

    def setup(self) -> None:
        super().setup()
        shape = (2, self.num_heads, self.head_width)
        self.segment_embedding = self.param("segment_embedding", self.kernel_init, shape, jnp.float32)

    def make_biases(self) -> nn.Module:
        """The learned biases of this layer alone, those of the text among them."""
        return MakeBiases(self.num_heads, self.head_width, self.kernel_init)

    def __call__(
        self, h_BLD: Array, g_BMD: Array | None, memory_BSD: Array | None, context: TwoStreamContext, biases: Any
    ) -> tuple[Array, Array | None]:
        """Returns both streams after attention: [B, L, D], [B, M, D]."""
        biases = self.biases() if self.own_biases else biases
        x_BTD = h_BLD if memory_BSD is None else jnp.concatenate([memory_BSD, h_BLD], axis=1)
        k_BTHK, v_BTHK = self.keys_values(x_BTD)
        r_BWHK = self.position(context.sinusoids_XWD)
        if context.backward_B is not None:
            r_BWHK = jnp.where(context.backward_B[:, None, None, None], r_BWHK[1:], r_BWHK[:1])

        def mix(q_BLHK: Array, seen: Array | None) -> Array:
            scale = self.head_width**-0.5
            logits_BHLT = relative_logits(q_BLHK, k_BTHK, r_BWHK, biases.relative, scale)
            if context.other_BLT is not None:
                logits_BHLT = logits_BHLT + scale * self._by_text(q_BLHK, biases.segment, context.other_BLT)
            dropout = self.weights_dropout if self.weights_dropout.active() else None
            return attend_by_logits(logits_BHLT, v_BTHK, seen, dropout)

        mixed_BLHK = self.out(mix(self.query(h_BLD), context.content_seen))
        if g_BMD is None:
            return mixed_BLHK, None
        # Each query stands at the place of its token, where the distances are those of the content's query.
        mapping_BML = context.mapping_BML.astype(self.dtype)
        q_BLHK = jnp.einsum("bmhk,bml->blhk", self.query(g_BMD), mapping_BML)
        mixed_BMHK = jnp.einsum("blhk,bml->bmhk", mix(q_BLHK, context.query_seen), mapping_BML)
        return mixed_BLHK, self.out(mixed_BMHK)

    def _by_text(self, q_BLHK: Array, bias_HK: Array, other_BLT: Array) -> Array:
        """float32 [B, H, L, T]: (q + b) s, of the key's text being the query's, or another."""
        asked_BLHK = q_BLHK + bias_HK.astype(q_BLHK.dtype)[None, None]
        table = self.segment_embedding.astype(q_BLHK.dtype)
        scores_BHLS = jnp.einsum("blhk,shk->bhls", asked_BLHK, table, preferred_element_type=jnp.float32)
        return jnp.where(other_BLT[:, None], scores_BHLS[..., 1:], scores_BHLS[..., :1])


class TwoStreamBlock(Block):
    """A post-norm block for both streams; its second result is the input of h, for the memory."""

    def streams(
        self, h: Array, g: Array | None, memory_BSD: Array | None, context: TwoStreamContext, biases: Any
    ) -> tuple[Array, Array | None]:
        """h and g after attention and feed-forward."""
        attention: Any = self.attention  # a TwoStreamAttention
        mixed_h, mixed_g = attention(h, g, memory_BSD, context, biases)
        h = self.feed_forward(self.wiring.post(self.attention_norm, h, self.residual_dropout(mixed_h)))
        if g is not None:
            g = self.feed_forward(self.wiring.post(self.attention_norm, g, self.residual_dropout(mixed_g)))
        return h, g

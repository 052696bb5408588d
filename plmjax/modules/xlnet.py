"""XLNet (Yang et al. 2019): two streams over one set of weights, and the memory of the text before.

The content stream h is an encoder's: a token's state has read the token. The query stream g has a state for each token
to predict, which knows the place and not the token; its keys and values are h's. Fine-tuning drops g.

Legend: B batch, L length, M predicted tokens, T memory and L together, W distances, D model width, H heads, K head
width, N layers.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import width_of_head
from plmjax.modules.beam_answer import AnswersByBeam, BeamAnswerHead
from plmjax.modules.encoder import HEADS
from plmjax.modules.heads import LastTokenClassHead, TiedTokenHead
from plmjax.modules.layers import Dropout, Embed, truncated_normal
from plmjax.modules.masks import Mask
from plmjax.modules.memory import Memory, empty_memory
from plmjax.modules.relative import distances, sinusoids
from plmjax.modules.transformer import post_norm_block, run_layers
from plmjax.modules.two_stream import MakeBiases, TwoStreamAttention, TwoStreamBlock, TwoStreamContext


@dataclass(slots=True, unsafe_hash=True)
class XLNetConfig:
    """The sizes of an XLNet; the defaults are the base model's (released xlnet_config.json)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    activation: str = "gelu_tanh"  # the released code's; Hugging Face's "gelu" is the exact one
    norm_eps: float = 1e-12
    dropout: float = 0.1  # on embeddings, sinusoids, every layer's output and the feed-forward units
    attention_dropout: float = 0.1  # on the attention weights
    init_std: float = 0.02
    tie_biases: bool = False  # the three biases of the queries are one for all layers, not one a layer
    causal: bool = False  # tokens see none to their right (attn_type "uni")
    clamp: int = 0  # distances beyond count as this; 0: never
    memory_length: int = 0  # states of each layer that are kept for the next call; 0: none
    reuse_length: int = 0  # only this many tokens from the left go into the memory; 0: all
    heads: tuple[str, ...] = ("token",)  # see modules/encoder.py; and "beam_question_answering"
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    start_beams: int = 5  # of the head "beam_question_answering"
    end_beams: int = 5
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class XLNetOutput(NamedTuple):
    """h [B, L, D]; g [B, M, D] or None; the memory for the next call, or None."""

    h: Array
    g: Array | None
    memory: Memory | None


class TwoStreamStack(nn.Module):
    """The layers under `layers/...`, and the biases under `biases/...` where all layers share them."""

    config: XLNetConfig

    @nn.compact
    def __call__(
        self, h_BLD: Array, g_BMD: Array | None, memory_NBSD: Array | None, context: TwoStreamContext
    ) -> tuple[Array, Array | None, Array]:
        """h, g, and the states that each layer read [N, B, L, D]."""
        c = self.config
        init = truncated_normal(c.init_std)
        width = width_of_head(c.d_model, c.num_heads)
        biases = MakeBiases(c.num_heads, width, init, name="biases")() if c.tie_biases else None
        make_attention = partial(
            TwoStreamAttention,
            c.num_heads,
            width,
            c.d_model,
            c.attention_dropout,
            own_biases=not c.tie_biases,
            kernel_init=init,
            dtype=jnp.dtype(c.dtype),
        )
        block = post_norm_block(c, init, TwoStreamBlock, make_attention, c.dropout)(name="layers")

        def step(block: Any, streams: Any, memory_BSD: Array | None) -> tuple[Any, Array]:
            return block.streams(*streams, memory_BSD, context, biases), streams[0]

        (h_BLD, g_BMD), read_NBLD = run_layers(
            step,
            block,
            (h_BLD, g_BMD),  # type: ignore[arg-type]
            memory_NBSD,
            num_layers=c.num_layers,
            remat=c.remat,
            unroll=c.unroll,
        )
        return h_BLD, g_BMD, read_NBLD


class XLNetEmbeddings(nn.Module):
    """The token table, and the vector `query` [D] from which every query of g starts."""

    config: XLNetConfig

    def setup(self) -> None:
        c = self.config
        init = truncated_normal(c.init_std)
        self.tokens = Embed(c.vocab_size, c.d_model, init, jnp.dtype(c.dtype))
        self.query = self.param("query", init, (c.d_model,), jnp.float32)
        self.dropout = Dropout(c.dropout)

    def __call__(self, tokens_BL: Array) -> Array:
        """[B, L, D]."""
        return self.dropout(self.tokens(tokens_BL))

    def queries(self, batch: int, count: int) -> Array:
        """[B, M, D], all alike."""
        query = self.query.astype(self.config.dtype)
        return self.dropout(jnp.broadcast_to(query, (batch, count, self.config.d_model)))

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class XLNet(AnswersByBeam):
    """Two streams with the heads that the config names."""

    config: XLNetConfig
    kind: ClassVar[str] = "two_stream"
    class_token: ClassVar[str] = "last"

    def setup(self) -> None:
        c = self.config
        self.embeddings = XLNetEmbeddings(c)
        self.encoder = TwoStreamStack(c)
        self.state_dropout = Dropout(c.dropout)
        self.setup_heads()
        if "beam_question_answering" in c.heads:
            dtype = jnp.dtype(c.dtype)
            self.beam_answer_head = BeamAnswerHead(c.d_model, c.norm_eps, self.head_init, dtype, self.head_dropout_rate)

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """Encodes as Encoder says, by the content stream. Distances are between indices, so positions are not read;
        token types only tell one text from another."""
        return self.two_streams(tokens_BL, None, None, token_types_BL, segments_BL).h

    def two_streams(
        self,
        tokens_BL: Array,
        perm_mask_BLL: Array | None,
        target_mapping_BML: Array | None,
        token_types_BL: Array | None = None,
        segments_BL: Array | None = None,
        memory: Memory | None = None,
        backward_B: Array | None = None,
        keep: int | None = None,
    ) -> XLNetOutput:
        """Returns both streams, and the memory for the text that follows.

        Args:
            tokens_BL: token ids.
            perm_mask_BLL: 1 (or True) where token l may not see token t; h sees itself all the same. None: all is seen.
            target_mapping_BML: the queries' tokens, one 1 a row; None: no query stream.
            token_types_BL, segments_BL: as `encode`. The memory is of type 0 and seen by all but padding.
            memory: what each layer read of the text before, from an earlier call; no gradient goes into it.
            backward_B: bool, rows whose text runs from its end to its start: their distances change sign.
            keep: states of each layer to give back as the memory; None: the config's memory_length.
        """
        c = self.config
        batch, length = tokens_BL.shape
        context = self._context(
            length, memory, perm_mask_BLL, target_mapping_BML, token_types_BL, segments_BL, backward_B
        )
        g_BMD = None if target_mapping_BML is None else self.embeddings.queries(batch, target_mapping_BML.shape[1])
        memory_NBSD = None if memory is None or not memory.filled.shape[1] else memory.by_layer(c.dtype)
        h_BLD, g_BMD, read_NBLD = self.encoder(self.embeddings(tokens_BL), g_BMD, memory_NBSD, context)
        kept = None
        keep = c.memory_length if keep is None else keep
        if keep:
            before = self.init_memory(batch, 0) if memory is None else memory
            kept = before.and_then(read_NBLD[:, :, : c.reuse_length or length], keep)
        return XLNetOutput(self.state_dropout(h_BLD), None if g_BMD is None else self.state_dropout(g_BMD), kept)

    @nn.nowrap
    def init_memory(self, batch: int, length: int) -> Memory:
        """A memory of `length` states with nothing in it; needs no parameters."""
        c = self.config
        return empty_memory(c.num_layers, batch, length, c.d_model, jnp.dtype(c.dtype))

    def _context(
        self,
        length: int,
        memory: Memory | None,
        perm_mask_BLL: Array | None,
        mapping_BML: Array | None,
        token_types_BL: Array | None,
        segments_BL: Array | None,
        backward_B: Array | None,
    ) -> TwoStreamContext:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        filled_BS = None if memory is None else memory.filled
        before = 0 if filled_BS is None else filled_BS.shape[1]
        spans = distances(length, before + length)
        spans_XW = spans[None] if backward_B is None else jnp.stack([spans, -spans])
        waves_XWD = self.state_dropout(sinusoids(spans_XW, c.d_model, c.clamp).astype(dtype))
        seen = Mask.within(segments_BL, c.causal).materialize(length, length)
        query_seen = seen
        if perm_mask_BLL is not None:
            shown = (perm_mask_BLL == 0)[:, None]
            itself = jnp.eye(length, dtype=jnp.bool_)[None, None]
            query_seen = shown if seen is None else seen & shown
            seen = shown | itself if seen is None else seen & (shown | itself)
        other_BLT = None
        if token_types_BL is not None:
            types_BT = jnp.pad(token_types_BL, ((0, 0), (before, 0)))
            other_BLT = token_types_BL[:, :, None] != types_BT[:, None, :]
        real_BL = None if segments_BL is None else segments_BL > 0
        return TwoStreamContext(
            waves_XWD,
            backward_B,
            _with_memory(seen, length, filled_BS, real_BL),
            _with_memory(query_seen, length, filled_BS, real_BL),
            other_BLT,
            mapping_BML,
        )

    def known_heads(self) -> tuple[str, ...]:
        """Encoder's, and the answer by a beam."""
        return (*HEADS, "beam_question_answering")

    def make_token_head(self) -> nn.Module:
        """The tied table and a bias, nothing between."""
        return TiedTokenHead(self.config.vocab_size, name="token_head")

    def make_class_head(self) -> nn.Module:
        """From the last token, where XLNet has [CLS]."""
        c = self.config
        return LastTokenClassHead(
            c.d_model, c.num_labels, "tanh", self.head_init, jnp.dtype(c.dtype), self.head_dropout_rate
        )

    def __call__(self) -> None:
        """Touches every parameter, as Encoder's."""
        super().__call__()
        if "beam_question_answering" in self.config.heads:
            self.beam_answers(self.encode(jnp.zeros((1, 1), jnp.int32)), starts=1, ends=1)


def _with_memory(seen: Array | None, length: int, filled_BS: Array | None, real_BL: Array | None) -> Array | None:
    """`seen` with the memory's keys before the others: every query but padding sees those that are filled."""
    if filled_BS is None or not filled_BS.shape[1]:
        return seen
    reads_B1LS = jnp.broadcast_to(filled_BS[:, None, None], (len(filled_BS), 1, length, filled_BS.shape[1]))
    if real_BL is not None:
        reads_B1LS = reads_B1LS & real_BL[:, None, :, None]
    if seen is None:
        seen = jnp.ones((1, 1, length, length), jnp.bool_)
    seen_B1LL = jnp.broadcast_to(seen, (len(filled_BS), *seen.shape[1:]))
    return jnp.concatenate([reads_B1LS, seen_B1LL], axis=-1)


_BASE = XLNetConfig()

# Vocabulary rows of the released models: 32,000. Sizes: README of the released code; paper Table 8 for the large one.
VARIANTS: dict[str, XLNetConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64),
    "base": _BASE,
    "large": replace(_BASE, num_layers=24, num_heads=16, d_model=1024, d_ff=4096),
}

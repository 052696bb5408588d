"""Transformer-XL (Dai et al. 2019): a decoder that remembers the text before its segment, by distances.

Legend: B batch, L length, S memory length, T memory or cache and L together, D model width, F feed-forward width,
H heads, K head width, N layers.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.adaptive import AdaptiveEmbeddings, AdaptiveHead, AdaptiveTokenHead, Clusters
from plmjax.modules.attention import KeysValues, attend_by_logits
from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import Dropout, LayerNorm, normal
from plmjax.modules.masks import Mask
from plmjax.modules.memory import Memory, empty_memory
from plmjax.modules.relative import (
    LearnedBiases,
    RelativeBiases,
    RelativeProjections,
    distances,
    relative_logits,
    sinusoids,
)
from plmjax.modules.transformer import MLP, Block, LayerCache, PostNorm, PreNorm, run_layers


@dataclass(slots=True, unsafe_hash=True)
class TransformerXLConfig:
    """The sizes of a Transformer-XL; the defaults are WikiText-103's base model (released run_wt103_base.sh)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 16
    num_heads: int = 10
    head_width: int = 41
    d_model: int = 410
    d_ff: int = 2100
    d_embed: int = 0  # width of the embeddings, the shortlist's where they differ; 0: d_model
    cutoffs: tuple[int, ...] = ()  # first tokens of the clusters of an adaptive softmax; none: a plain softmax
    embed_divisor: int = 1  # each cluster's vectors are narrower than those before by this (div_val)
    tie_projections: bool = True  # every cluster but the first projects as its embeddings do (proj_share_all_but_first)
    norm: str = "post"  # or "pre"
    activation: str = "relu"
    norm_eps: float = 1e-5
    dropout: float = 0.1  # on embeddings, sinusoids, every layer's output and the feed-forward units
    attention_dropout: float = 0.0  # on the attention weights
    init_std: float = 0.02
    projection_init_std: float = 0.01  # of the projections of embeddings
    tie_biases: bool = True  # u and v are one pair for all layers (paper Sec. 3.3), not one a layer (untie_r)
    memory_length: int = 150  # states of each layer that are kept for the next segment
    same_length: bool = False  # every token sees the last memory_length tokens, itself among them, and none before
    clamp: int = 0  # distances beyond count as this; 0: never
    heads: tuple[str, ...] = ("token",)  # ("token",) or (): with or without the parameters of the scores
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None

    def clusters(self) -> Clusters:
        """The clusters that the vocabulary is cut into."""
        return Clusters(self.vocab_size, tuple(self.cutoffs), self.d_embed or self.d_model, self.embed_divisor)


class AttentionContext(NamedTuple):
    """The inputs of every layer besides the text.

    Attributes:
        sinusoids_TD: of the distances T - 1 to 0.
        seen: bool [B or 1, 1, L, T].
        query_start: where a cache's new tokens begin, or None without a cache.
    """

    sinusoids_TD: Array
    seen: Array
    query_start: Array | None


class RelativeAttention(RelativeProjections):
    """Attention by content and distance (paper Sec. 3.3)."""

    def __call__(
        self, x_BLD: Array, keys_values: KeysValues, context: AttentionContext, biases: RelativeBiases | None
    ) -> Array:
        """x_BLD attends to `keys_values`: [B, L, D]."""
        logits_BHLT = relative_logits(
            self.query(x_BLD),
            keys_values.key,
            self.position(context.sinusoids_TD[None]),
            self.biases() if biases is None else biases,
            self.head_width**-0.5,
            causal=True,
            query_start=context.query_start,
        )
        dropout = self.weights_dropout if self.weights_dropout.active() else None
        return self.out(attend_by_logits(logits_BHLT, keys_values.value, context.seen, dropout))


class RecurrentBlock(Block):
    """A block whose attention reads, besides its input, a memory or a cache of what it read before."""

    def recur(
        self,
        x_BLD: Array,
        memory_BSD: Array | None,
        cache: LayerCache | None,
        context: AttentionContext,
        biases: RelativeBiases | None,
    ) -> tuple[Array, KeysValues | None]:
        """The block's value [B, L, D] and, when a cache is given, its `own` with these L tokens written."""
        attention: Any = self.attention  # a RelativeAttention
        whole_BTD = x_BLD if memory_BSD is None else jnp.concatenate([memory_BSD, x_BLD], axis=1)
        whole_BTD = self.wiring.pre(self.attention_norm, whole_BTD)
        y_BLD = whole_BTD[:, -x_BLD.shape[1] :]
        seen, own = attention.keys_values(whole_BTD), None
        if cache is not None:
            own, seen = cache.append(seen, context.query_start)
        y_BLD = self.residual_dropout(attention(y_BLD, seen, context, biases))
        x_BLD = self.wiring.post(self.attention_norm, x_BLD, y_BLD)
        return self.feed_forward(x_BLD), own


class RecurrentStack(nn.Module):
    """The layers under `layers/...`, and the biases under `biases/...` where all layers share them."""

    config: TransformerXLConfig

    @nn.compact
    def __call__(
        self, x_BLD: Array, memory_NBSD: Array | None, cache: LayerCache | None, context: AttentionContext
    ) -> tuple[Array, Array, KeysValues | None]:
        """[B, L, D]; what each layer read [N, B, L, D]; with a cache its `own`, these tokens written."""
        c = self.config
        init, dtype = normal(c.init_std), jnp.dtype(c.dtype)
        biases = LearnedBiases(c.num_heads, c.head_width, init, name="biases")() if c.tie_biases else None
        block = RecurrentBlock(
            wiring=PreNorm if c.norm == "pre" else PostNorm,
            make_attention=partial(
                RelativeAttention,
                c.num_heads,
                c.head_width,
                c.d_model,
                c.attention_dropout,
                own_biases=not c.tie_biases,
                kernel_init=init,
                dtype=dtype,
            ),  # type: ignore[arg-type]
            make_mlp=partial(
                MLP, c.d_model, c.d_ff, c.activation, c.dropout, up_init=init, down_init=init, dtype=dtype
            ),
            make_norm=partial(LayerNorm, c.norm_eps, dtype),
            dropout=c.dropout,
            name="layers",
        )

        def step(block: Any, carry: Any, before: Any) -> tuple[Any, Array]:
            x_BLD, own = carry
            memory_BSD, layer = before
            part = None if own is None else LayerCache(own, layer=layer)
            return block.recur(x_BLD, memory_BSD, part, context, biases), x_BLD

        (x_BLD, own), read_NBLD = run_layers(
            step,
            block,
            (x_BLD, None if cache is None else cache.own),
            (memory_NBSD, jnp.arange(c.num_layers, dtype=jnp.int32)),
            num_layers=c.num_layers,
            remat=c.remat,
            unroll=c.unroll,
        )
        return x_BLD, read_NBLD, own


class TransformerXL(nn.Module):
    """A decoder with a memory and a tied, possibly adaptive head."""

    config: TransformerXLConfig
    kind: ClassVar[str] = "decoder"

    def known_heads(self) -> tuple[str, ...]:
        """The vocabulary's alone."""
        return ("token",)

    def setup(self) -> None:
        c = self.config
        if c.norm not in ("pre", "post"):
            raise ValueError(f"norm {c.norm!r} is not known; use 'post' or 'pre'")
        init, projection_init, dtype = normal(c.init_std), normal(c.projection_init_std), jnp.dtype(c.dtype)
        self.embeddings = AdaptiveEmbeddings(c.clusters(), c.d_model, init, projection_init, dtype)
        self.decoder = RecurrentStack(c)
        self.tokens_by_cluster = AdaptiveTokenHead(
            c.clusters(), c.d_model, c.tie_projections, init, projection_init, dtype, name="token_head"
        )
        self.state_dropout = Dropout(c.dropout)

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_BLD: Any = self.decode(jnp.zeros((1, 1), jnp.int32))
        if "token" in self.config.heads:
            self.token_head(x_BLD)

    def decode(
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """Decodes as GPT does. Distances are between array indices, so positions are not read; a cache holds the
        whole past, a memory its last states alone."""
        length, reach = tokens_BL.shape[1], self.config.memory_length if self.config.same_length else 0
        if cache is None:
            mask = Mask.within(segments_BL, causal=True)
            x_BLD, _, _ = self._run(tokens_BL, None, None, mask.materialize(length, length), None, reach)
            return x_BLD
        cache, mask = append_segments(cache, jnp.ones_like(tokens_BL) if segments_BL is None else segments_BL)
        seen = mask.materialize(length, cache["segments"].shape[1])
        x_BLD, _, own = self._run(tokens_BL, None, layer_cache(cache), seen, mask.query_start, reach)
        return x_BLD, with_keys_values(cache, own)

    def decode_after(
        self,
        tokens_BL: Array,
        memory: Memory,
        keep: int | None = None,
        same_length: bool | None = None,
        clamp: int | None = None,
    ) -> tuple[Array, Memory]:
        """States [B, L, D] of a segment that follows the text of the memory, and the memory for the next.

        Args:
            tokens_BL: token ids, no padding among them.
            memory: from `init_memory`, or of the segment before; one with no place is none.
            keep: states of each layer to remember; None: the config's memory_length.
            same_length: every token sees the last `keep` tokens, itself among them; None: as the config says.
            clamp: distances beyond count as this; None: the config's.
        """
        keep = self.config.memory_length if keep is None else keep
        same_length = self.config.same_length if same_length is None else same_length
        (batch, length), before = tokens_BL.shape, memory.filled.shape[1]
        seen = jnp.broadcast_to(Mask(causal=True).materialize(length, length), (batch, 1, length, length))
        remembered = jnp.broadcast_to(memory.filled[:, None, None], (batch, 1, length, before))
        states = memory.by_layer(self.config.dtype) if before else None
        seen = jnp.concatenate([remembered, seen], axis=-1)
        x_BLD, read_NBLD, _ = self._run(
            tokens_BL, states, None, seen, None, reach=keep if same_length else 0, clamp=clamp
        )
        return x_BLD, memory.and_then(read_NBLD, keep)

    def _run(
        self,
        tokens_BL: Array,
        memory_NBSD: Array | None,
        cache: LayerCache | None,
        seen: Array,
        query_start: Array | None,
        reach: int,
        clamp: int | None = None,
    ) -> tuple[Array, Array, KeysValues | None]:
        """Runs the stack; where `reach` is over 0, keys as far or farther than that are not seen."""
        c = self.config
        queries, keys = seen.shape[-2:]
        if reach:
            start = keys - queries if query_start is None else query_start
            distance_LT = start + jnp.arange(queries)[:, None] - jnp.arange(keys)
            seen = seen & (distance_LT < reach)
        clamp = c.clamp if clamp is None else clamp
        waves_TD = sinusoids(distances(queries, keys, causal=True), c.d_model, clamp).astype(c.dtype)
        context = AttentionContext(self.state_dropout(waves_TD), seen, query_start)
        x_BLD = self.state_dropout(self.embeddings(tokens_BL))
        x_BLD, read_NBLD, own = self.decoder(x_BLD, memory_NBSD, cache, context)
        return self.state_dropout(x_BLD), read_NBLD, own

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        return empty_cache(c.num_layers, batch, length, c.num_heads, c.head_width, jnp.dtype(c.dtype))

    @nn.nowrap
    def init_memory(self, batch: int, length: int) -> Memory:
        """A memory of `length` states with nothing in it; needs no parameters."""
        c = self.config
        return empty_memory(c.num_layers, batch, length, c.d_model, jnp.dtype(c.dtype))

    def token_head(self, x: Array) -> TokenHead | AdaptiveHead:
        """The parts of the scores of states [..., D]."""
        return self.tokens_by_cluster(x, self.embeddings)

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]; log probabilities where the softmax is adaptive."""
        return self.token_head(x).logits()


_BASE = TransformerXLConfig()
_CHARACTERS = replace(
    _BASE, num_layers=12, num_heads=8, head_width=64, d_model=512, d_ff=2048, memory_length=512
)  # enwik8 and text8

# Sizes: the released code's scripts. Vocabulary rows: WikiText-103 267,735, enwik8 204, text8 27.
VARIANTS: dict[str, TransformerXLConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, head_width=16, d_model=32, d_ff=64, memory_length=32),
    "wt103_base": replace(_BASE, cutoffs=(20_000, 40_000, 200_000)),
    "wt103_large": replace(
        _BASE,
        num_layers=18,
        num_heads=16,
        head_width=64,
        d_model=1024,
        d_ff=4096,
        cutoffs=(20_000, 40_000, 200_000),
        embed_divisor=4,
        dropout=0.2,
        attention_dropout=0.2,
        memory_length=384,
    ),
    "enwik8_12l": _CHARACTERS,
    "enwik8_24l": replace(
        _CHARACTERS,
        num_layers=24,
        head_width=128,
        d_model=1024,
        d_ff=3072,
        dropout=0.15,
        attention_dropout=0.15,
        memory_length=768,
    ),
}

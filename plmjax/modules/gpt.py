"""GPT-1 (Radford et al. 2018; post-norm) and GPT-2 (Radford et al. 2019; pre-norm); what other decoders are made of.

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.attention import Attention, width_of_head
from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.facts import num_labels_of
from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import Dense, Dropout, Embed, Initializer, LayerNorm, normal
from plmjax.modules.masks import Mask
from plmjax.modules.positions import LearnedPositions
from plmjax.modules.transformer import MLP, Block, BlockInputs, PostNorm, PreNorm, Stack

HEADS = ("token", "sequence_classification")


@dataclass(slots=True, unsafe_hash=True)
class GPTConfig:
    """The sizes of a GPT; the defaults are GPT-2 small's (Radford et al. 2019, Table 2; released code)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    max_positions: int = 1024
    num_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    norm: str = "pre"  # "pre" (GPT-2: with a norm after the last layer) or "post" (GPT-1)
    activation: str = "gelu_tanh"
    norm_eps: float = 1e-5
    dropout: float = 0.1  # on the embeddings and every layer's output
    attention_dropout: float = 0.1  # on the attention weights
    init_std: float = 0.02
    position_init_std: float = 0.01  # GPT-1: 0.02
    residual_init_scale: float = 0.0  # of what writes to the residual stream; 0: (2 * num_layers) ** -0.5; GPT-1: 1
    # Whether layer i divides its attention's logits by i + 1, from 0 on (Mistral's GPT-2, Karamcheti et al. 2021;
    # transformers, modeling_gpt2.py, `scale_attn_by_inverse_layer_idx`).
    scale_attn_by_inverse_layer_idx: bool = False
    heads: tuple[str, ...] = ("token",)  # "token", which is always there, and "sequence_classification"
    num_labels: int = 2  # of the head "sequence_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class GPTEmbeddings(nn.Module):
    """Tokens + positions."""

    config: GPTConfig

    def setup(self) -> None:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        self.tokens = Embed(c.vocab_size, c.d_model, normal(c.init_std), dtype)
        self.positions = LearnedPositions(c.max_positions, c.d_model, normal(c.position_init_std), dtype=dtype)
        self.dropout = Dropout(c.dropout)

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        return self.dropout(self.tokens(tokens_BL) + self.positions(positions_BL, tokens_BL.shape[1]))

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class GPT(nn.Module):
    """A decoder with a tied head. Families that differ in a part override the method that makes it."""

    config: GPTConfig
    kind: ClassVar[str] = "decoder"
    is_prefix_lm: ClassVar[bool] = False  # whether objectives and generation give it their inputs as a prefix

    def setup(self) -> None:
        c = self.config
        if c.norm not in ("pre", "post"):
            raise ValueError(f"norm {c.norm!r} is not known; use 'pre' (GPT-2) or 'post' (GPT-1)")
        make_norm = partial(LayerNorm, c.norm_eps, jnp.dtype(c.dtype))
        make_block = partial(
            Block,
            wiring=PreNorm if c.norm == "pre" else PostNorm,
            make_attention=self.make_attention(),
            make_mlp=self.make_mlp(),
            make_norm=make_norm,
            dropout=c.dropout,
        )
        self.embeddings = self.make_embeddings()
        self.decoder = self.make_stack(make_block, make_norm if c.norm == "pre" else None)
        self.setup_heads()

    def known_heads(self) -> tuple[str, ...]:
        """Those that the family can have: a decoder of another family may have a config without labels."""
        return HEADS if num_labels_of(self.config) is not None else HEADS[:1]

    def setup_heads(self) -> None:
        """Makes the head of fine-tuning, where the config names it."""
        c = self.config
        if unknown := set(c.heads) - set(HEADS):
            raise ValueError(f"head {sorted(unknown)[0]!r} is not known; use some of {', '.join(HEADS)}")
        if self.classifies:
            self.class_dropout = Dropout(c.dropout)
            self.class_head = Dense(c.num_labels, use_bias=False, kernel_init=normal(c.init_std))

    @property
    def classifies(self) -> bool:
        """Whether there is a class head; a decoder of another family may have a config without `heads`."""
        return "sequence_classification" in getattr(self.config, "heads", ())

    @property
    def residual_init(self) -> Initializer:
        """The initialiser of the kernels that write to the residual stream."""
        c = self.config
        return normal(c.init_std * (c.residual_init_scale or (2 * c.num_layers) ** -0.5))

    @nn.nowrap
    def make_embeddings(self) -> nn.Module:
        """Called with (tokens, positions or None), and has `table()`."""
        return GPTEmbeddings(self.config)

    @nn.nowrap
    def make_attention(self) -> Callable[..., Attention]:
        """A layer's attention."""
        c = self.config
        width = width_of_head(c.d_model, c.num_heads)
        init = normal(c.init_std)
        return partial(
            Attention,
            c.num_heads,
            width,
            c.d_model,
            scale=width**-0.5,
            dropout=c.attention_dropout,
            query_init=init,
            kernel_init=init,
            out_init=self.residual_init,
            dtype=jnp.dtype(c.dtype),
        )

    @nn.nowrap
    def make_mlp(self) -> Callable[..., MLP]:
        """A layer's feed-forward half."""
        c = self.config
        init = normal(c.init_std)
        return partial(
            MLP,
            c.d_model,
            c.d_ff,
            c.activation,
            up_init=init,
            down_init=self.residual_init,
            dtype=jnp.dtype(c.dtype),
            adapter_width=c.adapter_width,
        )

    @nn.nowrap
    def make_stack(
        self, make_block: Callable[..., Block], make_final_norm: Callable[..., nn.Module] | None
    ) -> nn.Module:
        """The layers."""
        c = self.config
        inverse = getattr(c, "scale_attn_by_inverse_layer_idx", False)  # decoders of other families have no such field
        return Stack(c.num_layers, make_block, make_final_norm, c.remat, c.unroll, inverse)

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_BLD: Any = self.decode(jnp.zeros((1, 1), jnp.int32))
        self.token_head(x_BLD)
        if self.classifies:
            self.class_logits(x_BLD)

    def decode(
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
        prefix_BL: Array | None = None,
    ) -> Array | tuple[Array, Cache]:
        """States [B, L, D] in `dtype` of int32 [B, L] inputs; with a cache also the cache, these tokens appended.

        Args:
            tokens_BL: token ids. A token sees itself and what precedes it in its segment, in the cache too.
            positions_BL: None means 0, 1, ..., from the cache's index on.
            segments_BL: 0 is padding; None means all ones.
            cache: see cache.py; `init_cache` makes an empty one.
            prefix_BL: bool, tokens that every token of their segment sees, those before them too; None: none. With a
                cache a prefix must come in one call, for what is in the cache has been read.
        """
        if cache is None:
            x_BLD = self.embeddings(tokens_BL, positions_BL)
            x_BLD, _ = self.decoder(x_BLD, BlockInputs(Mask.within(segments_BL, causal=True, prefix_BL=prefix_BL)))
            return x_BLD
        if positions_BL is None:
            index_L = cache["index"] + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)
            positions_BL = jnp.broadcast_to(index_L[None], tokens_BL.shape)
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        cache, mask = append_segments(cache, segments_BL)
        if prefix_BL is not None:
            prefix_BT = jnp.zeros_like(mask.key_segments, jnp.bool_)
            prefix_BT = lax.dynamic_update_slice_in_dim(prefix_BT, prefix_BL, mask.query_start, axis=1)
            mask = replace(mask, prefix=prefix_BT)
        x_BLD = self.embeddings(tokens_BL, positions_BL)
        x_BLD, own = self.decoder(x_BLD, BlockInputs(mask), layer_cache(cache))
        return x_BLD, with_keys_values(cache, own)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        head_width = width_of_head(c.d_model, c.num_heads)
        return empty_cache(c.num_layers, batch, length, c.num_heads, head_width, jnp.dtype(c.dtype))

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return TokenHead(x, self.embeddings.table(), None)

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()

    def class_logits(self, x_BLD: Array) -> Array:
        """float32 [B, C] of the last token's state (Radford et al. 2018, Sec. 3.2: a linear map without a bias)."""
        if not self.classifies:
            raise ValueError("this network was built without a class head; add it to the config's heads")
        return self.class_head(self.class_dropout(x_BLD[:, -1])).astype(jnp.float32)


_SMALL = GPTConfig()

# Vocabulary rows of the released models: GPT-1 40,478; GPT-2 50,257.
VARIANTS: dict[str, GPTConfig] = {
    "tiny": replace(_SMALL, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "mini": replace(_SMALL, num_layers=4, num_heads=4, d_model=256, d_ff=1024, max_positions=512),
    "gpt1_tiny": replace(
        _SMALL,
        num_layers=2,
        num_heads=2,
        d_model=32,
        d_ff=64,
        max_positions=64,
        norm="post",
        position_init_std=0.02,
        residual_init_scale=1.0,
    ),
    # Radford et al. 2018, Sec. 4.1: 117M
    "gpt1": replace(_SMALL, max_positions=512, norm="post", position_init_std=0.02, residual_init_scale=1.0),
    # Radford et al. 2019, Table 2, with the counts as the released code's README corrects them
    "gpt2_small": _SMALL,  # 124M
    "gpt2_medium": replace(_SMALL, num_layers=24, num_heads=16, d_model=1024, d_ff=4096),  # 355M
    "gpt2_large": replace(_SMALL, num_layers=36, num_heads=20, d_model=1280, d_ff=5120),  # 774M
    "gpt2_xl": replace(_SMALL, num_layers=48, num_heads=25, d_model=1600, d_ff=6400),  # 1.5B
}

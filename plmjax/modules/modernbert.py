"""ModernBERT (Warner et al. 2024): rotary positions, pre-norm, GeGLU, no biases, global and local layers in turn.

Legend: B batch, L length, D model width, K head width, V vocabulary rows, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import Attention, width_of_head
from plmjax.modules.cycled_stack import CycledStack, Pattern
from plmjax.modules.encoder import Encoder
from plmjax.modules.heads import TransformTokenHead
from plmjax.modules.layers import Dense, Dropout, Embed, Initializer, LayerNorm, activation, truncated_normal
from plmjax.modules.masks import Mask
from plmjax.modules.positions import Rotary
from plmjax.modules.transformer import Block, BlockInputs, GatedMLP, PreNorm


@dataclass(slots=True, unsafe_hash=True)
class ModernBertConfig:
    """The sizes of a ModernBERT; the defaults are base's (Warner et al. 2024, Table 4; released configuration)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    max_positions: int = 8192  # the longest text; rotary positions have no table
    num_layers: int = 22
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 1152
    global_every: int = 3  # layers 0, 3, 6, ... see the whole text, the others `local_attention` tokens
    local_attention: int = 128  # a local layer's window, half of it on either side of the token
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    activation: str = "gelu"
    norm_eps: float = 1e-5
    dropout: float = 0.0  # on the embeddings and the feed-forward layers' hidden units
    attention_dropout: float = 0.0  # on the attention weights
    attention_out_dropout: float = 0.1  # on what the attention gives
    classifier_dropout: float = 0.0  # before the last map of the heads of fine-tuning
    pooling: str = "cls"  # what a text's class is read from: "cls", its first token, or "mean", all of them
    init_std: float = 0.02
    heads: tuple[str, ...] = ("token",)  # see modules/encoder.py
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class ModernBertEmbeddings(nn.Module):
    """Tokens, normalised: `tokens`, `norm`."""

    config: ModernBertConfig

    def setup(self) -> None:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        self.tokens = Embed(c.vocab_size, c.d_model, truncated_normal(c.init_std), dtype)
        self.norm = LayerNorm(c.norm_eps, dtype, use_bias=False)
        self.dropout = Dropout(c.dropout)

    def __call__(self, tokens_BL: Array) -> Array:
        return self.dropout(self.norm(self.tokens(tokens_BL)))

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class TransformClassifier(nn.Module):
    """Scores of states: `dense`, activation, `norm`, dropout, `out`; all but `out` without a bias."""

    classes: int
    config: ModernBertConfig
    dense_init: Initializer
    out_init: Initializer

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., C]."""
        c = self.config
        dtype = jnp.dtype(c.dtype)
        h = Dense(c.d_model, use_bias=False, kernel_init=self.dense_init, dtype=dtype, name="dense")(x)
        h = LayerNorm(c.norm_eps, dtype, use_bias=False, name="norm")(activation(c.activation)(h))
        return Dense(self.classes, kernel_init=self.out_init, name="out")(Dropout(c.classifier_dropout)(h))


class ModernBert(Encoder):
    """An encoder with the heads that its config names. It has no token types: what it is given of them is not read."""

    config: ModernBertConfig

    def setup(self) -> None:
        c = self.config
        if c.pooling not in ("cls", "mean"):
            raise ValueError(f"pooling {c.pooling!r} is not known; use 'cls' or 'mean'")
        dtype, width = jnp.dtype(c.dtype), width_of_head(c.d_model, c.num_heads)
        init: dict[str, Any] = {"use_bias": False, "dtype": dtype}
        make_norm = partial(LayerNorm, c.norm_eps, dtype, use_bias=False)
        inner, residual = truncated_normal(c.init_std), self.residual_init
        make_attention = partial(
            Attention,
            *(c.num_heads, width, c.d_model, width**-0.5, c.attention_dropout),
            out_dropout=c.attention_out_dropout,
            query_init=inner,
            kernel_init=inner,
            out_init=residual,
            **init,
        )
        make_block: Callable[..., Block] = partial(
            Block,
            wiring=PreNorm,
            make_attention=make_attention,
            make_mlp=partial(
                GatedMLP, c.d_model, c.d_ff, c.activation, c.dropout, up_init=inner, down_init=residual, **init
            ),
            make_norm=make_norm,
        )
        self.embeddings = ModernBertEmbeddings(c)
        self.encoder = CycledStack(
            c.num_layers,
            make_block,
            self._pattern(width),
            make_norm,
            partial(make_block, norm_before_attention=False),  # its states come normalised from the embeddings
            remat=c.remat,
            unroll=c.unroll,
        )
        self.setup_heads()

    @nn.nowrap
    def _pattern(self, head_width: int) -> Pattern:
        """A global layer and `global_every` - 1 local ones, each kind with its own rotary base.

        The stack's inputs hold the angles of both kinds, the global ones first.
        """
        c = self.config

        def whole(inputs: BlockInputs) -> BlockInputs:
            return inputs._replace(rotary=inputs.rotary[0])

        def local(inputs: BlockInputs) -> BlockInputs:
            mask = replace(inputs.mask, band=c.local_attention // 2 + 1)
            return inputs._replace(mask=mask, rotary=inputs.rotary[1])

        return (whole,) + (local,) * (c.global_every - 1)

    @property
    def residual_init(self) -> Initializer:
        """The initialiser of the kernels that write to the residual stream."""
        return truncated_normal(self.config.init_std * (2 * self.config.num_layers) ** -0.5)

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """Encodes as Encoder says. Local windows count array indices; the rotary angles follow `positions_BL`."""
        c = self.config
        if positions_BL is None:
            positions_BL = jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)[None]
        width = width_of_head(c.d_model, c.num_heads)
        rotaries = tuple(Rotary.at(positions_BL, width, theta) for theta in (c.global_rope_theta, c.local_rope_theta))
        x_BLD, _ = self.encoder(self.embeddings(tokens_BL), BlockInputs(Mask.within(segments_BL), rotary=rotaries))
        return x_BLD

    def make_token_head(self) -> nn.Module:
        """ModernBERT's head before the tied table."""
        c = self.config
        init, dtype = self.residual_init, jnp.dtype(c.dtype)
        return TransformTokenHead(
            *(c.vocab_size, c.d_model, c.activation, c.norm_eps, init, dtype), use_bias=False, name="token_head"
        )

    def _make_classifier(self, classes: int) -> nn.Module:
        out_init = truncated_normal(self.config.d_model**-0.5)
        return TransformClassifier(classes, self.config, self.residual_init, out_init)

    def make_class_head(self) -> nn.Module:
        """[B, 1, D] of what `summary` gives, or a text's states, to [B, C]."""
        return self._make_classifier(self.config.num_labels)

    def make_tag_head(self) -> nn.Module:
        """[B, L, D] to [B, L, C]."""
        return self._make_classifier(self.config.num_labels)

    def make_answer_head(self) -> nn.Module:
        """[B, L, D] to [B, L, 2]."""
        return self._make_classifier(2)

    @property
    def head_dropout_rate(self) -> float:
        """The heads have their own dropout, before their last map."""
        return 0.0

    def summary(self, x_BLD: Array, segments_BL: Array | None = None) -> Array:
        """[B, 1, D], what a text's class is read from: the first token's state, or the mean over the real tokens."""
        if self.config.pooling == "cls":
            return x_BLD[:, :1]
        if segments_BL is None:
            segments_BL = jnp.ones(x_BLD.shape[:2], jnp.int32)
        real_BL1 = (segments_BL > 0).astype(jnp.float32)[..., None]
        count_B11 = jnp.maximum(jnp.sum(real_BL1, axis=1, keepdims=True), 1.0)
        return (jnp.sum(x_BLD * real_BL1, axis=1, keepdims=True) / count_B11).astype(x_BLD.dtype)

    def class_logits(self, x_BLD: Array) -> Array:
        """float32 [B, C] of `summary`'s state, the first of x_BLD."""
        self.require_head("sequence_classification")
        return self.class_head(x_BLD[:, 0]).astype(jnp.float32)


_BASE = ModernBertConfig()
_TINY: dict[str, Any] = {"num_heads": 2, "d_model": 32, "d_ff": 48, "max_positions": 64, "local_attention": 8}

# Vocabulary rows of the released models: 50,368.
VARIANTS: dict[str, ModernBertConfig] = {
    "tiny": replace(_BASE, num_layers=3, **_TINY),
    "mini": replace(_BASE, num_layers=6, num_heads=4, d_model=256, d_ff=384, max_positions=512, local_attention=64),
    # Warner et al. 2024, Table 4
    "base": _BASE,  # 149M
    "large": replace(_BASE, num_layers=28, num_heads=16, d_model=1024, d_ff=2624),  # 395M
}

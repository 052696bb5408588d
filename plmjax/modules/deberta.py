"""DeBERTa 1, 2 and 3 (He et al. 2021 and 2023): disentangled attention, and absolute positions at the very end.

Legend: B batch, L length, R rows of the relative table, D model width, E embedding width, N layers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.errors import UserError
from plmjax.modules.attention import backend, width_of_head
from plmjax.modules.deberta_convolution import DebertaConvolution
from plmjax.modules.disentangled import DisentangledAttention, DisentangledBlock
from plmjax.modules.encoder import Encoder, EncoderOutput
from plmjax.modules.heads import ClassHead, DebertaDetectionHead
from plmjax.modules.layers import Dense, Dropout, Embed, Initializer, LayerNorm, normal
from plmjax.modules.masks import Mask
from plmjax.modules.positions import LearnedPositions
from plmjax.modules.transformer import BlockInputs, post_norm_block

DETECTION_HEADS = ("context", "transform")


@dataclass(slots=True, unsafe_hash=True)
class DebertaConfig:
    """The sizes of a DeBERTa; the defaults are the base model's of version 1 (paper, Table 9)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    max_positions: int = 512
    num_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    embedding_width: int = 0  # 0: d_model
    token_type_vocab: int = 0
    absolute_input: bool = False  # positions are added to the input, as BERT's
    position_terms: tuple[str, ...] = ("c2p", "p2c")  # of the scores, beside content to content
    p2c_distance: str = "query_to_key"  # of the row in p2c: i - j, as in the code; "key_to_query" j - i (paper, Eq. 4)
    relative_span: int = 512  # largest distance told apart
    buckets: int = 0  # logarithmic buckets of distances to either side; 0: one row a distance
    share_key: bool = False  # position terms project with the content's query and key (versions 2 and 3)
    key_bias: bool = False  # versions 2 and 3
    relative_norm: bool = False  # the relative table is normalised (versions 2 and 3)
    convolution: int = 0  # width of the convolution beside the first layer (version 2), 0: none
    convolution_activation: str = "tanh"
    enhanced_mask_decoder: bool = True  # masked tokens are read from passes that know absolute positions
    enhanced_mask_decoder_layers: int = 2  # of these passes, each the last layer again (paper and code: n = 2)
    activation: str = "gelu"
    norm_eps: float = 1e-7
    dropout: float = 0.1  # on embeddings, the relative table and every layer's output
    attention_dropout: float = 0.1  # on the attention weights
    init_std: float = 0.02
    heads: tuple[str, ...] = ("token",)  # see modules/encoder.py
    detection_head: str = "context"  # of version 3's discriminator: a form of DebertaDetectionHead
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class DebertaEmbeddings(nn.Module):
    """Tokens, token types and, where asked for, positions; mapped to d_model, normalised, zero at padding."""

    config: DebertaConfig

    def setup(self) -> None:
        c = self.config
        init, dtype, width = normal(c.init_std), jnp.dtype(c.dtype), c.embedding_width or c.d_model
        self.tokens = Embed(c.vocab_size, width, init, dtype)
        # Read by the input or by the enhanced mask decoder.
        if c.absolute_input or c.enhanced_mask_decoder:
            self.positions = LearnedPositions(c.max_positions, width, init, dtype=dtype)
        if c.token_type_vocab:
            self.token_types = Embed(c.token_type_vocab, width, init, dtype)
        if width != c.d_model:
            self.projection = Dense(c.d_model, use_bias=False, kernel_init=init, dtype=dtype)
        self.norm = LayerNorm(c.norm_eps, dtype)
        self.dropout = Dropout(c.dropout)

    def __call__(
        self, tokens_BL: Array, token_types_BL: Array | None, positions_BL: Array | None, segments_BL: Array | None
    ) -> Array:
        c = self.config
        x_BLE = self.tokens(tokens_BL)
        if c.absolute_input:
            x_BLE = x_BLE + self.positions(positions_BL, tokens_BL.shape[1])
        if c.token_type_vocab:
            x_BLE = x_BLE + self.token_types(jnp.zeros_like(tokens_BL) if token_types_BL is None else token_types_BL)
        x_BLD = self.norm(self.mapped(x_BLE))
        if segments_BL is not None:
            x_BLD = jnp.where(segments_BL[..., None] > 0, x_BLD, 0)
        return self.dropout(x_BLD)

    def mapped(self, x: Array) -> Array:
        """[..., E] to [..., D]."""
        c = self.config
        return self.projection(x) if c.embedding_width not in (0, c.d_model) else x

    def absolute(self, positions_BL: Array | None, length: int) -> Array:
        """[B or 1, L, D]: what the enhanced mask decoder adds."""
        return self.mapped(self.positions(positions_BL, length))

    def table(self) -> Array:
        """The token table [V, E]."""
        return self.tokens.table()


class DebertaStack(nn.Module):
    """The layers under `layers/...` [N, ...], the relative table, its norm, and the convolution."""

    config: DebertaConfig
    make_block: Callable[..., DisentangledBlock]

    @nn.compact
    def __call__(
        self, x_BLD: Array, segments_BL: Array | None, absolute_BLD: Array | None
    ) -> tuple[Array, Array | None]:
        """The last states [B, L, D], and those of the enhanced mask decoder where `absolute_BLD` is given.

        The decoder runs the last layer again, `enhanced_mask_decoder_layers` times. Keys and values are always the
        states under that layer; the first pass asks from these with absolute positions added, each later one from what
        the pass before gave (paper, Sec. 3.2: n = 2; microsoft/DeBERTa, apps/models/masked_language_model.py:59-72).
        """
        c = self.config
        init, dtype = normal(c.init_std), jnp.dtype(c.dtype)
        table_RD = Embed(2 * (c.buckets or c.relative_span), c.d_model, init, dtype, name="relative").table()
        table_RD = table_RD.astype(dtype)
        if c.relative_norm:
            table_RD = LayerNorm(c.norm_eps, dtype, name="relative_norm")(table_RD)
        inputs = BlockInputs(Mask.within(segments_BL), table_RD)
        block = self.make_block(parent=None)
        layers = self.param("layers", self._init, block, x_BLD[:1, :1], table_RD)
        key = self.make_rng("dropout") if self.has_rng("dropout") else None

        def run(params: Any, number: Any, query_BLD: Array, content_BLD: Array) -> Any:
            rngs = None if key is None else {"dropout": jax.random.fold_in(key, number)}
            return block.apply(
                {"params": params}, query_BLD, content_BLD, inputs, rngs=rngs, method=DisentangledBlock.attend
            )

        unroll = backend() == "cpu" if c.unroll is None else c.unroll
        layer = jax.checkpoint(run, prevent_cse=unroll) if c.remat else run
        before_BLD, embedded_BLD = x_BLD, x_BLD
        x_BLD = layer(jax.tree.map(lambda leaf: leaf[0], layers), 0, x_BLD, x_BLD)
        if c.convolution:
            convolution = DebertaConvolution(
                c.convolution, c.convolution_activation, c.norm_eps, c.dropout, init, dtype, name="convolution"
            )
            x_BLD = convolution(embedded_BLD, x_BLD, segments_BL)

        def step(carry: tuple[Array, Array], one: tuple[Any, Array]) -> tuple[tuple[Array, Array], None]:
            x_BLD, _ = carry
            return (layer(*one, x_BLD, x_BLD), x_BLD), None

        rest = jax.tree.map(lambda leaf: leaf[1:], layers)
        numbers = jnp.arange(1, c.num_layers)
        (x_BLD, before_BLD), _ = lax.scan(
            step, (x_BLD, before_BLD), (rest, numbers), unroll=max(1, c.num_layers - 1) if unroll else 1
        )
        if absolute_BLD is None:
            return x_BLD, None
        last = jax.tree.map(lambda leaf: leaf[-1], layers)
        query_BLD = before_BLD + absolute_BLD
        for number in range(c.enhanced_mask_decoder_layers):
            query_BLD = layer(last, c.num_layers + number, query_BLD, before_BLD)
        return x_BLD, query_BLD

    def _init(self, key: Array, block: DisentangledBlock, x_11D: Array, table_RD: Array) -> dict[str, Any]:
        return jax.vmap(lambda key: block.init(key, x_11D, BlockInputs(Mask(), table_RD))["params"])(
            jax.random.split(key, self.config.num_layers)
        )


class Deberta(Encoder):
    """An encoder with the heads that its config names."""

    config: DebertaConfig

    def setup(self) -> None:
        c = self.config
        if c.enhanced_mask_decoder and c.enhanced_mask_decoder_layers < 1:
            raise UserError(
                f"model.enhanced_mask_decoder_layers is {c.enhanced_mask_decoder_layers}; give at least 1, or set "
                "model.enhanced_mask_decoder to False."
            )
        if c.p2c_distance not in ("query_to_key", "key_to_query"):
            raise UserError(f"model.p2c_distance is {c.p2c_distance!r}; it must be 'query_to_key' or 'key_to_query'.")
        init = normal(c.init_std)
        self.embeddings = DebertaEmbeddings(c)
        make_attention = partial(
            DisentangledAttention,
            c.num_heads,
            width_of_head(c.d_model, c.num_heads),
            c.d_model,
            c.position_terms,
            c.relative_span,
            c.buckets,
            c.share_key,
            c.key_bias,
            c.attention_dropout,
            kernel_init=init,
            p2c_distance=c.p2c_distance,
            table_dropout=c.dropout,
            dtype=jnp.dtype(c.dtype),
        )
        make_block = post_norm_block(c, init, DisentangledBlock, make_attention)
        self.encoder = DebertaStack(c, make_block)
        self.setup_heads()

    @property
    def embedding_width(self) -> int:
        """E."""
        return self.config.embedding_width or self.config.d_model

    @property
    def head_init(self) -> Initializer:
        """Normal, as released."""
        return normal(self.config.init_std)

    def make_detection_head(self) -> nn.Module:
        """See DebertaDetectionHead."""
        c = self.config
        if c.detection_head not in DETECTION_HEADS:
            raise UserError(
                f"model.detection_head is {c.detection_head!r}; it must be one of {', '.join(DETECTION_HEADS)}."
            )
        dtype = jnp.dtype(c.dtype)
        return DebertaDetectionHead(c.d_model, c.activation, c.norm_eps, self.head_init, c.detection_head, dtype)

    def make_class_head(self) -> nn.Module:
        """The first token through `dense`, GELU, `out`, as released."""
        c = self.config
        return ClassHead(c.d_model, c.num_labels, "gelu", self.head_init, jnp.dtype(c.dtype), self.head_dropout_rate)

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """Encodes as Encoder says; positions are read only where the input has absolute ones.

        Distances are between array indices.
        """
        x_BLD = self.embeddings(tokens_BL, token_types_BL, positions_BL, segments_BL)
        return self.encoder(x_BLD, segments_BL, None)[0]

    def encode_for_tokens(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> EncoderOutput:
        """`encode`; the token head reads the enhanced mask decoder's states where there is one."""
        x_BLD = self.embeddings(tokens_BL, token_types_BL, positions_BL, segments_BL)
        if not self.config.enhanced_mask_decoder:
            x_BLD, _ = self.encoder(x_BLD, segments_BL, None)
            return EncoderOutput(x_BLD, x_BLD)
        absolute_BLD = self.embeddings.absolute(positions_BL, tokens_BL.shape[1])
        return EncoderOutput(*self.encoder(x_BLD, segments_BL, absolute_BLD))


_BASE = DebertaConfig()
_LARGE = replace(_BASE, num_layers=24, num_heads=16, d_model=1024, d_ff=4096)
_LATER: dict[str, Any] = {"buckets": 256, "share_key": True, "key_bias": True, "relative_norm": True}
_V3: dict[str, Any] = _LATER | {"enhanced_mask_decoder": False}  # of discriminators, which predict no tokens
_XLARGE = replace(_LARGE, num_layers=24, num_heads=24, d_model=1536, d_ff=6144, convolution=3, **_LATER)

# Vocabularies: version 1 50,265 pieces (GPT-2's), later ones 128,100.
VARIANTS: dict[str, DebertaConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64, relative_span=64),
    "base": _BASE,  # He et al. 2021, Table 9
    "large": _LARGE,
    "v2_xlarge": _XLARGE,  # README of the released code: 900M
    "v2_xxlarge": replace(_XLARGE, num_layers=48),  # 1.5B
    # He et al. 2023, Table 7: parameters of the layers and of the embeddings.
    "v3_xsmall": replace(_BASE, num_heads=6, d_model=384, d_ff=1536, **_V3),  # 22M + 48M
    "v3_small": replace(_BASE, num_layers=6, **_V3),  # 44M + 98M
    "v3_base": replace(_BASE, **_V3),  # 86M + 98M
    "v3_large": replace(_LARGE, **_V3),  # 304M + 131M
}

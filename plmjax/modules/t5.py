"""T5 1.0 and 1.1 (Raffel et al. 2020; the facts of 1.1 from the released configurations), mT5 and UMT5.

mT5 (Xue et al. 2021) is 1.1; UMT5 (Chung et al. 2023) gives each layer its own relative biases (transformers,
modeling_umt5.py, `UMT5Attention`).

Legend: B batch, L length, S memory length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import Attention, KeysValues
from plmjax.modules.encoder_decoder import EncoderDecoder
from plmjax.modules.heads import TokenHead, UntiedTokenHead
from plmjax.modules.layers import Dropout, Embed, RMSNorm, fan_in_truncated_normal, normal
from plmjax.modules.positions import RelativeBias
from plmjax.modules.transformer import (
    MLP,
    Block,
    BlockInputs,
    CrossBlock,
    GatedMLP,
    LayerCache,
    PreNorm,
    run_blocks,
    run_layers,
)


@dataclass(slots=True, unsafe_hash=True)
class T5Config:
    """The sizes of a T5; the defaults are T5 1.0 base's (Raffel et al. 2020, Sec. 3.1.1)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 12  # of the encoder
    num_decoder_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_kv: int = 64  # width of a head; num_heads * d_kv need not be d_model
    d_ff: int = 3072
    gated: bool = False  # 1.1: the feed-forward layer is gated
    activation: str = "relu"  # 1.1: "gelu_tanh"
    tied: bool = True  # the head is the token table; 1.1: False
    relative_buckets: int = 32
    relative_max_distance: int = 128
    relative_bias_per_layer: bool = False  # UMT5: each layer has a table of its own, else a stack has one
    norm_eps: float = 1e-6
    dropout: float = 0.1  # on embeddings, attention weights, hidden units and outputs; 1.1 pre-trains with 0
    heads: tuple[str, ...] = ("token",)  # see modules/encoder_decoder.py
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


# T5 draws one dropout mask for all positions of a sequence; [B, L, D] and [B, H, L, T] both keep queries here.
_LENGTH_AXIS = -2


class T5Stack(nn.Module):
    """Blocks with one table of relative biases: `layers/...`, `relative_bias/embedding`, `final_norm/scale`."""

    config: Any  # a T5Config, or one with the same fields of a layer
    depth: int
    block: type[Block]
    causal: bool

    def setup(self) -> None:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        attention = partial(
            Attention,
            c.num_heads,
            c.d_kv,
            c.d_model,
            1.0,
            c.dropout,
            _LENGTH_AXIS,
            use_bias=False,
            query_init=normal((c.d_model * c.d_kv) ** -0.5),
            kernel_init=normal(c.d_model**-0.5),
            out_init=normal((c.num_heads * c.d_kv) ** -0.5),
            dtype=dtype,
        )
        mlp = partial(
            GatedMLP if c.gated else MLP,
            c.d_model,
            c.d_ff,
            c.activation,
            c.dropout,
            _LENGTH_AXIS,
            use_bias=False,
            up_init=fan_in_truncated_normal(),
            down_init=fan_in_truncated_normal(),
            dtype=dtype,
            adapter_width=c.adapter_width,
        )
        norm = partial(RMSNorm, c.norm_eps, dtype)
        self.layers = self.block(PreNorm, attention, mlp, norm, c.dropout, _LENGTH_AXIS)
        self.relative_bias = RelativeBias(
            c.num_heads,
            c.relative_buckets,
            c.relative_max_distance,
            not self.causal,
            normal(c.d_model**-0.5),
            layers=self.depth if self.bias_per_layer else 0,
        )
        self.final_norm = norm()
        self.dropout = Dropout(c.dropout, _LENGTH_AXIS)

    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and when a cache is given, its `own` with these tokens written."""
        length = x_BLD.shape[1]
        keys = length if cache is None else cache.own.key.shape[-1]
        start = 0 if cache is None else inputs.mask.query_start
        bias, of_layers = self.relative_bias(length, keys, start), None
        if self.bias_per_layer:
            bias, of_layers = None, {"bias": bias}
        inputs = inputs._replace(bias=bias)
        x_BLD, own = run_blocks(self.layers, self.dropout(x_BLD), inputs, cache, of_layers, **self._sizes)
        return self.dropout(self.final_norm(x_BLD)), own

    def memory_keys_values(self, memory_BSD: Array) -> KeysValues:
        """The keys and values of the memory for every layer's cross-attention, [N, B, S, H, K]."""
        read = lambda block, x, _: (x, block.memory_keys_values(memory_BSD))  # noqa: E731
        return run_layers(read, self.layers, memory_BSD, None, **self._sizes)[1]

    @property
    def bias_per_layer(self) -> bool:
        """Whether each layer has relative biases of its own; a config of another family may not know the field."""
        return getattr(self.config, "relative_bias_per_layer", False)

    @property
    def _sizes(self) -> dict[str, Any]:
        return {"num_layers": self.depth, "remat": self.config.remat, "unroll": self.config.unroll}


class T5(EncoderDecoder):
    """An encoder-decoder over one token table. Positions are distances between array indices: none is read."""

    config: T5Config
    tags_by_encoder: ClassVar[bool] = True

    def setup(self) -> None:
        c = self.config
        self.embeddings = T5Embeddings(c)
        self.encoder = T5Stack(c, c.num_layers, Block, causal=False)
        self.decoder = T5Stack(c, c.num_decoder_layers, CrossBlock, causal=True)
        if not c.tied and "token" in c.heads:
            self._untied = UntiedTokenHead(c.vocab_size, c.d_model, normal(c.d_model**-0.5), name="token_head")
        self.setup_heads(normal(c.d_model**-0.5))

    def embed_inputs(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """The tokens' rows."""
        return self.embeddings(tokens_BL)

    def embed_targets(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """The tokens' rows."""
        return self.embeddings(tokens_BL)

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """The decoder's layers, heads, and width of a head."""
        return self.config.num_decoder_layers, self.config.num_heads, self.config.d_kv

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]; the tied head scales them by d_model ** -0.5 first."""
        self.require_head("token")
        if not self.config.tied:
            return self._untied(x)
        return TokenHead(x * self.config.d_model**-0.5, self.embeddings.table(), None)


class T5Embeddings(nn.Module):
    """The token table that encoder, decoder and tied head share: `tokens/embedding` [V, D]."""

    config: Any  # as T5Stack's

    def setup(self) -> None:
        c = self.config
        self.tokens = Embed(c.vocab_size, c.d_model, normal(1.0), jnp.dtype(c.dtype))

    def __call__(self, tokens_BL: Array) -> Array:
        return self.tokens(tokens_BL)

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


def _sized(layers: int, heads: int, d_model: int, d_ff: int, d_kv: int = 64, **fields: Any) -> T5Config:
    return T5Config(
        num_layers=layers, num_decoder_layers=layers, num_heads=heads, d_model=d_model, d_ff=d_ff,
        d_kv=d_kv, **fields,
    )  # fmt: skip


_V11: dict[str, Any] = {"gated": True, "activation": "gelu_tanh", "tied": False, "dropout": 0.0}

# Vocabulary rows: 32,100 tokens with the sentinels; the released checkpoints pad to 32,128.
VARIANTS: dict[str, T5Config] = {
    "tiny": _sized(2, 2, 32, 64, d_kv=16),
    "tiny_v1_1": _sized(2, 2, 32, 64, d_kv=16, **_V11),
    "mini": _sized(4, 4, 256, 1024),
    # Raffel et al. 2020, Sec. 3.7
    "small": _sized(6, 8, 512, 2048),  # 60M
    "base": _sized(12, 12, 768, 3072),  # 220M
    "large": _sized(24, 16, 1024, 4096),  # 770M
    "3b": _sized(24, 32, 1024, 16384, d_kv=128),  # 2.8B
    "11b": _sized(24, 128, 1024, 65536, d_kv=128),  # 11B
    # Adiwardana et al. 2020, Sec. 2.3 (Meena), in T5's blocks where theirs are the Evolved Transformer's
    "meena": replace(_sized(1, 32, 2560, 10240, d_kv=80), num_decoder_layers=13),
    # the released configurations of 1.1
    "small_v1_1": _sized(8, 6, 512, 1024, **_V11),
    "base_v1_1": _sized(12, 12, 768, 2048, **_V11),
    "large_v1_1": _sized(24, 16, 1024, 2816, **_V11),
    "xl_v1_1": _sized(24, 32, 2048, 5120, **_V11),
    "xxl_v1_1": _sized(24, 64, 4096, 10240, **_V11),
}

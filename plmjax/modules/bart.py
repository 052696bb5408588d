"""BART (Lewis et al. 2019), mBART (Liu et al. 2020) and Marian's network (Junczys-Dowmunt et al. 2018).

Legend: B batch, L length, S memory length, D model width, V vocabulary rows, N layers, H heads, K head width.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.attention import Attention, KeysValues, width_of_head
from plmjax.modules.encoder_decoder import EncoderDecoder
from plmjax.modules.heads import TiedTokenHead, TokenHead
from plmjax.modules.layers import Dropout, Embed, LayerNorm, normal
from plmjax.modules.positions import LearnedPositions, SinusoidalPositions
from plmjax.modules.transformer import (
    MLP,
    Block,
    BlockInputs,
    CrossBlock,
    LayerCache,
    PostNorm,
    PreNorm,
    Stack,
    run_blocks,
    run_layers,
)

OFFSET = 2  # fairseq's positions begin after those of padding


@dataclass(slots=True, unsafe_hash=True)
class BartConfig:
    """The sizes of a BART; the defaults are BART base's (Lewis et al. 2019, Sec. 2.1)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    max_positions: int = 1024
    num_layers: int = 6  # of the encoder
    num_decoder_layers: int = 6
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    activation: str = "gelu"
    scale_embeddings: bool = False  # multiply tokens by the root of d_model
    norm_eps: float = 1e-5
    dropout: float = 0.1  # on the embeddings and every layer's output
    attention_dropout: float = 0.1  # on the attention weights
    activation_dropout: float = 0.0  # on the hidden units
    init_std: float = 0.02
    heads: tuple[str, ...] = ("token",)  # see modules/encoder_decoder.py
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None
    num_decoder_heads: int | None = None  # None: as many as the encoder's layers have
    decoder_d_ff: int | None = None  # None: the encoder's


@dataclass(slots=True, unsafe_hash=True)
class MBartConfig(BartConfig):
    """The sizes of an mBART; the defaults are the released model's (Liu et al. 2020, Sec. 2.2): 610M."""

    num_layers: int = 12
    num_decoder_layers: int = 12
    num_heads: int = 16
    d_model: int = 1024
    d_ff: int = 4096
    scale_embeddings: bool = True


@dataclass(slots=True, unsafe_hash=True)
class MarianConfig(BartConfig):
    """The sizes of a Marian; the defaults are OPUS-MT's (transformer-base)."""

    max_positions: int = 512
    num_heads: int = 8
    d_model: int = 512
    d_ff: int = 2048
    activation: str = "swish"
    scale_embeddings: bool = True
    attention_dropout: float = 0.0


class Positioned(nn.Module):
    """Tokens and positions, with a `norm` after them: `positions/embedding`, `norm`."""

    config: BartConfig

    def setup(self) -> None:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        self.positions = LearnedPositions(c.max_positions, c.d_model, normal(c.init_std), OFFSET, dtype)
        self.norm = LayerNorm(c.norm_eps, dtype)
        self.dropout = Dropout(c.dropout)

    def __call__(self, x_BLD: Array, positions_BL: Array | None) -> Array:
        return self.dropout(self.norm(x_BLD + self.positions(positions_BL, x_BLD.shape[1])))


class Sinusoidal(nn.Module):
    """Tokens and Marian's positions, all sines before the cosines."""

    config: MarianConfig

    def setup(self) -> None:
        c = self.config
        self.positions = SinusoidalPositions(c.max_positions, c.d_model, halves=True, dtype=jnp.dtype(c.dtype))
        self.dropout = Dropout(c.dropout)

    def __call__(self, x_BLD: Array, positions_BL: Array | None) -> Array:
        return self.dropout(x_BLD + self.positions(positions_BL, x_BLD.shape[1]))


class BartEmbeddings(nn.Module):
    """The token table that encoder, decoder and head share: `tokens/embedding` [V, D]."""

    config: BartConfig

    def setup(self) -> None:
        c = self.config
        self.tokens = Embed(c.vocab_size, c.d_model, normal(c.init_std), jnp.dtype(c.dtype))

    def __call__(self, tokens_BL: Array) -> Array:
        x_BLD = self.tokens(tokens_BL)
        return x_BLD * self.config.d_model**0.5 if self.config.scale_embeddings else x_BLD

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class CrossStack(nn.Module):
    """Blocks that attend to a memory: `layers/...` [N, ...], and a `final_norm` if there is one."""

    num_layers: int
    make_block: Callable[..., CrossBlock]
    make_final_norm: Callable[..., nn.Module] | None = None
    remat: bool = False
    unroll: bool | None = None

    def setup(self) -> None:
        self.layers = self.make_block()
        if self.make_final_norm is not None:
            self.final_norm = self.make_final_norm()

    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and when a cache is given, its `own` with these tokens written."""
        x_BLD, own = run_blocks(self.layers, x_BLD, inputs, cache, **self._sizes)
        return x_BLD if self.make_final_norm is None else self.final_norm(x_BLD), own

    def memory_keys_values(self, memory_BSD: Array) -> KeysValues:
        """The keys and values of the memory for every layer's cross-attention, [N, B, S, H, K]."""
        read = lambda block, x, _: (x, block.memory_keys_values(memory_BSD))  # noqa: E731
        return run_layers(read, self.layers, memory_BSD, None, **self._sizes)[1]

    @property
    def _sizes(self) -> dict[str, Any]:
        return {"num_layers": self.num_layers, "remat": self.remat, "unroll": self.unroll}


class Bart(EncoderDecoder):
    """Post-norm, learned positions, a norm after the embeddings; families that differ override what they differ in."""

    config: BartConfig

    @nn.nowrap
    def block_parts(self, is_decoder: bool = False) -> dict[str, Any]:
        """The arguments of every layer of the encoder, or of the decoder."""
        c = self.config
        dtype, init = jnp.dtype(c.dtype), normal(c.init_std)
        heads = (is_decoder and c.num_decoder_heads) or c.num_heads
        d_ff = (is_decoder and c.decoder_d_ff) or c.d_ff
        width = width_of_head(c.d_model, heads)
        inits: dict[str, Any] = {"query_init": init, "kernel_init": init, "out_init": init}
        return {
            "wiring": self.wiring,
            "make_attention": partial(
                Attention, heads, width, c.d_model, width**-0.5, c.attention_dropout, dtype=dtype, **inits
            ),
            "make_mlp": partial(
                MLP,
                c.d_model,
                d_ff,
                c.activation,
                c.activation_dropout,
                up_init=init,
                down_init=init,
                dtype=dtype,
                adapter_width=c.adapter_width,
            ),
            "make_norm": partial(LayerNorm, c.norm_eps, dtype),
            "dropout": c.dropout,
        }

    def setup(self) -> None:
        c, parts = self.config, self.block_parts()
        final_norm = parts["make_norm"] if self.wiring is PreNorm else None
        depth: dict[str, Any] = {"remat": c.remat, "unroll": c.unroll}
        self.embeddings = BartEmbeddings(c)
        self.encoder_embeddings = self.make_positioned()
        self.decoder_embeddings = self.make_positioned()
        self.encoder = Stack(c.num_layers, partial(Block, **parts), final_norm, **depth)
        decoder_block = partial(self.decoder_block, **self.block_parts(is_decoder=True))
        self.decoder = CrossStack(c.num_decoder_layers, decoder_block, final_norm, **depth)
        self.setup_token_head()
        self.setup_heads(normal(c.init_std))

    @property
    def wiring(self) -> type[PreNorm] | type[PostNorm]:
        """The place of the norms: before each layer or after it."""
        return PostNorm

    @property
    def decoder_block(self) -> type[CrossBlock]:
        """The decoder's layer."""
        return CrossBlock

    def setup_token_head(self) -> None:
        """Makes the token head if the config names it."""
        if "token" in self.config.heads:
            self._head = TiedTokenHead(self.config.vocab_size, name="token_head")

    @nn.nowrap
    def make_positioned(self) -> nn.Module:
        """Called with (embedded tokens, positions or None)."""
        return Positioned(self.config)

    def embed_inputs(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """Tokens and the encoder's positions."""
        return self.encoder_embeddings(self.embeddings(tokens_BL), positions_BL)

    def embed_targets(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """Tokens and the decoder's positions."""
        return self.decoder_embeddings(self.embeddings(tokens_BL), positions_BL)

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """The decoder's layers, heads, and width of a head."""
        c = self.config
        heads = c.num_decoder_heads or c.num_heads
        return c.num_decoder_layers, heads, width_of_head(c.d_model, heads)

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]. The bias is zero in BART as published, and is not trained."""
        self.require_head("token")
        head = self._head(x, self.embeddings.table())
        return head._replace(bias=lax.stop_gradient(head.bias))


class MBart(Bart):
    """Pre-norm, with a norm after each stack."""

    config: MBartConfig

    @property
    def wiring(self) -> type[PreNorm] | type[PostNorm]:
        """The place of the norms: before each layer or after it."""
        return PreNorm


class Marian(Bart):
    """Sines for positions and no norm after the embeddings."""

    config: MarianConfig

    @nn.nowrap
    def make_positioned(self) -> nn.Module:
        """Called with (embedded tokens, positions or None)."""
        return Sinusoidal(self.config)

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]; the bias is trained."""
        self.require_head("token")
        return self._head(x, self.embeddings.table())


_TINY: dict[str, Any] = {
    "max_positions": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "d_model": 32, "d_ff": 64,
}  # fmt: skip
_MINI: dict[str, Any] = _TINY | {"max_positions": 256, "num_heads": 4, "d_model": 128, "d_ff": 512}
_BASE = BartConfig()

VARIANTS: dict[str, BartConfig] = {
    "tiny": replace(_BASE, **_TINY),
    "mini": replace(_BASE, **_MINI),
    # Lewis et al. 2019, Secs. 2.1 and 5; 50,265 vocabulary rows
    "base": _BASE,  # 140M
    "large": replace(_BASE, num_layers=12, num_decoder_layers=12, num_heads=16, d_model=1024, d_ff=4096),  # 400M
}
MBART_VARIANTS: dict[str, MBartConfig] = {
    "tiny": MBartConfig(**_TINY),
    "mini": MBartConfig(**_MINI),
    "cc25": MBartConfig(),  # 610M with 250,027 vocabulary rows
}
MARIAN_VARIANTS: dict[str, MarianConfig] = {
    "tiny": MarianConfig(**_TINY),
    "mini": MarianConfig(**_MINI),
    "base": MarianConfig(),
}

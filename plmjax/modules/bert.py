"""BERT (Devlin et al. 2018) and RoBERTa (Liu et al. 2019): one encoder, two settings.

Legend: B batch, L length, D model width, E embedding width, V vocabulary rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.encoder import Encoder
from plmjax.modules.layers import Dense, Dropout, Embed, LayerNorm, truncated_normal
from plmjax.modules.masks import Mask
from plmjax.modules.positions import LearnedPositions
from plmjax.modules.transformer import Block, BlockInputs, Stack, post_norm_block


@dataclass(slots=True, unsafe_hash=True)
class BertConfig:
    """The sizes of a BERT or RoBERTa; the defaults are BERT base's (paper Sec. 3, released code)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    max_positions: int = 512
    position_offset: int = 0  # rows of the position table before position 0; RoBERTa 2
    token_type_vocab: int = 2  # 0: no table; 1: one row, added to every token
    num_layers: int = 12
    num_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    activation: str = "gelu_tanh"  # the released code's; Hugging Face's BERT and RoBERTa use "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.1  # on the embeddings and every layer's output
    attention_dropout: float = 0.1  # on the attention weights
    init_std: float = 0.02
    heads: tuple[str, ...] = ("token",)  # see modules/encoder.py
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class BertEmbeddings(nn.Module):
    """Tokens + positions + token types of some `width`, normalised; and mapped to d_model where they are projected.

    Parameters: `tokens`, `positions`, `token_types`, `norm` and, where there is one, `projection`.
    """

    config: BertConfig
    width: int
    projected: bool

    def setup(self) -> None:
        c = self.config
        init, dtype = truncated_normal(c.init_std), jnp.dtype(c.dtype)
        self.tokens = Embed(c.vocab_size, self.width, init, dtype)
        self.positions = LearnedPositions(c.max_positions, self.width, init, c.position_offset, dtype)
        if c.token_type_vocab:
            self.token_types = Embed(c.token_type_vocab, self.width, init, dtype)
        if self.projected:
            self.projection = Dense(c.d_model, kernel_init=init, dtype=dtype)
        self.norm = LayerNorm(c.norm_eps, dtype)
        self.dropout = Dropout(c.dropout)

    def __call__(self, tokens_BL: Array, token_types_BL: Array | None, positions_BL: Array | None) -> Array:
        return self.placed(self.tokens(tokens_BL), token_types_BL, positions_BL)

    def placed(self, x_BLE: Array, token_types_BL: Array | None, positions_BL: Array | None) -> Array:
        """[B, L, D] of the rows of tokens, with their positions and types."""
        x_BLE = x_BLE + self.positions(positions_BL, x_BLE.shape[1])
        if self.config.token_type_vocab:
            x_BLE = x_BLE + self._types(token_types_BL)
        x_BLE = self.dropout(self.norm(x_BLE))
        return self.projection(x_BLE) if self.projected else x_BLE

    def _types(self, token_types_BL: Array | None) -> Array:
        table = self.token_types.table().astype(self.config.dtype)
        if token_types_BL is None or self.config.token_type_vocab == 1:
            return table[None, :1]
        # As a product: the gather's backward pass would add every token into one of two rows, one by one.
        one_hot = nn.one_hot(token_types_BL, self.config.token_type_vocab, dtype=table.dtype)
        return one_hot @ table

    def table(self) -> Array:
        """The token table [V, E]."""
        return self.tokens.table()


def make_block(config: BertConfig) -> Callable[..., Block]:
    """BERT's layer."""
    return post_norm_block(config, truncated_normal(config.init_std))


class Bert(Encoder):
    """An encoder with the heads that its config names."""

    config: BertConfig

    def setup(self) -> None:
        c = self.config
        self.embeddings = BertEmbeddings(c, self.embedding_width, self.projects_embeddings)
        self.encoder: Any = Stack(c.num_layers, make_block(c), remat=c.remat, unroll=c.unroll)
        self.setup_heads()

    @property
    def projects_embeddings(self) -> bool:
        """Whether a linear map leads from the embeddings' width to d_model."""
        return self.embedding_width != self.config.d_model

    @property
    def class_reads_pooler(self) -> bool:
        """BERT's classifier reads the pooler; RoBERTa's has a map of its own."""
        return not self.config.position_offset

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """Encodes as Encoder says; token types are not read where their table has fewer than two rows."""
        x_BLD = self.embeddings(tokens_BL, token_types_BL, positions_BL)
        x_BLD, _ = self.encoder(x_BLD, BlockInputs(Mask.within(segments_BL)))
        return x_BLD


_BASE = BertConfig()
_LARGE = replace(_BASE, num_layers=24, num_heads=16, d_model=1024, d_ff=4096)
_ROBERTA: dict[str, Any] = {
    "position_offset": 2,
    "token_type_vocab": 0,
    "activation": "gelu",
    "norm_eps": 1e-5,
}

# Vocabulary rows of the released models: BERT uncased 30,522, cased 28,996; RoBERTa 50,265.
VARIANTS: dict[str, BertConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "mini": replace(_BASE, num_layers=4, num_heads=4, d_model=256, d_ff=1024),  # Turc et al. 2019
    "base": _BASE,  # Devlin et al. 2018, Sec. 3: 110M
    "large": _LARGE,  # 340M
    "roberta_tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64, **_ROBERTA),
    "roberta_base": replace(_BASE, **_ROBERTA),  # Liu et al. 2019, Sec. 5: 125M
    "roberta_large": replace(_LARGE, **_ROBERTA),  # 355M
}

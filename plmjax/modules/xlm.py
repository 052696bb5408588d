"""XLM (Lample & Conneau 2019): BERT's layers over tokens, positions and languages; causal, it is a language model.

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.attention import width_of_head
from plmjax.modules.beam_answer import AnswersByBeam, BeamAnswerHead
from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.encoder import HEADS
from plmjax.modules.heads import FirstTokenLinear, TiedTokenHead
from plmjax.modules.layers import Dropout, Embed, Initializer, LayerNorm, normal
from plmjax.modules.masks import Mask
from plmjax.modules.positions import LearnedPositions, SinusoidalPositions
from plmjax.modules.transformer import BlockInputs, Stack, post_norm_block


@dataclass(slots=True, unsafe_hash=True)
class XLMConfig:
    """The sizes of an XLM; the defaults are those of the models for the 15 languages of XNLI (released code)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_languages: int = 0  # rows of the language table; 0 until the store is known; up to 1: no table
    max_positions: int = 512
    positions: str = "learned"  # or "sinusoidal": a fixed table
    causal: bool = False  # tokens see none to their right, and the network is of kind "decoder"
    num_layers: int = 12
    num_heads: int = 8
    d_model: int = 1024
    d_ff: int = 4096
    activation: str = "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.1  # on the embeddings and every layer's output
    attention_dropout: float = 0.1  # on the attention weights
    embedding_init_std: float = 0.0  # of all tables; 0: d_model ** -0.5
    init_std: float = 0.02  # of kernels
    heads: tuple[str, ...] = ("token",)  # see modules/encoder.py; and "beam_question_answering"
    num_labels: int = 2  # of the heads "sequence_classification" and "token_classification"
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    start_beams: int = 5  # of the head "beam_question_answering"
    end_beams: int = 5
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class XLMEmbeddings(nn.Module):
    """Tokens + positions + languages, normalised: `tokens`, `positions` if learned, `token_types`, `norm`."""

    config: XLMConfig

    def setup(self) -> None:
        c = self.config
        init, dtype = normal(c.embedding_init_std or c.d_model**-0.5), jnp.dtype(c.dtype)
        self.tokens = Embed(c.vocab_size, c.d_model, init, dtype)
        self.positions = self._positions(init)
        if c.num_languages > 1:
            self.token_types = Embed(c.num_languages, c.d_model, init, dtype)
        self.norm = LayerNorm(c.norm_eps, dtype)
        self.dropout = Dropout(c.dropout)

    def _positions(self, init: Initializer) -> nn.Module:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        if c.positions == "learned":
            return LearnedPositions(c.max_positions, c.d_model, init, dtype=dtype)
        if c.positions == "sinusoidal":
            return SinusoidalPositions(c.max_positions, c.d_model, dtype=dtype)
        raise ValueError(f"positions {c.positions!r} is not known; use 'learned' or 'sinusoidal'")

    def __call__(self, tokens_BL: Array, languages_BL: Array | None, positions_BL: Array | None) -> Array:
        x_BLD = self.tokens(tokens_BL) + self.positions(positions_BL, tokens_BL.shape[1])
        if languages_BL is not None and self.config.num_languages > 1:
            # As a product: the gather's backward pass would add every token into one of a few rows, one by one.
            table = self.token_types.table().astype(self.config.dtype)
            x_BLD = x_BLD + nn.one_hot(languages_BL, self.config.num_languages, dtype=table.dtype) @ table
        return self.dropout(self.norm(x_BLD))

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class XLM(AnswersByBeam):
    """An encoder or, if causal, a decoder with the heads that its config names."""

    config: XLMConfig

    def setup(self) -> None:
        c = self.config
        self.embeddings = XLMEmbeddings(c)
        self.encoder = Stack(c.num_layers, post_norm_block(c, normal(c.init_std)), remat=c.remat, unroll=c.unroll)
        self.setup_heads()
        if "beam_question_answering" in c.heads:
            self.beam_answer_head = BeamAnswerHead(c.d_model, c.norm_eps, self.head_init, jnp.dtype(c.dtype))

    @property
    def kind(self) -> str:  # type: ignore[override]
        """A causal one is trained and asked as a decoder."""
        return "decoder" if self.config.causal else "encoder"

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """Encodes as Encoder says; token types are ids of languages, and None adds no language."""
        x_BLD = self.embeddings(tokens_BL, token_types_BL, positions_BL)
        x_BLD, _ = self.encoder(x_BLD, BlockInputs(Mask.within(segments_BL, self.config.causal)))
        return x_BLD

    def decode(
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
        token_types_BL: Array | None = None,
    ) -> Array | tuple[Array, Cache]:
        """Decodes as GPT does, if causal: states [B, L, D]; given a cache, also the cache with these tokens."""
        if cache is None:
            return self.encode(tokens_BL, token_types_BL, positions_BL, segments_BL)
        if positions_BL is None:
            index_L = cache["index"] + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)
            positions_BL = jnp.broadcast_to(index_L[None], tokens_BL.shape)
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        cache, mask = append_segments(cache, segments_BL)
        x_BLD = self.embeddings(tokens_BL, token_types_BL, positions_BL)
        x_BLD, own = self.encoder(x_BLD, BlockInputs(mask), layer_cache(cache))
        return x_BLD, with_keys_values(cache, own)

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `length` tokens; needs no parameters."""
        c = self.config
        width = width_of_head(c.d_model, c.num_heads)
        return empty_cache(c.num_layers, batch, length, c.num_heads, width, jnp.dtype(c.dtype))

    @property
    def head_init(self) -> Initializer:
        """The initialiser of the layers' kernels."""
        return normal(self.config.init_std)

    def known_heads(self) -> tuple[str, ...]:
        """Encoder's, and the answer by a beam."""
        return (*HEADS, "beam_question_answering")

    def make_token_head(self) -> nn.Module:
        """The tied table and a bias, nothing between."""
        return TiedTokenHead(self.config.vocab_size, name="token_head")

    def make_class_head(self) -> nn.Module:
        """A linear map of the first token's state."""
        return FirstTokenLinear(self.config.num_labels, kernel_init=self.head_init)

    def class_logits(self, x_BLD: Array) -> Array:
        """Scores classes as Encoder does, after dropout of the state (summary_first_dropout as released)."""
        classifies = "sequence_classification" in self.config.heads
        return super().class_logits(self.head_dropout(x_BLD) if classifies else x_BLD)

    def __call__(self) -> None:
        """Touches every parameter, as Encoder's."""
        zeros = jnp.zeros((1, 1), jnp.int32)
        self.encode(zeros, zeros)  # with a language
        super().__call__()
        if "beam_question_answering" in self.config.heads:
            self.beam_answers(self.encode(zeros), starts=1, ends=1)


_XNLI = XLMConfig()

# The released code's README: layers and widths; vocabulary rows of the released models in tests/modules/test_sizes.py.
VARIANTS: dict[str, XLMConfig] = {
    "tiny": replace(_XNLI, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "mlm_en_2048": replace(_XNLI, num_heads=16, d_model=2048, d_ff=8192),  # English alone
    "xnli15": replace(_XNLI, num_languages=15),  # 15 languages, 95,000 pieces
    "mlm_17_1280": replace(_XNLI, num_layers=16, num_heads=16, d_model=1280, d_ff=5120, num_languages=17),
    "mlm_100_1280": replace(_XNLI, num_layers=16, num_heads=16, d_model=1280, d_ff=5120, num_languages=100),
    "mt": replace(_XNLI, num_layers=6, num_languages=2),  # for machine translation of two languages
}

"""ELMo's bidirectional language model (Peters et al. 2018): words from characters, an LSTM stack each way, one softmax.

Legend: B batch, L length, C characters of a word, D width, W twice that, M cells, N LSTM layers, K = N + 1, V words.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.characters import CharacterEncoder
from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import Dropout, normal
from plmjax.modules.lstm import LSTMStack, LSTMState, empty_state


@dataclass(slots=True, unsafe_hash=True)
class ElmoConfig:
    """The sizes of an ELMo; the defaults are the original's (Peters et al. 2018, Sec. 3.4; released train_elmo.py).

    Everything is float32, as released: states are clipped at 3 and carried over whole corpora.
    """

    vocab_size: int = 0  # rows of the softmax, not of the words that can be read; 0 until the vocabulary is known
    num_layers: int = 2
    d_model: int = 512  # of words and of each direction's outputs (projection_dim)
    d_cell: int = 4096  # LSTM cells a layer and direction; d_model: no projection
    characters: int = 50  # places of a word, its begin and end marks among them
    character_width: int = 16
    filters: tuple[tuple[int, int], ...] = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
    num_highway: int = 2
    activation: str = "relu"  # of the filters
    cell_clip: float = 3.0  # 0: none
    projection_clip: float = 3.0  # 0: none
    residual: bool = True  # every LSTM layer but the first adds its input to its output
    dropout: float = 0.1  # on every LSTM layer's input and the last one's output
    heads: tuple[str, ...] = ("token",)  # ("token",) or (): with or without the softmax
    unroll: bool | None = None


CHARACTERS = (
    261  # bytes, begin and end of a sentence, begin and end of a word, filling; see plmjax.data.tokenizers.characters
)


class BothStates(NamedTuple):
    """The LSTM states of the two directions."""

    forward: LSTMState
    backward: LSTMState

    def of_rows(self, continues_B: Array) -> "BothStates":
        """See LSTMState."""
        return BothStates(self.forward.of_rows(continues_B), self.backward.of_rows(continues_B))


class BothWays(nn.Module):
    """The two stacks: `forward/...`, `backward/...`."""

    config: ElmoConfig

    def setup(self) -> None:
        c = self.config
        sizes = (c.num_layers, c.d_model, c.d_cell, c.cell_clip, c.projection_clip, c.residual, c.dropout, c.unroll)
        self.forward, self.backward = LSTMStack(*sizes), LSTMStack(*sizes)


class Elmo(nn.Module):
    """Two language models that share how words are read and how they are scored."""

    config: ElmoConfig
    kind: ClassVar[str] = "bidirectional"

    def setup(self) -> None:
        c = self.config
        if c.d_cell < c.d_model:
            raise ValueError(f"{c.d_cell} cells can't be projected up to d_model={c.d_model}; take as many or more")
        if max(width for width, _ in c.filters) > c.characters:
            raise ValueError(f"a filter is wider than the {c.characters} characters of a word")
        self.embeddings = CharacterEncoder(
            CHARACTERS, c.character_width, c.filters, c.num_highway, c.d_model, c.activation
        )
        self.encoder = BothWays(replace(c, dropout=self.lstm_dropout))
        self.output_dropout = Dropout(c.dropout)
        if "token" in c.heads:
            self.words = Softmax(c.vocab_size, c.d_model, name="token_head")

    @property
    def lstm_dropout(self) -> float:
        """On every LSTM layer's input."""
        return self.config.dropout

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        characters = jnp.ones((1, 1, self.config.characters), jnp.int32)
        (x_BLD, _), _ = self.read(characters, characters, self.init_memory(1))
        if "token" in self.config.heads:
            self.token_head(x_BLD)

    def read(
        self, forward_BLC: Array, backward_BLC: Array, memory: BothStates
    ) -> tuple[tuple[Array, Array], BothStates]:
        """The last layers of two texts, [B, L, D] each, and the states after them.

        Args:
            forward_BLC: characters of the words that the forward LSTM reads, in its order; see `embed`.
            backward_BLC: of those that the backward LSTM reads, in its own order: from the end of a sentence on.
            memory: the states before.
        """
        words_2 = self.embeddings(jnp.concatenate([forward_BLC, backward_BLC]))  # one pass for both
        ahead_BLD, back_BLD = jnp.split(words_2, 2)
        ahead_NBLD, ahead = self.encoder.forward(ahead_BLD, memory.forward, None)
        back_NBLD, back = self.encoder.backward(back_BLD, memory.backward, None)
        last = self.output_dropout(ahead_NBLD[-1]), self.output_dropout(back_NBLD[-1])
        return last, BothStates(ahead, back)

    def embed(self, characters_BLC: Array, memory: BothStates | None = None) -> tuple[Array, BothStates]:
        """Every layer of every word, [K, B, L, W], and the states after.

        The word's own vector, twice, is layer 0; the others are the two directions side by side.

        Args:
            characters_BLC: ids 1 to 261, or 0 in all places after a row's last word. Each row should begin with the
                word that begins a sentence and end with the one that ends it.
            memory: of the batch before, as the released code carries it; None: nothing came before.
        """
        seen_BL = jnp.any(characters_BLC > 0, axis=-1)
        memory = self.init_memory(len(characters_BLC)) if memory is None else memory
        words_BLD = self.embeddings(characters_BLC)
        ahead_NBLD, ahead = self.encoder.forward(words_BLD, memory.forward, seen_BL)
        reversal_BL1 = reversal(seen_BL)[..., None]
        back_NBLD, back = self.encoder.backward(
            jnp.take_along_axis(words_BLD, reversal_BL1, axis=1), memory.backward, seen_BL
        )
        back_NBLD = jnp.take_along_axis(back_NBLD, reversal_BL1[None], axis=2)
        layers_NBLW = jnp.concatenate([ahead_NBLD, back_NBLD], axis=-1)
        return jnp.concatenate([jnp.tile(words_BLD[None], 2), layers_NBLW]), BothStates(ahead, back)

    @nn.nowrap
    def init_memory(self, batch: int) -> BothStates:
        """The states before any text; needs no parameters."""
        c = self.config
        one = empty_state(c.num_layers, batch, c.d_model, c.d_cell)
        return BothStates(one, one)

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D], of either direction."""
        return self.words(x)

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()


class Softmax(nn.Module):
    """A table `embedding` [V, D] of its own and a `bias` [V]."""

    vocab_size: int
    features: int

    @nn.compact
    def __call__(self, x: Array) -> TokenHead:
        table = self.param("embedding", normal(self.features**-0.5), (self.vocab_size, self.features), jnp.float32)
        return TokenHead(x, table, self.param("bias", nn.initializers.zeros_init(), (self.vocab_size,), jnp.float32))


def reversal(seen_BL: Array) -> Array:
    """int32 [B, L]: where each place's word stands when a row's words are turned round; padding stays."""
    position_L = jnp.arange(seen_BL.shape[1])[None]
    return jnp.where(seen_BL, jnp.sum(seen_BL, axis=1, keepdims=True) - 1 - position_L, position_L)


_ORIGINAL = ElmoConfig()

VARIANTS: dict[str, Any] = {
    "tiny": replace(
        _ORIGINAL, d_model=16, d_cell=32, characters=12, character_width=4, filters=((1, 8), (2, 8), (3, 16))
    ),
    "mini": replace(
        _ORIGINAL,
        d_model=64,
        d_cell=256,
        characters=16,
        character_width=16,
        filters=((1, 16), (2, 16), (3, 32), (4, 64)),
    ),
    # Released as elmo_2x1024_128_2048cnn_1xhighway (13.6M without the softmax), elmo_2x2048_256_2048cnn_1xhighway
    # (28.0M) and elmo_2x4096_512_2048cnn_2xhighway (93.6M; paper Sec. 3.4).
    "small": replace(_ORIGINAL, d_model=128, d_cell=1024, num_highway=1),
    "medium": replace(_ORIGINAL, d_model=256, d_cell=2048, num_highway=1),
    "original": _ORIGINAL,
}

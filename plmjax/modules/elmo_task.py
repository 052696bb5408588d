"""ELMo's vectors under a small network for a task (Peters et al. 2018, Sec. 3.2 to 3.4).

The layers of the biLM are mixed by weights of the task's own, read by an LSTM each way, and by a linear map: of each
word for tags, which may be chained (losses/chain.py), of the highest value of each unit over the text for its class.

Legend: B batch, L length, C characters of a word or classes, D twice the task's cells, W width of a vector.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.elmo import VARIANTS as BILM_VARIANTS
from plmjax.modules.elmo import Elmo, ElmoConfig, reversal
from plmjax.modules.layers import Dense, Dropout, normal
from plmjax.modules.lstm import LSTMStack, empty_state
from plmjax.modules.masks import MASK_VALUE
from plmjax.modules.scalar_mix import ScalarMix

HEADS = ("sequence_classification", "token_classification", "crf")


@dataclass(slots=True, unsafe_hash=True)
class ElmoTaskConfig(ElmoConfig):
    """The sizes of an ELMo and of what is above it. The biLM has no dropout here."""

    dropout: float = 0.5  # on the mixed vectors and on what the last map reads
    heads: tuple[str, ...] = ()  # of HEADS; "crf" goes with "token_classification"
    num_labels: int = 2
    cells: int = 256  # of the task's LSTM, each way
    normalise: bool = False  # bring each layer to mean 0 and variance 1 before they are mixed


def task_config(config: ElmoConfig) -> ElmoTaskConfig:
    """Returns the config over a biLM, without heads."""
    sizes = {field.name: getattr(config, field.name) for field in fields(ElmoConfig)}
    return ElmoTaskConfig(**sizes | {"dropout": ElmoTaskConfig().dropout, "heads": ()})


def bilm_config(config: ElmoConfig) -> ElmoConfig:
    """Returns the config of the biLM alone, without its softmax."""
    return ElmoConfig(**{field.name: getattr(config, field.name) for field in fields(ElmoConfig)} | {"heads": ()})


class BothWaysLSTM(nn.Module):
    """`inward` [W, M], then an LSTM of M cells each way, side by side: `forward/...`, `backward/...`."""

    cells: int

    @nn.compact
    def __call__(self, x_BLW: Array, seen_BL: Array) -> Array:
        """[B, L, 2 M]; zeros where nothing is seen."""
        x_BLM = Dense(self.cells, kernel_init=normal(x_BLW.shape[-1] ** -0.5), name="inward")(x_BLW)
        sizes = (1, self.cells, self.cells, 0.0, 0.0, False, 0.0, None)
        start = empty_state(1, len(x_BLM), self.cells, self.cells)
        ahead_NBLM, _ = LSTMStack(*sizes, name="forward")(x_BLM, start, seen_BL)
        order_BL1 = reversal(seen_BL)[..., None]
        back_NBLM, _ = LSTMStack(*sizes, name="backward")(jnp.take_along_axis(x_BLM, order_BL1, axis=1), start, seen_BL)
        return jnp.concatenate([ahead_NBLM[0], jnp.take_along_axis(back_NBLM[0], order_BL1, axis=1)], axis=-1)


class ChainScores(nn.Module):
    """Scores of successive tags: `steps` [C, C], from the row's to the column's, `first` [C], `last` [C]."""

    tags: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array, Array]:
        zeros = nn.initializers.zeros_init()
        shapes = {"steps": (self.tags, self.tags), "first": (self.tags,), "last": (self.tags,)}
        steps, first, last = (self.param(name, zeros, shape, jnp.float32) for name, shape in shapes.items())
        return steps, first, last


class ElmoTask(Elmo):
    """Parameters besides the biLM's: `mix_weights` [K], `mix_gamma`, `task/...`, and what the heads have: `class_head`,
    `tag_head`, `chain_head`."""

    config: ElmoTaskConfig

    def setup(self) -> None:
        super().setup()
        c = self.config
        if unknown := set(c.heads) - set(HEADS):
            raise ValueError(f"head {sorted(unknown)[0]!r} is not known; use some of {', '.join(HEADS)}")
        self.mix_weights = self.param("mix_weights", nn.initializers.zeros_init(), (c.num_layers + 1,), jnp.float32)
        self.mix_gamma = self.param("mix_gamma", nn.initializers.ones_init(), (), jnp.float32)
        self.task = BothWaysLSTM(c.cells)
        self.task_dropout = Dropout(c.dropout)
        init = normal((2 * c.cells) ** -0.5)
        if "sequence_classification" in c.heads:
            self.class_head = Dense(c.num_labels, kernel_init=init)
        if "token_classification" in c.heads:
            self.tag_head = Dense(c.num_labels, kernel_init=init)
        if "crf" in c.heads:
            self.chain_head = ChainScores(c.num_labels)

    @property
    def lstm_dropout(self) -> float:
        """None in the biLM, whose vectors are given."""
        return 0.0

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_B1D = self.states(jnp.ones((1, 1, self.config.characters), jnp.int32))
        readers = {
            "sequence_classification": self.class_logits,
            "token_classification": self.token_classification_logits,
        }
        for name, read in readers.items():
            if name in self.config.heads:
                read(x_B1D)
        if "crf" in self.config.heads:
            self.chain()

    def states(self, characters_BLC: Array) -> Array:
        """[B, L, D] of int32 characters [B, L, C] as `embed` reads them; zeros where there is no word."""
        seen_BL = jnp.any(characters_BLC > 0, axis=-1)
        layers_KBLW, _ = self.embed(characters_BLC)
        x_BLW = self.mix()(layers_KBLW, seen_BL, self.config.normalise)
        return self.task(self.task_dropout(x_BLW), seen_BL)

    def mix(self) -> ScalarMix:
        """The mixture of the layers that the task has learned."""
        return ScalarMix(self.mix_weights, self.mix_gamma)

    def mix_penalty(self) -> Array:
        """float32 scalar: the sum of the weights' squares."""
        return self.mix().penalty(1.0)

    def pooled(self, x_BLD: Array, seen_BL: Array) -> Array:
        """[B, 1, D]: the highest value of each unit where something is seen."""
        return jnp.max(jnp.where(seen_BL[..., None], x_BLD, MASK_VALUE), axis=1, keepdims=True)

    def class_logits(self, x_B1D: Array) -> Array:
        """float32 [B, C] of what `pooled` gave."""
        return self.class_head(self.task_dropout(x_B1D[:, 0])).astype(jnp.float32)

    def token_classification_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L, C]."""
        return self.tag_head(self.task_dropout(x_BLD)).astype(jnp.float32)

    def chain(self) -> tuple[Array, Array, Array]:
        """float32 [C, C], [C] and [C], see ChainScores."""
        return self.chain_head()


VARIANTS: dict[str, Any] = {
    name: replace(task_config(config), cells=16 if name == "tiny" else 256) for name, config in BILM_VARIANTS.items()
}

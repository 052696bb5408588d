"""Prefix LM: the network reads the start of a text and writes the rest (Raffel et al. 2020, Sec. 3.3.1; with turns of
a dialogue as texts, Meena, Adiwardana et al. 2020, Sec. 2.3).

On an encoder-decoder and on a decoder that sees its prefix whole this is Table 2's LM objective; for a decoder that
sees the past alone that is causal LM, whose loss is of the whole text.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import DocumentChunks
from plmjax.errors import UserError
from plmjax.objectives.base import Example
from plmjax.objectives.sequence_noise import SequenceLengths, SequenceNoise, SequenceObjective, SequencePair


@dataclass(slots=True)
class PrefixNoise(SequenceNoise):
    """Cuts a text in two: the inputs are its start, the targets the rest; EOS ends both.

    The rest has from 1 to 2 * rate * n - 1 of the n tokens, every length as likely: `rate` of them on average. At .5
    the cut lies anywhere, as in T5; .25 is the sequential denoiser of UL2 (Tay et al. 2022, Table 1).
    """

    rate: float = 0.5  # share of the text that is predicted, on average

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        if not 0 < self.rate <= 0.5:
            raise UserError(f"{where}.rate is {self.rate}; it must be above 0 and at most 0.5.")
        if length < 3:
            raise UserError(f"train.length is {length}, too short to be cut in two; give at least 3.")
        vocabulary.require("pad", "eos")

    def lengths(self, inputs_length: int) -> SequenceLengths:
        # Both parts with their EOS are one token longer than the row, of which the last predicts nothing.
        return SequenceLengths(inputs_length - 1, inputs_length, inputs_length, row=inputs_length)

    def max_rest(self, text: int) -> int:
        """Tokens of the longest rest of a text of `text` tokens."""
        return max(1, round(2 * self.rate * text) - 1)

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        tokens, real = example["tokens"], jnp.sum(example["segments"] > 0)
        raw = len(tokens)
        rests = jnp.asarray([self.max_rest(text) for text in range(raw + 1)])
        cut = jax.random.randint(key, (), jnp.maximum(real - rests[real], 1), jnp.maximum(real, 2))
        position_L = jnp.arange(raw + 1)
        text_L = jnp.append(tokens, 0)
        inputs_L = jnp.where(position_L < cut, text_L, jnp.where(position_L == cut, vocabulary.eos, -1))
        rest = real - cut
        targets_L = jnp.where(
            position_L < rest, jnp.roll(text_L, -cut), jnp.where(position_L == rest, vocabulary.eos, -1)
        )
        is_empty = real == 0  # a row that only fills up a batch
        inputs_L, targets_L = jnp.where(is_empty, -1, inputs_L), jnp.where(is_empty, -1, targets_L)
        return SequencePair(inputs_L, targets_L)


@dataclass(slots=True)
class PrefixLM(SequenceObjective):
    """A text of n tokens is cut after k of them, k uniform from 1 to n - 1; EOS ends both parts.

    Texts are parts of one document, as in the released code, one token shorter than `train.length`.
    """

    NAME: ClassVar[str] = "prefix_lm"

    window: Any = field(default_factory=DocumentChunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example is cut at the same position in every epoch

    @property
    def sequence_noise(self) -> PrefixNoise:
        """Cuts anywhere."""
        return PrefixNoise()

"""The objectives that T5 compares with span corruption (Raffel et al. 2020, Secs. 3.3.1 and 3.3.2, Table 3).

Text "a b c d e f" with noise on "b c" and "f", <X> being the first sentinel and * a random token:

    BertStyle     inputs `a <X> * d e <X>`    targets `a b c d e f`
    MassStyle     inputs `a <X> <X> d e <X>`  targets `a b c d e f`
    DropTokens    inputs `a d e`              targets `b c f`
    Deshuffling   inputs `d b f a e c`        targets `a b c d e f`

EOS ends both sequences. Replacing spans, i.i.d. or not, is span_corruption.py, the prefix LM prefix_lm.py.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import DocumentChunks
from plmjax.errors import UserError
from plmjax.noise.spans import iid_mask
from plmjax.noise.tokens import keep_tokens, replace_tokens, shuffle_tokens
from plmjax.objectives.base import Example, check_rate, check_share
from plmjax.objectives.sequence_noise import SequenceLengths, SequenceNoise, SequenceObjective, SequencePair
from plmjax.objectives.span_corruption import whole_chunks


class TokenNoise(SequenceNoise):
    """The base of these noises: texts one token shorter than `train.length`, which leaves room for EOS."""

    __slots__ = ()

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        if length < 3:
            raise UserError(f"train.length is {length}, too short for a text that EOS closes; give at least 3.")
        vocabulary.require("pad", "eos")

    def lengths(self, inputs_length: int) -> SequenceLengths:
        return SequenceLengths(inputs_length - 1, inputs_length, inputs_length)


@dataclass(slots=True)
class SentinelNoise(TokenNoise):
    """Replaces tokens by the first sentinel or, some of them, by random tokens; the whole text is the target."""

    density: float = 0.15  # how likely a token is noise
    random_share: float = 0.1  # how likely noise is a random token and not the sentinel

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        TokenNoise.check_noise(self, vocabulary, length, where)
        check_rate(f"{where}.density", self.density)
        check_share(f"{where}.random_share", self.random_share)
        vocabulary.require("sentinels")

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        tokens_L, real = example["tokens"], jnp.sum(example["segments"] > 0)
        mask_key, token_key = jax.random.split(key)
        noisy_L = replace_tokens(
            token_key,
            tokens_L,
            iid_mask(mask_key, len(tokens_L), self.density),
            sentinel=vocabulary.sentinels[0],
            non_special_R=vocabulary.non_special,
            random_share=self.random_share,
        )
        return SequencePair(with_eos(noisy_L, real, vocabulary.eos), with_eos(tokens_L, real, vocabulary.eos))


@dataclass(slots=True)
class ShuffleNoise(TokenNoise):
    """Puts all tokens of a text in a random order; the text is the target."""

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        tokens_L, real = example["tokens"], jnp.sum(example["segments"] > 0)
        shuffled_L = shuffle_tokens(key, tokens_L, jnp.arange(len(tokens_L)) < real)
        return SequencePair(with_eos(shuffled_L, real, vocabulary.eos), with_eos(tokens_L, real, vocabulary.eos))


@dataclass(slots=True)
class DropNoise(TokenNoise):
    """Leaves tokens out of the inputs; the targets are what was left out, in the order of the text."""

    density: float = 0.15  # how likely a token is noise
    targets_length: int | None = None  # room for the targets, EOS included; None: see `dropped_length`

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        TokenNoise.check_noise(self, vocabulary, length, where)
        check_rate(f"{where}.density", self.density)
        if self.targets_length is not None and self.targets_length < 2:
            raise UserError(f"{where}.targets_length is {self.targets_length}; give room for a token and EOS, 2.")

    def lengths(self, inputs_length: int) -> SequenceLengths:
        targets = self.targets_length or dropped_length(inputs_length, self.density)
        return SequenceLengths(inputs_length - 1, inputs_length, targets)

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        tokens_L, real = example["tokens"], jnp.sum(example["segments"] > 0)
        lengths = self.lengths(len(tokens_L) + 1)
        mask_L = iid_mask(key, len(tokens_L), self.density)
        inputs_I = keep_tokens(tokens_L, ~mask_L, real, eos=vocabulary.eos, length=lengths.inputs)
        return SequencePair(inputs_I, keep_tokens(tokens_L, mask_L, real, eos=vocabulary.eos, length=lengths.targets))


@dataclass(slots=True)
class BertStyle(SentinelNoise, SequenceObjective):
    """BERT's masks, of which none keeps its token: 90% sentinels, 10% random tokens; the whole text is the target."""

    NAME: ClassVar[str] = "bert_style"

    window: Any = field(default_factory=whole_chunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch


@dataclass(slots=True)
class MassStyle(BertStyle):
    """BERT-style without random tokens, as T5 simplifies MASS."""

    NAME: ClassVar[str] = "mass_style"

    random_share: float = 0.0


@dataclass(slots=True)
class Deshuffling(ShuffleNoise, SequenceObjective):
    """All tokens of a text in a random order; texts are parts of one document."""

    NAME: ClassVar[str] = "deshuffling"

    window: Any = field(default_factory=DocumentChunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same order in every epoch


@dataclass(slots=True)
class DropTokens(DropNoise, SequenceObjective):
    """Noise is left out of the inputs; the targets are what was left out, in the order of the text."""

    NAME: ClassVar[str] = "drop_tokens"

    window: Any = field(default_factory=whole_chunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch


def with_eos(tokens_L: jax.Array, real: jax.Array, eos: int) -> jax.Array:
    """int32 [L + 1]: the text and EOS."""
    return keep_tokens(tokens_L, jnp.ones(len(tokens_L), jnp.bool_), real, eos=eos, length=len(tokens_L) + 1)


def dropped_length(length: int, density: float) -> int:
    """Room for dropped tokens and EOS, three standard deviations over the mean: 102 for 512 and .15 (released: 104)."""
    raw = length - 1
    return min(length, math.ceil(raw * density + 1 + 3 * math.sqrt(raw * density * (1 - density))))

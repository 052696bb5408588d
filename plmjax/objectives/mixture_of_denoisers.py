"""UL2's mixture of denoisers: each example has one of several noises, which a mode token names (Tay et al. 2022, Sec.
3.1, Table 1).

R denoisers are T5's span corruption; X denoisers hide long spans, or half of the text; the S denoiser is the prefix LM.

    R   inputs `[R] a <X> d e <Y> EOS`   targets `<X> b c <Y> f EOS`
    S   inputs `[S] a b c d EOS`         targets `e f EOS`
    X   inputs `[X] a <X> EOS`           targets `<X> b c d e f EOS`

Any noises of sequence_noise.py mix in this way, with any weights.

Legend: L raw length, I inputs, T targets.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.objectives.base import Example
from plmjax.objectives.prefix_lm import PrefixNoise
from plmjax.objectives.sequence_noise import SequenceLengths, SequenceNoise, SequenceObjective, SequencePair, scalars
from plmjax.objectives.sequences import as_example
from plmjax.objectives.span_corruption import SpanNoise, whole_chunks


@dataclass(slots=True)
class Denoiser:
    """One noise of a mixture."""

    name: str  # in the metrics: denoiser_<name>
    noise: Any  # a SequenceNoise
    mode: str = ""  # the printed name of the token that precedes the inputs; empty: none
    weight: float = 1.0  # how often it is drawn, in proportion to the others' weights


def ul2_denoisers() -> tuple[Denoiser, ...]:
    """The seven denoisers of the paper's Table 1, all as likely; S predicts a quarter of a text on average.

    Span lengths are drawn as T5 draws them; the paper says "a normal distribution" of them.
    """
    return (
        Denoiser("R_span_3", SpanNoise(mean_span=3.0), "[R]"),
        Denoiser("R_span_8", SpanNoise(mean_span=8.0), "[R]"),
        Denoiser("S", PrefixNoise(rate=0.25), "[S]"),
        Denoiser("X_span_3_rate_50", SpanNoise(density=0.5, mean_span=3.0), "[X]"),
        Denoiser("X_span_8_rate_50", SpanNoise(density=0.5, mean_span=8.0), "[X]"),
        Denoiser("X_span_64_rate_15", SpanNoise(density=0.15, mean_span=64.0), "[X]"),
        Denoiser("X_span_64_rate_50", SpanNoise(density=0.5, mean_span=64.0), "[X]"),
    )


@dataclass(slots=True)
class MixtureOfDenoisers(SequenceNoise, SequenceObjective):
    """Each example draws a denoiser, whose mode token precedes its inputs; validation reports the loss of each.

    The window is as long as the longest text that a denoiser reads, and each denoiser reads the start of it. Inputs and
    targets are padded to the longest of all, so that shapes are static.
    """

    NAME: ClassVar[str] = "mixture_of_denoisers"

    window: Any = field(default_factory=whole_chunks)
    denoisers: tuple[Denoiser, ...] = field(default_factory=ul2_denoisers)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same denoiser and noise in every epoch

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for denoiser in self.denoisers for name in denoiser.noise.needs))

    @property
    def groups(self) -> tuple[str, ...]:
        """The loss by denoiser."""
        return tuple(f"denoiser_{denoiser.name}" for denoiser in self.denoisers)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        self._check_denoisers()
        SequenceObjective.check(self, network_config, kind, vocabulary, length)

    def _check_denoisers(self) -> None:
        if not self.denoisers:
            raise UserError("objective.denoisers is empty; give at least one Denoiser.")
        for index, denoiser in enumerate(self.denoisers):
            where = f"objective.denoisers[{index}]"
            if not isinstance(denoiser, Denoiser):
                raise UserError(
                    f"{where} is {denoiser!r}, which is no Denoiser; set single fields, such as {where}.weight=2, or "
                    "write a configuration file."
                )
            if not isinstance(denoiser.noise, SequenceNoise):
                raise UserError(f"{where}.noise is {denoiser.noise!r}; give a noise, such as SpanNoise().")
            if denoiser.weight < 0:
                raise UserError(f"{where}.weight is {denoiser.weight}; give 0 or more.")
        names = [denoiser.name for denoiser in self.denoisers]
        if len(set(names)) < len(names):
            raise UserError(f"The names of objective.denoisers are {', '.join(names)}; give each its own.")
        if not sum(denoiser.weight for denoiser in self.denoisers):
            raise UserError("The weights of objective.denoisers are all 0; give one of them more.")

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        vocabulary.require("pad")
        for index, denoiser in enumerate(self.denoisers):
            denoiser.noise.check_noise(vocabulary, length - bool(denoiser.mode), f"{where}.denoisers[{index}].noise")
        vocabulary.require_named(*dict.fromkeys(denoiser.mode for denoiser in self.denoisers if denoiser.mode))

    def lengths(self, inputs_length: int) -> SequenceLengths:
        """The longest of each denoiser's, inputs being `inputs_length` whatever the denoisers fill."""
        raws, targets, rows = [], [], []
        for denoiser in self.denoisers:
            before = bool(denoiser.mode)
            each = denoiser.noise.lengths(inputs_length - before)
            raws.append(each.raw)
            targets.append(each.targets)
            rows.append(before + (each.row or each.inputs + each.targets))
        return SequenceLengths(max(raws), inputs_length, max(targets), max(rows))

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        return self.draw(key, example, vocabulary)[1]

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        number, pair = self.draw(key, example, vocabulary)
        return scalars(example) | as_example(*pair[:2], vocabulary.pad, pair.start) | {"group": number}

    def draw(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> tuple[jax.Array, SequencePair]:
        """The number of the denoiser that is drawn, int32, and what it makes of the example."""
        denoiser_key, noise_key = jax.random.split(key)
        weights = jnp.asarray([denoiser.weight for denoiser in self.denoisers], jnp.float32)
        number = jax.random.choice(denoiser_key, len(weights), p=weights / jnp.sum(weights)).astype(jnp.int32)
        lengths = self.lengths(self._inputs_length(len(example["tokens"])))
        branches = [self._branch(denoiser, lengths, vocabulary) for denoiser in self.denoisers]
        return number, jax.lax.switch(number, branches, noise_key, example)

    def _inputs_length(self, raw: int) -> int:
        """The shortest inputs whose windows have `raw` tokens."""
        return bisect_left(range(raw + 3), raw, lo=4, key=lambda length: self.lengths(length).raw)

    @staticmethod
    def _branch(
        denoiser: Denoiser, lengths: SequenceLengths, vocabulary: Vocabulary
    ) -> Callable[[jax.Array, Example], SequencePair]:
        raw = denoiser.noise.lengths(lengths.inputs - bool(denoiser.mode)).raw

        def make(key: jax.Array, example: Example) -> SequencePair:
            read = {name: value[:raw] if value.ndim else value for name, value in example.items()}
            inputs, targets, start = denoiser.noise.sequences(key, read, vocabulary)
            if denoiser.mode:
                token = jnp.where(inputs[:1] >= 0, vocabulary.named[denoiser.mode], -1)
                inputs = jnp.concatenate([token.astype(inputs.dtype), inputs])
            return SequencePair(
                _padded(inputs, lengths.inputs),
                _padded(targets, lengths.targets),
                jnp.asarray(vocabulary.pad if start is None else start, jnp.int32),
            )

        return make


def _padded(sequence: jax.Array, length: int) -> jax.Array:
    """int32 [length]: the sequence, then -1s."""
    return jnp.pad(sequence.astype(jnp.int32), (0, length - len(sequence)), constant_values=-1)

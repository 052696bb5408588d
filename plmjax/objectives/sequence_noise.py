"""One objective of two sequences for every noise: a noise turns a text into inputs and targets.

Span corruption, prefix LM, BART's noises and T5's simpler styles are noises of `SequenceObjective`: each alone under
its own name, or several mixed with weights in `mixture_of_denoisers.py`.

Legend: L raw length, I inputs, T targets, B batch.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.noise.infilling import PaddedText
from plmjax.objectives.base import Example, Losses, check_fit, group_metrics, token_metrics
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, target_loss


class SequenceLengths(NamedTuple):
    """Static lengths in tokens: the raw text that the window reads; inputs and targets, EOS included; and the row of a
    decoder that reads inputs and targets one after the other, None for the length of both."""

    raw: int
    inputs: int
    targets: int
    row: int | None = None


class SequencePair(NamedTuple):
    """int32 [I] inputs and [T] targets, filled up with -1; the id that the decoder reads first, None for pad."""

    inputs: jax.Array
    targets: jax.Array
    start: int | jax.Array | None = None


class SequenceNoise:
    """Turns a text into inputs and targets. A subclass is a dataclass of its settings."""

    __slots__ = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields that it reads from the window."""
        return ("tokens", "segments")

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        """UserError for settings out of range, for a text too short, or for what the vocabulary lacks.

        Args:
            vocabulary: the store's.
            length: tokens of the inputs.
            where: the path of this noise in the configuration.
        """
        raise NotImplementedError

    def lengths(self, inputs_length: int) -> SequenceLengths:
        """The lengths for inputs of at most `inputs_length` tokens."""
        raise NotImplementedError

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        """Inputs and targets of one example, whose fields `needs` are [L] with L = `lengths(...).raw`."""
        raise NotImplementedError


class SequenceObjective:
    """The loss of the targets that a noise makes, given the inputs that it makes.

    A subclass is a dataclass with the fields `window` and `static`. It is a noise itself (it inherits the noise's
    settings), or it says in `sequence_noise` which one it has.
    """

    __slots__ = ()

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS
    NAME: ClassVar[str]  # of the loss
    window: Any
    z_loss: float = 0.0  # factor of logsumexp(logits)**2, in training

    @property
    def sequence_noise(self) -> SequenceNoise:
        """The noise, with its settings."""
        assert isinstance(self, SequenceNoise)
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """See base.Grouped; an objective with groups writes their number, int32, into the field `group`."""
        return ()

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        noise = self.sequence_noise
        check_fit(self, network_config, kind, length, noise.needs)
        if getattr(self.window, "isolate", False) or getattr(self.window, "overlap", 0):
            raise UserError(
                f"The objective {type(self).__name__} reads each window as one text; set objective.window.isolate to "
                "False and overlap to 0."
            )
        noise.check_noise(vocabulary, length)
        lengths = noise.lengths(length)
        check_row(network_config, kind, length, lengths.targets, lengths.row)

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, self.sequence_noise.lengths(length).raw, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        inputs_I, targets_T, start = self.sequence_noise.sequences(key, example, vocabulary)
        return scalars(example) | as_example(inputs_I, targets_T, vocabulary.pad, start)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        row = self.sequence_noise.lengths(batch["tokens"].shape[1]).row
        loss = target_loss(network, batch, vocabulary, self.z_loss if train else 0.0, row=row)
        metrics = token_metrics(self.NAME, loss.correct, batch["weights"])
        if self.groups and not train:
            metrics |= group_metrics(self.groups, loss, batch["weights"], batch["group"][:, None])
        return {self.NAME: loss.total}, metrics

    def coefficients(self) -> dict[str, float]:
        return {}


def text_of(example: Example) -> PaddedText:
    """The tokens of a window that is one text."""
    is_real_L = example["segments"] > 0
    return PaddedText(jnp.where(is_real_L, example["tokens"], -1), jnp.sum(is_real_L))


def scalars(example: Example) -> Example:
    """The fields of a window that belong to the whole example; the others have another length than the sequences."""
    return {name: value for name, value in example.items() if value.ndim == 0}


def wrap(
    text: PaddedText,
    prefix: Sequence[int | jax.Array],
    suffix: Sequence[int | jax.Array],
    present: jax.Array | None = None,
) -> jax.Array:
    """int32: the text between special tokens, then -1s.

    present: bool, whether there is an example; where not, all is filling. None: where the text has a token, which one
        that noise has deleted has not.
    """
    present = text.real > 0 if present is None else present
    length = len(text.tokens) + len(prefix) + len(suffix)
    position_L = jnp.arange(length)
    wrapped_L = jnp.full(length, -1, jnp.int32).at[len(prefix) : len(prefix) + len(text.tokens)].set(text.tokens)
    for number, token in enumerate(prefix):
        wrapped_L = wrapped_L.at[number].set(token)
    for number, token in enumerate(suffix):
        wrapped_L = wrapped_L.at[len(prefix) + text.real + number].set(token)
    return jnp.where(present & (position_L < text.real + len(prefix) + len(suffix)), wrapped_L, -1)

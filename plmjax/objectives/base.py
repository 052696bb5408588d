"""The contract of an objective, and the checks and the composition that objectives share.

An objective names the kind of network it needs, the windows it reads, the noise it applies to one example, and its
losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeGuard, cast

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import TokenLoss
from plmjax.losses.weighted import Weighted
from plmjax.modules.encoder import EncoderOutput
from plmjax.modules.facts import max_positions_of
from plmjax.modules.network import Network, RecurrentNetwork

Example = dict[str, jax.Array]
Losses = tuple[dict[str, Weighted], dict[str, Weighted]]
"""(losses, metrics), each by name."""


class Objective(Protocol):
    """A pre-training objective: a config dataclass with these attributes and methods."""

    kinds: ClassVar[tuple[str, ...]]
    """The kinds of network that carry it, of "encoder", "decoder", "encoder_decoder", "two_stream", "bidirectional",
    "generator_discriminator" and "distillation"."""
    static: bool
    """True: an example has the same noise in every epoch."""
    window: Any
    """A config of plmjax.data.windows."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads it asks of the network, by the names of modules/encoder.py."""

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        """Raises UserError where this network, vocabulary or length can't carry the objective."""

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        """The examples of a split for a network that reads `length` tokens."""

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        """The noise for one example: network inputs, and `targets` and `weights` of its main token loss."""

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        """Losses and metrics of a corrupted batch on a `Bound` network; train=False: no label smoothing, no z-loss."""

    def coefficients(self) -> dict[str, float]:
        """Factor of each loss in the total; 1 for a name that is missing."""


class Grouped(Objective, Protocol):
    """An objective that labels each example, or each target, with a group: its language, its denoiser, ...

    Validation reports the loss, accuracy and perplexity of each group.
    """

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the metrics of the groups, such as "denoising_en"; see `group_metrics`."""


class Recurrent(Objective, Protocol):
    """An objective whose rows read on from batch to batch and carry a memory of what they have read."""

    def memory(self, module: RecurrentNetwork, rows: int, train: bool) -> Any:
        """The empty memory of `rows` rows for a network: a pytree whose leaves have the rows as their first axis."""

    def losses_after(
        self, network: Any, batch: Example, memory: Any, vocabulary: Vocabulary, train: bool
    ) -> tuple[dict[str, Weighted], dict[str, Weighted], Any]:
        """The losses and metrics after the text of the memory, and the memory for the next batch."""


def carries_memory(objective: Any) -> TypeGuard[Recurrent]:
    """True for a Recurrent objective."""
    return hasattr(objective, "losses_after")


def start_memory(objective: Any, module: Network, rows: int, *, train: bool) -> Any:
    """The memory before the first batch: () for an objective that carries none."""
    if not carries_memory(objective):
        return ()
    return objective.memory(cast(RecurrentNetwork, module), rows, train)  # `check` refuses networks without a memory


class LossTerm(Protocol):
    """One loss of an `EncoderObjective`, computed on an encoding that its terms share."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads it asks of the network."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields that it reads from the window."""

    def check(self, vocabulary: Vocabulary) -> None:
        """Raises UserError for settings that are wrong or that the vocabulary can't serve."""

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        """The fields it adds or changes, of one example."""

    def losses(
        self, network: Any, encoding: EncoderOutput, batch: Example, vocabulary: Vocabulary, train: bool
    ) -> Losses:
        """Its losses and metrics, on the encoding of the corrupted batch."""


class EncoderObjective:
    """An objective made of loss terms that share one encoding of the corrupted tokens; its total is their sum.

    A subclass is a dataclass with the fields `window` and `static`, and names its terms.
    """

    __slots__ = ()

    kinds: ClassVar[tuple[str, ...]] = ("encoder", "two_stream")  # of two streams the one of the content
    window: Any

    def loss_terms(self) -> Sequence[LossTerm]:
        raise NotImplementedError

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(head for term in self.loss_terms() for head in term.heads))

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        needs = ("tokens", "segments", *(field for term in self.loss_terms() for field in term.needs))
        check_fit(self, network_config, kind, length, needs)
        for term in self.loss_terms():
            term.check(vocabulary)

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        corrupted = dict(example)
        for index, term in enumerate(self.loss_terms()):
            corrupted |= term.corrupt(jax.random.fold_in(key, index), example, vocabulary)
        return corrupted

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        encoding = self.encoding(network, batch)
        losses: dict[str, Weighted] = {}
        metrics: dict[str, Weighted] = {}
        for term in self.loss_terms():
            term_losses, term_metrics = term.losses(network, encoding, batch, vocabulary, train)
            losses |= term_losses
            metrics |= term_metrics
        return losses, metrics

    def encoding(self, network: Any, batch: Example) -> EncoderOutput:
        """The states of the corrupted batch."""
        return network.encode_for_tokens(
            batch["tokens"], batch.get("token_types"), batch.get("positions"), batch["segments"]
        )

    def coefficients(self) -> dict[str, float]:
        return {}


def check_fit(objective: Any, network_config: Any, kind: str, length: int, needs: Sequence[str]) -> None:
    """UserError where the network is of another kind or too short, or the window lacks a field."""
    name, network = type(objective).__name__, type(network_config).__name__
    if kind not in objective.kinds:
        kinds = " or ".join(repr(carried) for carried in objective.kinds)
        raise UserError(
            f"The objective {name} needs a network of kind {kinds}, but {network} is of kind {kind!r}; "
            "choose another objective or another network."
        )
    if length < 1:
        raise UserError(f"train.length is {length}; give the number of tokens in an example, at least 1.")
    max_positions = max_positions_of(network_config)
    if max_positions and length > max_positions:
        raise UserError(
            f"Sequences of train.length={length} are longer than the {max_positions} positions of {network}; "
            "lower train.length or raise model.max_positions."
        )
    missing = [field for field in needs if field not in objective.window.gives]
    if missing:
        raise UserError(
            f"The objective {name} reads {_listed(missing)}, which windows of {type(objective.window).__name__} "
            "do not give; choose another window."
        )


def check_share(name: str, value: float, low: float = 0.0, high: float = 1.0) -> None:
    """UserError where a share lies outside [low, high]."""
    if not low <= value <= high:
        raise UserError(f"{name} is {value}; it must lie between {low:g} and {high:g}.")


def check_rate(name: str, value: float) -> None:
    """UserError where a share is not above 0, as with it nothing would be learned, or is above 1."""
    if not 0 < value <= 1:
        raise UserError(f"{name} is {value}; it must be above 0 and at most 1, else nothing is predicted.")


def binary_metrics(name: str, correct: jax.Array, labels: jax.Array, weights: jax.Array) -> dict[str, Weighted]:
    """The accuracy of a yes-no loss, and the share of yes: always saying the commoner of the two is chance."""
    positives = Weighted.of(labels.astype(jnp.float32), weights)
    return {f"{name}_accuracy": Weighted.of(correct, weights), f"{name}_positives": positives}


def token_metrics(name: str, correct: jax.Array, weights: jax.Array) -> dict[str, Weighted]:
    """The accuracy of a loss, named after it."""
    return {f"{name}_accuracy": Weighted.of(correct, weights)}


def group_metrics(
    groups: Sequence[str], loss: TokenLoss, weights: jax.Array, numbers: jax.Array
) -> dict[str, Weighted]:
    """The loss of each group, under its name, and its accuracy.

    Args:
        groups: names, such as "denoising_en".
        loss, weights: of each target.
        numbers: int32, the group of each target by its place in `groups`; of a shape that broadcasts to the targets'.
    """
    metrics: dict[str, Weighted] = {}
    for number, name in enumerate(groups):
        own = weights * (numbers == number)
        metrics[name] = Weighted.of(loss.loss, own)
        metrics |= token_metrics(name, loss.correct, own)
    return metrics


def groups_of(objective: Any) -> tuple[str, ...]:
    """The names of the groups by which an objective reports its loss; () where it has none."""
    return getattr(objective, "groups", ())


def perplexities_of(objective: Any) -> tuple[str, ...]:
    """The losses whose perplexity a validation gives: those of the groups, and those that the objective names."""
    return (*groups_of(objective), *getattr(objective, "perplexities", ()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)

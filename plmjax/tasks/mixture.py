"""Several tasks learned at once, text to text, each at a rate of its own (Raffel et al. 2020, Sec. 3.5.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from plmjax.errors import UserError
from plmjax.tasks.metrics import lower_is_better, scale_of
from plmjax.tasks.supervised import Example, Split

MEAN = "mean"


def proportional(sizes: Sequence[int], limit: int) -> np.ndarray:
    """Rates as the numbers of examples, of which no task counts more than `limit`: min(e, K) / sum of min(e, K)."""
    counted = np.minimum(np.array(sizes, np.float64), limit)
    return counted / counted.sum()


def tempered(sizes: Sequence[int], limit: int, temperature: float) -> np.ndarray:
    """Those rates to the power 1 / T, their sum made 1 again: T = 1 changes nothing, and a high T makes them equal."""
    powers = proportional(sizes, limit) ** (1.0 / temperature)
    return powers / powers.sum()


def equal(sizes: Sequence[int]) -> np.ndarray:
    """The same rate for each task."""
    return np.full(len(sizes), 1.0 / len(sizes))


@dataclass(frozen=True, slots=True)
class MixedExample(Example):
    """An example of the task number `member`."""

    member: int = 0


@dataclass(slots=True)
class TaskMixture:
    """Tasks whose training examples are drawn by rates; each is validated by its own metrics.

    Attributes:
        members: tasks of plmjax.tasks with names; one without validation examples is learned alone.
        rates: "proportional", "temperature" or "equal".
        limit: K of the first two, the most examples that a task counts for (the paper: 2^16 to 2^21).
        temperature: T of the second.
        sizes: training examples of each member; filled in by `splits`.
    """

    kind: ClassVar[str] = "mixture"
    folds: ClassVar[int] = 0  # there is no cross-validation of a mixture
    num_outputs: ClassVar[int] = 0

    members: tuple[Any, ...] = ()
    rates: str = "proportional"
    limit: int = 2**19
    temperature: float = 2.0
    name: str = ""
    sizes: tuple[int, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The mean of the members' first metrics, which chooses checkpoints, and all of theirs under their names."""
        return (MEAN, *(f"{one.name}_{metric}" for one in self.members for metric in one.metrics))

    def splits(self) -> Split:
        """The members' examples, one after the other.

        Raises:
            UserError: the settings do not fit, or an example is not as it should be.
        """
        self._check()
        parts = [member.splits() for member in self.members]
        self.sizes = tuple(len(part["train"]) for part in parts)
        found: Split = {}
        for number, part in enumerate(parts):
            for split, examples in part.items():
                found.setdefault(split, []).extend(self._mixed(number, one) for one in examples)
        return found

    def shares(self) -> np.ndarray:
        """The members' rates, float64, whose sum is 1; after `splits`."""
        if self.rates == "equal":
            return equal(self.sizes)
        return tempered(self.sizes, self.limit, self.temperature if self.rates == "temperature" else 1.0)

    def order(self, rng: np.random.Generator, examples: Sequence[Any]) -> np.ndarray:
        """As many rows as there are, int64 indices: members by their rates, and of each its own in turn, shuffled."""
        members = np.array([example.member for example in examples])
        drawn = rng.choice(len(self.members), len(examples), p=self.shares())
        order = np.empty(len(examples), np.int64)
        for number in range(len(self.members)):
            own, places = np.flatnonzero(members == number), np.flatnonzero(drawn == number)
            passes = [rng.permutation(own) for _ in range(-(-len(places) // len(own)))]
            order[places] = np.concatenate([*passes, own[:0]])[: len(places)]
        return order

    def measure(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """The metrics of the members that have examples here, and the mean of their first ones as shares."""
        found: dict[str, float] = {}
        firsts: list[float] = []
        for number, member in enumerate(self.members):
            own = [index for index, example in enumerate(examples) if example.member == number]
            if not own:
                continue
            scores = member.measure([examples[index] for index in own], [predictions[index] for index in own])
            first = member.metrics[0]
            firsts.append(scores[first] / scale_of(member.kind, first))
            found |= {f"{member.name}_{metric}": value for metric, value in scores.items()}
        return {MEAN: float(np.mean(firsts))} | found

    def baseline(self, examples: Sequence[Any]) -> None:
        """There is none: a mixture's examples have no answer in common."""

    def notes(self, splits: Mapping[str, Sequence[Any]]) -> list[str]:
        """The rates, and the members' notes."""
        shares = zip(self.members, self.shares(), strict=True)
        found = ["rates: " + ", ".join(f"{member.name} {share:.4f}" for member, share in shares)]
        validated = {one.member for one in splits.get("validation", ())}
        alone = [member.name for number, member in enumerate(self.members) if number not in validated]
        if validated and alone:
            found.append(f"without validation examples, learned alone: {', '.join(alone)}")
        for number, member in enumerate(self.members):
            own = {name: [one for one in examples if one.member == number] for name, examples in splits.items()}
            found += [f"{member.name}, {note}" for note in member.notes(own)]
        return found

    def shown_target(self, example: Any) -> Any:
        """An example's target as JSON."""
        return self.members[example.member].shown_target(example)

    def _mixed(self, number: int, example: Example) -> MixedExample:
        name = f"{self.members[number].name}/{example.id}"
        return MixedExample(name, example.place, example.texts, example.target, example.group, number)

    def _check(self) -> None:
        names = [member.name for member in self.members]
        if len(names) < 2 or len(set(names)) < len(names) or not all(names):
            raise UserError(f"A mixture has two tasks or more, each with a name of its own, and these are {names}.")
        if self.rates not in ("proportional", "temperature", "equal"):
            raise UserError(f"task.rates is {self.rates!r}: choose from proportional, temperature and equal.")
        if self.limit < 1 or not self.temperature > 0:
            raise UserError(
                f"task.limit is {self.limit} and task.temperature {self.temperature}: both must be above 0."
            )
        for member in self.members:
            if lower_is_better(member.metrics[0]):
                raise UserError(
                    f"{member.name} is measured by {member.metrics[0]} first, of which less is better, so that it has "
                    "no place in a mean: name another metric first."
                )

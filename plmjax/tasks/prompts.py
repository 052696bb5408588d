"""Prompts with K examples in context, no gradient (GPT-3, Brown et al. 2020, Sec. 2.4 and App. G)."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from string import Formatter

import numpy as np

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError

Example = tuple[Row, str]  # with its answer


@dataclass(frozen=True, slots=True)
class Prompter:
    """Writes prompts.

    Attributes:
        template: of an example without its answer, "{field}" standing for its fields.
        instruction: before all examples; empty: none.
        separator: between examples; the paper's is a newline.
        seed: draws the examples.
    """

    template: str
    instruction: str = ""
    separator: str = "\n"
    seed: int = 0

    def question(self, row: Row) -> str:
        """An example without its answer; UserError for a field that it lacks."""
        parts = Formatter().parse(self.template)
        return "".join(literal + ("" if name is None else str(row[name])) for literal, name, _, _ in parts)

    def prompt(self, row: Row, examples: Sequence[Example]) -> str:
        """The instruction, the examples with their answers and the question."""
        parts = [f"{self.question(example)} {answer}" for example, answer in examples]
        opening = [self.instruction] if self.instruction else []
        return self.separator.join([*opening, *parts, self.question(row)])

    def drawn(self, pool: Sequence[Example], row: Row, number: int, shots: int) -> list[Example]:
        """The examples in context for test example `number`: drawn anew for each, the first K whatever K is.

        The test example itself is never among them, wherever the two come from one file.
        """
        if not shots:
            return []
        order = np.random.default_rng((self.seed, number)).permutation(len(pool))
        return list(islice((pool[index] for index in order if pool[index][0].place != row.place), shots))

    def fitting(self, row: Row, examples: Sequence[Example], fits: Callable[[str], bool]) -> tuple[str, int]:
        """The prompt with as many of the examples, from the last on, as fit; and how many were left out."""
        count = len(examples)
        dropped = bisect_left(range(count), True, key=lambda number: fits(self.prompt(row, examples[number:])))
        return self.prompt(row, examples[dropped:]), dropped


@dataclass(slots=True)
class Fit:
    """What did not fit beside the questions of an evaluation."""

    dropped: int = 0  # examples
    cut: int = 0  # questions that are too long even alone

    def add(self, dropped: int, fits: bool) -> None:
        """One question's."""
        self.dropped += dropped
        self.cut += not fits

    def notes(self, part: str, questions: int, room: int) -> list[str]:
        """Sentences for the report; none where all fitted."""
        found = []
        if self.dropped:
            found.append(f"{part}: {self.dropped / questions:.2f} of them did not fit into {room} tokens, on average.")
        if self.cut:
            found.append(f"{part}: {self.cut} questions alone are longer than {room} tokens; their starts are cut off.")
        return found


def check_settings(template: str, shots: Sequence[int], train: str, limit: int) -> None:
    """Refuses what can't be meant.

    Raises:
        UserError: a template that can't be read or has no field, numbers of examples that are none, examples without
            a source of them, or a limit below 0.
    """
    try:
        fields = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"config.task.prompt is {template!r} ({error}): write fields as {{field}}.") from error
    if not fields or any(not name or form or conversion for name, form, conversion in fields):
        raise UserError(
            f"config.task.prompt is {template!r}: it needs fields, each written as {{field}}, nothing more."
        )
    if not shots or min(shots) < 0 or len(set(shots)) < len(shots):
        raise UserError(f"config.task.shots is {tuple(shots)}: give numbers of examples, 0 or more, each once.")
    if any(shots) and not train:
        raise UserError(f"config.task.shots is {tuple(shots)}, but config.task.train names no examples: name some.")
    check_limit(limit)


def check_limit(limit: int) -> None:
    """UserError for a limit below 0."""
    if limit < 0:
        raise UserError(f"config.task.limit is {limit}: give the most examples to take, or 0 for all.")


def check_pool(pool: Sequence[Example], shots: Sequence[int], source: str) -> None:
    """UserError where there are fewer examples than are to stand in context, beside the question itself."""
    if shots and max(shots) > max(len(pool) - 1, 0):
        raise UserError(
            f"config.task.shots asks for {max(shots)} examples in context, but {source} has {len(pool)}, one of which "
            "may be the question itself: lower it."
        )


def labels(template: str) -> list[str]:
    """What the template has between fields or line breaks that ends with a colon, such as "Question:"."""
    lines = [line.strip() for literal, _, _, _ in Formatter().parse(template) for line in literal.split("\n")]
    return [line for line in lines if line.endswith(":")]

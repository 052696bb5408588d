"""Prompts with K examples in context, no gradient (GPT-3, Brown et al. 2020, Sec. 2.4 and App. G)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np

from plmjax.data.rows import Row
from plmjax.errors import UserError


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
        names = [name for _, name, _, _ in Formatter().parse(self.template) if name is not None]
        values: Mapping[str, Any] = {name: row[name] for name in names}
        return self.template.format(**values)

    def prompt(self, row: Row, examples: Sequence[tuple[Row, str]]) -> str:
        """The instruction, the examples with their answers and the question."""
        parts = [f"{self.question(example)} {answer}" for example, answer in examples]
        opening = [self.instruction] if self.instruction else []
        return self.separator.join([*opening, *parts, self.question(row)])

    def drawn(self, pool: Sequence[tuple[Row, str]], number: int, shots: int) -> list[tuple[Row, str]]:
        """The examples in context for test example `number`: drawn anew for each, the first K whatever K is."""
        if shots > len(pool):
            raise UserError(
                f"{shots} examples in context are asked for, but there are {len(pool)} to draw from: lower it."
            )
        order = np.random.default_rng((self.seed, number)).permutation(len(pool)) if shots else []
        return [pool[index] for index in order[:shots]]

    def fitting(self, row: Row, examples: list[tuple[Row, str]], fits: Callable[[str], bool]) -> tuple[str, int]:
        """The prompt with as many of the examples, from the last on, as fit; and how many were left out."""
        for dropped in range(len(examples) + 1):
            prompt = self.prompt(row, examples[dropped:])
            if dropped == len(examples) or fits(prompt):
                return prompt, dropped
        raise AssertionError("unreachable")


def check_template(template: str) -> None:
    """UserError for a template whose braces do not match."""
    try:
        list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"config.task.prompt is {template!r} ({error}): write fields as {{field}}.") from error

"""Multiple choice: each choice is read after the context, and the highest scored is chosen (RACE, SWAG, COPA)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.metrics import accuracy_score

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.metrics import Metric, check_metrics, measure, register
from plmjax.tasks.supervised import Example, SupervisedTask, chosen, is_no_answer, text_of

register(Metric("accuracy", ("multiple_choice",), lambda t, p, _: float(accuracy_score(t, p)), is_share=True))


@dataclass(slots=True)
class MultipleChoiceTask(SupervisedTask):
    """One of several texts; every example has as many.

    Attributes:
        context: the first text: a field, or a template with {field}.
        choices: the fields that hold the choices, one each, or one that holds a list.
        question: what stands before each choice, a field or a template; empty: nothing.
        label: the field of the right one: its number from 0, its letter from A or a, or its text.
        count: choices of an example.
        unfold: fields that hold a list with an entry for each question, where a row has several (RACE).
        metric: "accuracy".
    """

    kind: ClassVar[str] = "multiple_choice"

    context: str = "context"
    choices: tuple[str, ...] = ("choices",)
    question: str = ""
    label: str = "label"
    count: int = 4
    unfold: tuple[str, ...] = ()
    metric: tuple[str, ...] = ("accuracy",)

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return 1

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)

    def rows(self, source: str) -> list[Row]:
        rows = read_rows(source, self.columns)
        return [part for row in rows for part in self._unfolded(row)] if self.unfold else rows

    def _unfolded(self, row: Row) -> list[Row]:
        """A row for each question of a row."""
        lists = {name: row[name] for name in self.unfold}
        counts = {len(values) for values in lists.values()}
        if len(counts) != 1:
            raise UserError(
                f"{row.place} has lists of {sorted(counts)} entries in {', '.join(self.unfold)}: correct it."
            )
        return [
            Row({**row.fields, **{name: values[index] for name, values in lists.items()}}, f"{row.place}: {index + 1}")
            for index in range(counts.pop())
        ]

    def example(self, row: Row) -> Example:
        given: list[Any] = [row[name] for name in self.choices]
        given = list(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
        if len(given) != self.count:
            raise UserError(f"{row.place} has {len(given)} choices, not task.count={self.count}: correct one of them.")
        for choice in given:
            if not isinstance(choice, str) or not choice.strip():
                raise UserError(f"{row.place} has the choice {choice!r:.40}: each must be a text that is not empty.")
        question = text_of(row, self.question) + " " if self.question else ""
        texts = (text_of(row, self.context), *(question + choice for choice in given))
        return Example(texts=texts, target=right_one(row, self.label, given), **self.identity(row))

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        answers = [chosen(scores) for scores in predictions]
        targets, groups = [example.target for example in examples], [example.group for example in examples]
        return measure(self.kind, self.metric, targets, answers, groups)

    def baseline(self, examples: Sequence[Example]) -> Any:
        """The commonest number."""
        return np.bincount([example.target for example in examples], minlength=self.count).astype(np.float32)

    def readable(self, prediction: Any) -> dict[str, Any]:
        if is_no_answer(prediction):
            return {"prediction": None}
        return {"prediction": int(np.argmax(prediction)), "scores": [float(score) for score in prediction]}


def right_one(row: Row, field: str, choices: Sequence[str]) -> int:
    """The number of the right choice; UserError where the field names none."""
    value = str(row[field]).strip()
    if value in choices:
        return list(choices).index(value)
    letter = ord(value.upper()) - ord("A") if len(value) == 1 and value.isalpha() else -1
    number = int(value) if value.isascii() and value.isdigit() else letter
    if not 0 <= number < len(choices):
        raise UserError(
            f"{row.place} has the label {value!r:.40} in {field!r}, which is none of its {len(choices)} choices nor "
            "the number or letter of one: correct it, or name another field with --task.label."
        )
    return number

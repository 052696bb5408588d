"""What every task with labels is: where its examples come from, and an example.

A task is a dataclass with the fields of `SupervisedTask` and its own: the fields of a row that it reads, the labels,
the metric. Its methods turn rows into examples, and predictions into numbers. How a network does it is not its
business: see plmjax/finetune.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError

Split = dict[str, list["Example"]]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task.

    Attributes:
        id: names it in the predictions.
        place: "FILE:LINE", for messages.
        texts: what is read: one or two texts; a question and its context; a context and the choices.
        target: the label's number, a number, the words' tags, the answers; None where it is not known.
        group: of examples that are scored or put into folds together.
    """

    id: str
    place: str
    texts: tuple[Any, ...]
    target: Any
    group: str = ""


@dataclass(slots=True)
class SupervisedTask:
    """Where a task's examples come from. See data/examples/rows.py for sources.

    Attributes:
        name: of the task, with which its texts begin where it is done text to text.
        train: source of the examples that are learned.
        validation: source by which the best checkpoint is chosen; empty: see `folds`.
        test: sources that are scored once, with the best checkpoint.
        columns: names of the columns of a table without a header line.
        id: the field that names an example; empty: its place.
        group: the field by which examples belong together; several with commas between, a part of one after a dot.
        folds, fold: where there is no validation source, part number `fold` of `folds` of the training examples, those
            of a group together, is held out; folds=0: nothing is, and the last step is kept.
        limit: so many training examples at most; 0: all.
    """

    kind: ClassVar[str]

    name: str = ""
    train: str = ""
    validation: str = ""
    test: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    id: str = ""
    group: str = ""
    folds: int = 0
    fold: int = 0
    limit: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what `measure` gives, the one first by which checkpoints are chosen."""
        raise NotImplementedError

    @property
    def num_outputs(self) -> int:
        """Numbers that the head gives."""
        raise NotImplementedError

    def example(self, row: Row) -> Example:
        """A row as an example; UserError, with its place, where the row is not as it should be."""
        raise NotImplementedError

    def rows(self, source: str) -> list[Row]:
        """The rows of a source."""
        return read_rows(source, self.columns)

    def examples(self, source: str) -> list[Example]:
        """The examples of a source."""
        return [self.example(row) for row in self.rows(source)]

    def prepare(self) -> None:
        """Checks the settings and fills in what the training examples say; called once, before any example is read."""

    def splits(self) -> Split:
        """{"train", "validation", and each test source: examples}; "validation" is missing where there is none.

        Raises:
            UserError: the settings do not fit, or an example is not as it should be.
        """
        if not self.train:
            raise UserError(
                "The task has no training examples: name a task with --task=NAME, or their file with --task.train=FILE."
            )
        self.prepare()
        train = self.examples(self.train)
        found: Split = {}
        if self.validation:
            found["validation"] = self.examples(self.validation)
        elif self.folds:
            train, found["validation"] = self._held_out(train)
        train = train[: self.limit or None]
        for example in [*train, *found.get("validation", ())]:
            if example.target is None:
                raise UserError(f"{example.place} has no label: examples to learn and to choose by need one.")
        return {"train": train, **found, **{source: self.examples(source) for source in self.test}}

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        """The metrics of predictions, by the names in `metrics`."""
        raise NotImplementedError

    def order(self, rng: np.random.Generator, examples: Sequence[Example]) -> np.ndarray:
        """The order of one pass over rows of these examples, int64 indices."""
        return rng.permutation(len(examples))

    def baseline(self, examples: Sequence[Example]) -> Any:
        """The prediction that needs no reading, from the training examples; None where there is none."""
        return None

    def notes(self, splits: Mapping[str, Sequence[Example]]) -> list[str]:
        """Sentences that say how the metrics of these examples were taken."""
        return []

    def readable(self, prediction: Any) -> dict[str, Any]:
        """A prediction as JSON, for the file of predictions."""
        return {"prediction": prediction}

    def shown_target(self, example: Example) -> Any:
        """An example's target as JSON."""
        return example.target

    def identity(self, row: Row) -> dict[str, str]:
        """The id, place and group of a row's example."""
        name = str(row[self.id]) if self.id else row.place
        parts = [part.split(".") for part in self.group.split(",")] if self.group else []
        group = " ".join(str(reduce(lambda value, key: value[key], keys, row[field])) for field, *keys in parts)
        return {"id": name, "place": row.place, "group": group}

    def _held_out(self, examples: list[Example]) -> tuple[list[Example], list[Example]]:
        if not 0 <= self.fold < self.folds:
            raise UserError(f"task.fold is {self.fold}: it must be from 0 to {self.folds - 1}, of task.folds.")
        keys = [example.group or example.place for example in examples]
        number = {key: index % self.folds for index, key in enumerate(dict.fromkeys(keys))}
        if len(number) < self.folds:
            raise UserError(f"{len(number)} groups do not make {self.folds} folds: lower task.folds.")
        is_out = [number[key] == self.fold for key in keys]
        return (
            [example for example, out in zip(examples, is_out, strict=True) if not out],
            [example for example, out in zip(examples, is_out, strict=True) if out],
        )


NONE = -1  # the number of a label for no answer


def is_no_answer(scores: Any) -> bool:
    """Whether a prediction is none: NaN alone, of what wrote something that is no answer."""
    return bool(np.isnan(np.asarray(scores, np.float64)).all())


def chosen(scores: Any) -> int:
    """The number of the highest score; NONE, which is no label's, where there is no answer."""
    return NONE if is_no_answer(scores) else int(np.argmax(scores))


FIELD = re.compile(r"\{(\w+)\}")


def text_of(row: Row, template: str) -> str:
    """A field's text, or a template's with "{field}" filled in, texts of a list parted by commas.

    Raises:
        UserError: one is missing or empty.
    """
    fields, texts = FIELD.findall(template), {}
    for name in fields or [template]:
        value = row[name]
        if fields and isinstance(value, (list, tuple)) and all(isinstance(text, str) for text in value):
            value = ", ".join(value)
        if not isinstance(value, str) and not (fields and isinstance(value, (int, float))):
            raise UserError(f"{row.place} has {type(value).__name__} {value!r:.40} in {name!r}: a text is needed.")
        if not str(value).strip():
            raise UserError(f"{row.place} has an empty text in {name!r}: fill or drop the line.")
        texts[name] = str(value)
    return FIELD.sub(lambda found: texts[found[1]], template) if fields else texts[template]


def label_of(row: Row, field: str) -> str | bool:
    """A row's label as it is written, or True or False; UserError where there is none, or a list of them."""
    value = row[field]
    if isinstance(value, (list, tuple, dict, set)):
        raise UserError(
            f"{row.place} has {value!r:.40} in {field!r}: an example has one label, so write one, or make an example "
            "of each."
        )
    if value is None or value != value or not str(value).strip():
        raise UserError(f"{row.place} has no label in {field!r} ({value!r}): fill it, or drop the example.")
    return value if isinstance(value, bool) else str(value).strip()


def number_of(row: Row, field: str, labels: Sequence[str]) -> int:
    """The number of a row's label, which is given by name, or by number where no label's name is one."""
    value = label_of(row, field)
    value = str(int(value)) if isinstance(value, bool) and not {"True", "False"} & set(labels) else str(value)
    if value in labels:
        return list(labels).index(value)
    if value.isascii() and value.isdigit() and int(value) < len(labels) and not any(map(str.isdigit, labels)):
        return int(value)
    raise UserError(
        f"{row.place} has the label {value!r:.40} in {field!r}, which is none of {', '.join(labels)}: correct the line "
        "or give all labels with --task.labels."
    )


def label_names(rows: Sequence[Row], field: str) -> tuple[str, ...]:
    """The labels that rows have, sorted; numbers by their size."""
    names = {str(label_of(row, field)) for row in rows}
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))

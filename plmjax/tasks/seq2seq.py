"""Tasks whose answer is a text: summaries, translations, headlines; text_metrics.py has what they are measured by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.metrics import check_metrics, measure
from plmjax.tasks.supervised import FIELD, Example, Split, SupervisedTask, text_of
from plmjax.tasks.text_metrics import signatures


@dataclass(slots=True)
class Seq2SeqTask(SupervisedTask):
    """A text to write for a text.

    Attributes:
        text: what is read: a field of the row, or a template with {field}.
        target: what is to be written: a field, a template, or a field that holds a list, each of whose texts is right
            and the first of which is learned. An empty one is not known; only in tests.
        learn_each: whether each of those texts is learned, as an example of its own.
        metric: names of plmjax.tasks.metrics; checkpoints are chosen by the first.
    """

    kind: ClassVar[str] = "seq2seq"

    text: str = "text"
    target: str = "target"
    learn_each: bool = False
    metric: tuple[str, ...] = ("rougeLsum", "rouge1", "rouge2", "rougeL")

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return 0

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)

    def example(self, row: Row) -> Example:
        return Example(texts=(text_of(row, self.text),), target=self._references(row), **self.identity(row))

    def splits(self) -> Split:
        found = SupervisedTask.splits(self)
        if self.learn_each:
            found["train"] = [replace(one, target=(text,)) for one in found["train"] for text in one.target]
        return found

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        """All metrics but the perplexity, which is the loss's and is added by the task model."""
        references, groups = [example.target for example in examples], [example.group for example in examples]
        return measure(self.kind, self.metric, references, predictions, groups)

    def notes(self, splits: Mapping[str, Sequence[Example]]) -> list[str]:
        """The libraries' signatures, which say how the numbers were taken."""
        found: dict[str, None] = {}
        for examples in splits.values():
            if references := [example.target for example in examples if example.target is not None]:
                found |= dict.fromkeys(signatures(self.metric, references))
        return list(found)

    def shown_target(self, example: Example) -> Any:
        return example.target if example.target is None or len(example.target) > 1 else example.target[0]

    def _references(self, row: Row) -> tuple[str, ...] | None:
        given = text_of(row, self.target) if FIELD.search(self.target) else row[self.target]
        texts = [given] if isinstance(given, str) else given
        if texts is None or texts == [""] or len(texts) == 0:
            return None
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(
                f"{row.place} has {given!r:.60} in {self.target!r}: a text is needed, or a list of texts, none empty."
            )
        return tuple(texts)

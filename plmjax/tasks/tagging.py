"""Tagging of words: named entities, scored by seqeval as CoNLL's script does, or any tags, scored by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

from plmjax.data.examples.conll import read_conll, to_iob2, wrong_tag
from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.supervised import Example, SupervisedTask, check_metrics

SCHEMES = ("IOB1", "IOB2", "none")
ROW_FILES = (".jsonl", ".jsonl.gz", ".zip")
# Of entities, which are right where both ends and the kind are; and of words. Micro averages, as conlleval's.
METRICS = {
    "f1": lambda t, p: float(f1_score(t, p, zero_division=0)),
    "precision": lambda t, p: float(precision_score(t, p, zero_division=0)),
    "recall": lambda t, p: float(recall_score(t, p, zero_division=0)),
    "accuracy": lambda t, p: float(accuracy_score(t, p)),
}


@dataclass(slots=True)
class TokenClassificationTask(SupervisedTask):
    """A tag for each word. Sources are CoNLL's files (data/conll.py) or rows with two lists.

    Whatever the scheme of the files, the network learns IOB2's tags, from which the entities are the same.

    Attributes:
        words, tags: the fields of the two lists.
        word_column, tag_column: of a CoNLL file.
        scheme: of the files' tags: "IOB1" (the original CoNLL-2003), "IOB2" (TFDS) or "none" (parts of speech).
        tag_names: names of the tags where the rows have numbers (TFDS).
        labels: the tags of IOB2, in the order of their numbers; empty: those of the training examples, sorted.
        metric: names in METRICS; checkpoints are chosen by the first. Without a scheme there is only accuracy.
    """

    kind: ClassVar[str] = "token_classification"

    words: str = "tokens"
    tags: str = "tags"
    word_column: int = 0
    tag_column: int = -1
    scheme: str = "IOB2"
    tag_names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metric: tuple[str, ...] = ("f1", "precision", "recall", "accuracy")

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return len(self.labels)

    def rows(self, source: str) -> list[Row]:
        if source.startswith("tfds:") or source.endswith(ROW_FILES):
            return read_rows(source)
        return read_conll(source, self.word_column, self.tag_column)

    def prepare(self) -> None:
        check_metrics(METRICS, self.metric)
        if self.scheme not in SCHEMES:
            raise UserError(f"task.scheme is {self.scheme!r}: choose one of {', '.join(SCHEMES)}.")
        if self.scheme == "none" and self.metric != ("accuracy",):
            raise UserError("Tags without a scheme make no entities: set task.metric to accuracy.")
        if not self.labels:
            found = {tag for row in self.rows(self.train) for tag in self._tags(row)}
            # Each kind that begins can go on, and the other way round, though no example shows it.
            kinds = {tag[2:] for tag in found if tag != "O"} if self.scheme != "none" else set()
            self.labels = tuple(sorted(found | {f"{begin}-{kind}" for kind in kinds for begin in "BI"}))
        if len(self.labels) < 2:
            raise UserError(f"task.labels is {self.labels!r}: two tags or more are needed.")

    def example(self, row: Row) -> Example:
        words = row[self.words]
        if not isinstance(words, list) or not words:
            raise UserError(f"{row.place} has no words in {self.words!r}: a list of words is needed.")
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise UserError(f"{row.place} has an empty word in {self.words!r}: fill or drop it.")
        tags = self._tags(row)
        if len(tags) != len(words):
            raise UserError(f"{row.place} has {len(words)} words and {len(tags)} tags: each word needs one.")
        for word, tag in zip(words, tags, strict=True):
            if tag not in self.labels:
                raise UserError(
                    f"{row.place} tags the word {word!r:.40} with {tag!r}, which is none of {', '.join(self.labels)}: "
                    "correct it or give all tags with --task.labels."
                )
        return Example(texts=tuple(words), target=tuple(tags), **self.identity(row))

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        targets = [list(example.target) for example in examples]
        found = [list(prediction) for prediction in predictions]
        return {name: METRICS[name](targets, found) for name in self.metric}

    def readable(self, prediction: Any) -> dict[str, Any]:
        return {"prediction": list(prediction)}

    def shown_target(self, example: Example) -> Any:
        return list(example.target)

    def _tags(self, row: Row) -> list[str]:
        """The tags of a row in IOB2; UserError for one that its scheme does not allow."""
        given = row[self.tags]
        if not isinstance(given, list):
            raise UserError(f"{row.place} has {type(given).__name__} in {self.tags!r}: a list of tags is needed.")
        tags = [self._named(tag, row) for tag in given]
        wrong = wrong_tag(tags, self.scheme) if self.scheme != "none" else None
        if wrong is not None:
            before = tags[wrong - 1] if wrong else "the start"
            raise UserError(
                f"{row.place} has the tag {tags[wrong]!r} of word {wrong + 1} after {before!r}, which {self.scheme} "
                "does not allow: correct it or set --task.scheme."
            )
        return to_iob2(tags) if self.scheme == "IOB1" else tags

    def _named(self, tag: Any, row: Row) -> str:
        if isinstance(tag, str):
            return tag
        if not 0 <= int(tag) < len(self.tag_names):
            raise UserError(f"{row.place} has the tag number {tag}: give the tags' names with --task.tag_names.")
        return self.tag_names[int(tag)]

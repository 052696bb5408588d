"""Tagging of words: named entities, scored by seqeval as CoNLL's script does, or any tags, scored by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn import metrics as sk

from plmjax.data.examples.conll import read_conll, to_iob2, wrong_tag
from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.metrics import Metric, check_metrics, measure, register
from plmjax.tasks.supervised import Example, SupervisedTask

SCHEMES = ("IOB1", "IOB2", "IOB", "none")
ROW_FILES = (".jsonl", ".jsonl.gz", ".zip")
# Of entities, which are right where both ends and the kind are; and of words. Micro averages, as conlleval's.
for _metric in (
    Metric("f1", ("token_classification",), lambda t, p, _: float(f1_score(t, p, zero_division=0))),
    Metric("precision", ("token_classification",), lambda t, p, _: float(precision_score(t, p, zero_division=0))),
    Metric("recall", ("token_classification",), lambda t, p, _: float(recall_score(t, p, zero_division=0))),
    Metric("accuracy", ("token_classification",), lambda t, p, _: float(accuracy_score(t, p)), is_share=True),
    Metric("macro_tag_f1", ("token_classification",), lambda t, p, _: _macro_tag_f1(t, p)),
):
    register(_metric)
ENTITY_METRICS = ("f1", "precision", "recall")  # which need a scheme
DEFAULT_METRICS = ("f1", "precision", "recall", "accuracy")


def _macro_tag_f1(targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> float:
    """The mean, over the tags that are there, of each tag's F1 over words."""
    gold, said = [tag for row in targets for tag in row], [tag for row in predictions for tag in row]
    labels = sorted(set(gold) | set(said))
    return float(sk.f1_score(gold, said, labels=labels, average="macro", zero_division=0.0))


@dataclass(slots=True)
class TokenClassificationTask(SupervisedTask):
    """A tag for each word. Sources are CoNLL's files (data/examples/conll.py) or rows with two lists.

    Whatever the scheme of the files, the network learns IOB2's tags, from which the entities are the same.

    Attributes:
        words, tags: the fields of the two lists.
        word_column, tag_column: of a CoNLL file.
        scheme: of the files' tags: "IOB1" (the original CoNLL-2003), "IOB2" (TFDS), "IOB" (either, as conlleval and
            seqeval read tags that follow neither strictly: an I- after another kind begins an entity) or "none" (parts
            of speech); empty: IOB2 where each tag of the training examples is O or begins with B- or I-, else none.
        tag_names: names of the tags where the rows have numbers (TFDS).
        labels: the tags of IOB2, in the order of their numbers; empty: those of the training examples, sorted.
        metric: names of plmjax.tasks.metrics; checkpoints are chosen by the first. Without a scheme there are no
            entities: accuracy and macro_tag_f1 are left, and where `metric` is the default these are taken.
    """

    kind: ClassVar[str] = "token_classification"

    words: str = "tokens"
    tags: str = "tags"
    word_column: int = 0
    tag_column: int = -1
    scheme: str = ""
    tag_names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metric: tuple[str, ...] = DEFAULT_METRICS

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
        check_metrics(self.kind, self.metric)
        if self.scheme and self.scheme not in SCHEMES:
            raise UserError(f"task.scheme is {self.scheme!r}: choose one of {', '.join(SCHEMES)}.")
        self.scheme = self.scheme or self._scheme_of_tags()
        if self.scheme == "none" and self.metric == DEFAULT_METRICS:
            self.metric = ("accuracy", "macro_tag_f1")
        if self.scheme == "none" and (of_entities := set(ENTITY_METRICS) & set(self.metric)):
            raise UserError(
                f"task.metric has {min(of_entities)!r}, but tags without a scheme make no entities: choose accuracy or "
                "macro_tag_f1, or set --task.scheme."
            )
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
        return measure(self.kind, self.metric, targets, found)

    def readable(self, prediction: Any) -> dict[str, Any]:
        return {"prediction": list(prediction)}

    def shown_target(self, example: Example) -> Any:
        return list(example.target)

    def _scheme_of_tags(self) -> str:
        """IOB2 where every tag of the training examples can be one of it, else none."""
        tags = self.labels or {self._named(tag, row) for row in self.rows(self.train) for tag in row[self.tags]}
        return "IOB2" if all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags) else "none"

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
                "does not allow: correct it, or set --task.scheme=IOB, by which such a tag begins an entity."
            )
        return to_iob2(tags) if self.scheme in ("IOB1", "IOB") else tags

    def _named(self, tag: Any, row: Row) -> str:
        if isinstance(tag, str):
            return tag
        if not 0 <= int(tag) < len(self.tag_names):
            raise UserError(f"{row.place} has the tag number {tag}: give the tags' names with --task.tag_names.")
        return self.tag_names[int(tag)]

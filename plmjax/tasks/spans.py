"""Answers that are spans of a context: SQuAD 1.1 and 2.0, XQuAD. Scored by the official script's rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.exact_match import exact_match, f1
from plmjax.tasks.metrics import Metric, check_metrics, measure, register
from plmjax.tasks.supervised import Example, SupervisedTask, text_of

for _metric in (
    Metric("f1", ("question_answering",), lambda t, p, _: _mean(f1, p, t)),
    Metric("exact_match", ("question_answering",), lambda t, p, _: _mean(exact_match, p, t), is_share=True),
    Metric("answered_f1", ("question_answering",), lambda t, p, _: _of_answered(f1, p, t)),
    Metric("answered_exact_match", ("question_answering",), lambda t, p, _: _of_answered(exact_match, p, t)),
    Metric("unanswered_accuracy", ("question_answering",), lambda t, p, _: _of_unanswered(p, t)),
    Metric("best_f1", ("question_answering",), None),  # of the best threshold, for which the scores are needed
    Metric("best_exact_match", ("question_answering",), None),
):
    register(_metric)


class SpanPrediction(NamedTuple):
    """The best span.

    Attributes:
        text: its text.
        no_answer: by how much having no answer scores higher than it.
        probability: of its start times that of its end.
        start, end: its characters in the context.
    """

    text: str
    no_answer: float
    probability: float = 0.0
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class QuestionAnsweringTask(SupervisedTask):
    """The answer to a question, out of a context; where `unanswerable`, there may be none.

    Attributes:
        question, context: fields of a row.
        answers, starts: the lists of the answers' texts and of the characters where they start; or `answers` alone, a
            dict of `text` and `answer_start` (TFDS).
        unanswerable: whether a question may have no answer (SQuAD 2.0); then it gets none where that scores higher than
            the best span by more than `threshold`.
        threshold: see there. "best_f1" and "best_exact_match" are those of the best threshold, as the official script
            gives them too.
        metric: names of plmjax.tasks.metrics; checkpoints are chosen by the first.
    """

    kind: ClassVar[str] = "question_answering"

    question: str = "question"
    context: str = "context"
    answers: str = "answers"
    starts: str = "answer_starts"
    unanswerable: bool = False
    threshold: float = 0.0
    metric: tuple[str, ...] = ("f1", "exact_match")

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return 2

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)

    def example(self, row: Row) -> Example:
        question, context = text_of(row, self.question), text_of(row, self.context)
        given = row[self.answers]
        texts, starts = (given["text"], given["answer_start"]) if isinstance(given, dict) else (given, row[self.starts])
        answers = tuple((str(text), int(start)) for text, start in zip(texts, starts, strict=True))
        if not answers and not self.unanswerable:
            raise UserError(f"{row.place} has no answer: give one, or set --task.unanswerable=True.")
        for text, start in answers:
            if not text.strip() or context[start : start + len(text)] != text:
                raise UserError(
                    f"{row.place} has the answer {text!r:.60}, which is not at character {start} of its context: "
                    "correct the answer or its start."
                )
        return Example(texts=(question, context), target=answers, **self.identity(row))

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        golds = [[text for text, _ in example.target] for example in examples]
        given = [self.chosen(prediction) for prediction in predictions]
        found = measure(self.kind, self.metric, golds, given, [example.group for example in examples])
        for name, rule in (("best_f1", f1), ("best_exact_match", exact_match)):
            if name in self.metric:
                found[name] = best_with_threshold(rule, predictions, golds)
        return {name: found[name] for name in self.metric}

    def chosen(self, prediction: SpanPrediction) -> str:
        """The answer that is given; empty for none."""
        return "" if self.unanswerable and prediction.no_answer > self.threshold else prediction.text

    def readable(self, prediction: Any) -> dict[str, Any]:
        shown = {"prediction": self.chosen(prediction)}
        return shown | {"span": prediction.text, "no_answer": prediction.no_answer} if self.unanswerable else shown

    def shown_target(self, example: Example) -> Any:
        return [text for text, _ in example.target]


def best_with_threshold(rule: Any, predictions: Sequence[SpanPrediction], golds: Sequence[Sequence[str]]) -> float:
    """The mean of a rule with the threshold under which it is highest.

    As the threshold rises, questions get their span in the order of their `no_answer`.
    """
    silent = np.array([rule("", gold) for gold in golds])
    spoken = np.array([rule(prediction.text, gold) for prediction, gold in zip(predictions, golds, strict=True)])
    order = np.argsort([prediction.no_answer for prediction in predictions], kind="stable")
    gains = np.cumsum((spoken - silent)[order])
    return float((silent.sum() + max(0.0, gains.max(initial=0.0))) / len(golds))


def _mean(rule: Any, texts: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    scores = [rule(text, answers) for text, answers in zip(texts, golds, strict=True)]
    return sum(scores) / len(scores) if scores else 0.0


def _of_answered(rule: Any, texts: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """The mean over the questions that have an answer."""
    pairs = [(text, answers) for text, answers in zip(texts, golds, strict=True) if answers]
    return _mean(rule, [text for text, _ in pairs], [answers for _, answers in pairs])


def _of_unanswered(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """The share of the questions without an answer that get none."""
    silent = [not text for text, answers in zip(texts, golds, strict=True) if not answers]
    return sum(silent) / len(silent) if silent else 0.0

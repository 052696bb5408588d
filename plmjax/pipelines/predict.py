"""Labels of texts, tags of words, answers to questions and choices among texts, on plain strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities

from plmjax.errors import UserError
from plmjax.pipelines.predictor import PredictedExample, Predictor
from plmjax.tasks.supervised import NONE, Example, chosen

WORD = re.compile(r"\S+")


class LabelPrediction(NamedTuple):
    """The likeliest label and the probability of each; a network that generates its label gives no probabilities."""

    label: str
    probabilities: Mapping[str, float]


class Entity(NamedTuple):
    """A named entity: text[start:end], which is words[first:last]."""

    kind: str
    text: str
    start: int
    end: int
    first: int
    last: int


class TagPrediction(NamedTuple):
    """The tag of each word with its probability, and the entities that the tags make."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    entities: tuple[Entity, ...]


class ChoicePrediction(NamedTuple):
    """The likeliest choice, its number from 0, and the probability of each.

    A network that generates its choice gives no probabilities; None and -1 where its text is no choice.
    """

    text: str | None
    number: int
    probabilities: tuple[float, ...]


class AnswerPrediction(NamedTuple):
    """The likeliest answer, context[start:end].

    Attributes:
        text: empty where the network says that the context has no answer.
        score: the probability of its start times that of its end, over the positions of its window.
        start, end: characters of the context.
        no_answer: the logit of having no answer less that of this answer.
    """

    text: str
    score: float
    start: int
    end: int
    no_answer: float


def classify(predictor: Predictor, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None) -> Any:
    """See `Model.classify`."""
    firsts = as_list(texts)
    seconds = None if pairs is None else as_list(pairs)
    if seconds is not None and len(seconds) != len(firsts):
        raise UserError(f"There are {len(firsts)} texts and {len(seconds)} pairs: give one for each text.")
    if getattr(predictor.task, "pair", "") and seconds is None:
        raise UserError(f"This {predictor.architecture} classifies pairs of texts: give the second ones as `pairs`.")
    together = [(text,) for text in firsts] if seconds is None else list(zip(firsts, seconds, strict=True))
    found = predictor.predict(examples_of(together, None))
    return like(texts, [_labelled(predictor, one) for one in found])


def tag(predictor: Predictor, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> Any:
    """See `Model.tag`."""
    labels = predictor.task.labels
    many = not isinstance(texts, str) and not all(isinstance(one, str) for one in texts)
    rows: list[Any] = list(texts) if many else [texts]
    lines = [row if isinstance(row, str) else " ".join(row) for row in rows]
    words = [tuple(WORD.findall(row) if isinstance(row, str) else row) for row in rows]
    for number, found in enumerate(words, start=1):
        if not found or not all(word.strip() for word in found):
            raise UserError(f"Text {number} has no words, or an empty one: each word gets a tag.")
    # The task model reads nothing of these targets but their number.
    targets = [tuple(labels[:1]) * len(found) for found in words]
    examples = [
        Example(str(number), f"text {number}", found, target)
        for number, (found, target) in enumerate(zip(words, targets, strict=True), start=1)
    ]
    tagged = [
        _tagged(line, found, one) for line, found, one in zip(lines, words, predictor.predict(examples), strict=True)
    ]
    return tagged if many else tagged[0]


def answer(predictor: Predictor, questions: str | Sequence[str], contexts: str | Sequence[str]) -> Any:
    """See `Model.answer`."""
    asked = as_list(questions)
    read = [contexts] * len(asked) if isinstance(contexts, str) else list(contexts)
    if len(read) != len(asked):
        raise UserError(
            f"There are {len(asked)} questions and {len(read)} contexts: give one context, or one for each question."
        )
    found = predictor.predict(examples_of(list(zip(asked, read, strict=True)), ()))
    return like(questions, [_answered(predictor.task, one.prediction) for one in found])


def choose(predictor: Predictor, contexts: str | Sequence[str], choices: Sequence[Any]) -> Any:
    """See `Model.choose`."""
    firsts = as_list(contexts)
    rows = [as_list(row) for row in ([choices] if isinstance(contexts, str) else choices)]
    if len(rows) != len(firsts):
        raise UserError(
            f"There are {len(firsts)} contexts and {len(rows)} lists of choices: give one list for each context."
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != predictor.task.count:
            raise UserError(f"Text {number} has {len(row)} choices: this network takes {predictor.task.count}.")
    read = predictor.predict(examples_of([(first, *row) for first, row in zip(firsts, rows, strict=True)], None))
    return like(contexts, [_chosen(predictor, row, one.prediction) for row, one in zip(rows, read, strict=True)])


def as_list(texts: str | Sequence[str], *, may_be_empty: bool = False) -> list[str]:
    """The strings as a list; UserError for a blank one, unless it `may_be_empty` and has no blank either."""
    found = [texts] if isinstance(texts, str) else list(texts)
    for number, text in enumerate(found, start=1):
        if not isinstance(text, str) or not (text.strip() or (may_be_empty and not text)):
            raise UserError(f"Text {number} is {text!r:.40}: give a string that is not blank.")
    return found


def like(given: Any, found: list[Any]) -> Any:
    """The one result for a string, the list for a list."""
    return found[0] if isinstance(given, str) else found


def examples_of(texts: Sequence[tuple[str, ...]], target: Any) -> list[Example]:
    """The texts as examples, numbered from 1."""
    return [Example(str(number), f"text {number}", found, target) for number, found in enumerate(texts, start=1)]


def _labelled(predictor: Predictor, one: PredictedExample) -> Any:
    shown = predictor.task.readable(one.prediction)
    if predictor.task.kind == "regression":
        return shown["prediction"]
    return LabelPrediction(shown["prediction"], {} if predictor.generates_text else shown.get("probabilities", {}))


def _chosen(predictor: Predictor, choices: list[str], scores: Any) -> ChoicePrediction:
    number = chosen(scores)
    if number == NONE or predictor.generates_text:
        return ChoicePrediction(None if number == NONE else choices[number], number, ())
    shares = np.exp(np.asarray(scores, np.float64) - np.max(scores))
    return ChoicePrediction(choices[number], number, tuple((shares / shares.sum()).tolist()))


def _tagged(text: str, words: tuple[str, ...], one: PredictedExample) -> TagPrediction:
    [(feature, output)] = one.rows
    tags = tuple(one.prediction)
    probabilities = output["probabilities"][feature.origin].tolist()
    places: list[tuple[int, int]] = []
    for word in words:
        at = text.index(word, places[-1][1] if places else 0)
        places.append((at, at + len(word)))
    entities = []
    for kind, first, last in get_entities(list(tags)):
        start, end = places[first][0], places[last][1]
        entities.append(Entity(kind, text[start:end], start, end, first, last + 1))
    return TagPrediction(words, tags, tuple(probabilities), tuple(entities))


def _answered(task: Any, prediction: Any) -> AnswerPrediction:
    text = task.chosen(prediction)
    return AnswerPrediction(text, prediction.probability, prediction.start, prediction.end, prediction.no_answer)

"""Labels of texts, tags of words, answers to questions and choices among texts, on plain strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities

from plmjax.errors import UserError
from plmjax.interop import Pretrained
from plmjax.pipelines.predictor import Read, Reading
from plmjax.tasks.supervised import NONE, Example, chosen

WORD = re.compile(r"\S+")


class Labelling(NamedTuple):
    """A text's likeliest label and the probability of each; a network that writes its label gives no probabilities."""

    label: str
    probabilities: Mapping[str, float]


class Entity(NamedTuple):
    """Words that belong together: text[start:end], of words [first, last)."""

    kind: str
    text: str
    start: int
    end: int
    first: int
    last: int


class Tagged(NamedTuple):
    """The tag of each word with its probability, and the entities that the tags make."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    entities: tuple[Entity, ...]


class Chosen(NamedTuple):
    """The likeliest choice, its number from 0, and the probability of each.

    A network that writes its choice gives no probabilities; None and -1 where what it wrote is no choice.
    """

    text: str | None
    number: int
    probabilities: tuple[float, ...]


class Found(NamedTuple):
    """The likeliest answer, context[start:end].

    Attributes:
        text: empty where the network was taught that there may be none, and says so.
        score: the probability of its start times that of its end, among the places of its window.
        start, end: characters of the context.
        no_answer: by how much having no answer scores higher, in logits.
    """

    text: str
    score: float
    start: int
    end: int
    no_answer: float


def classify(pretrained: Pretrained, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None) -> Any:
    """See `Pretrained.classify`."""
    reading: Reading = pretrained.reading("classify texts", ("classification", "regression"))
    firsts = as_list(texts)
    seconds = None if pairs is None else as_list(pairs)
    if seconds is not None and len(seconds) != len(firsts):
        raise UserError(f"There are {len(firsts)} texts and {len(seconds)} to pair them with: give as many.")
    if getattr(reading.task, "pair", "") and seconds is None:
        raise UserError(f"This {pretrained.architecture} was taught pairs of texts: give the second ones as `pairs`.")
    together = [(text,) for text in firsts] if seconds is None else list(zip(firsts, seconds, strict=True))
    found = reading.read(examples_of(together, None))
    return like(texts, [_labelled(reading, one) for one in found])


def tag(pretrained: Pretrained, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> Any:
    """See `Pretrained.tag`."""
    reading: Reading = pretrained.reading("tag words", ("token_classification",))
    labels = reading.task.labels
    many = not isinstance(texts, str) and not all(isinstance(one, str) for one in texts)
    rows: list[Any] = list(texts) if many else [texts]
    lines = [row if isinstance(row, str) else " ".join(row) for row in rows]
    words = [tuple(WORD.findall(row) if isinstance(row, str) else row) for row in rows]
    for number, found in enumerate(words, start=1):
        if not found or not all(word.strip() for word in found):
            raise UserError(f"Text {number} has an empty word, or none: tags are of words.")
    targets = [
        tuple(labels[:1]) * len(found) for found in words
    ]  # of which the task model reads no more than their number
    examples = [
        Example(str(number), f"text {number}", found, target)
        for number, (found, target) in enumerate(zip(words, targets, strict=True), start=1)
    ]
    tagged = [_tagged(line, found, one) for line, found, one in zip(lines, words, reading.read(examples), strict=True)]
    return tagged if many else tagged[0]


def answer(pretrained: Pretrained, questions: str | Sequence[str], contexts: str | Sequence[str]) -> Any:
    """See `Pretrained.answer`."""
    reading: Reading = pretrained.reading("answer questions", ("question_answering",))
    asked = as_list(questions)
    read = [contexts] * len(asked) if isinstance(contexts, str) else list(contexts)
    if len(read) != len(asked):
        raise UserError(f"There are {len(asked)} questions and {len(read)} contexts: give one context, or as many.")
    found = reading.read(examples_of(list(zip(asked, read, strict=True)), ()))
    return like(questions, [_answered(reading.task, one.prediction) for one in found])


def choose(pretrained: Pretrained, contexts: str | Sequence[str], choices: Sequence[Any]) -> Any:
    """See `Pretrained.choose`."""
    reading: Reading = pretrained.reading("choose among texts", ("multiple_choice",))
    firsts = as_list(contexts)
    rows = [as_list(row) for row in ([choices] if isinstance(contexts, str) else choices)]
    if len(rows) != len(firsts):
        raise UserError(f"There are {len(firsts)} contexts and {len(rows)} lists of choices: give as many.")
    for number, row in enumerate(rows, start=1):
        if len(row) != reading.task.count:
            raise UserError(f"Text {number} has {len(row)} choices: this network was taught {reading.task.count}.")
    read = reading.read(examples_of([(first, *row) for first, row in zip(firsts, rows, strict=True)], None))
    return like(contexts, [_chosen(reading, row, one.prediction) for row, one in zip(rows, read, strict=True)])


def as_list(texts: str | Sequence[str]) -> list[str]:
    """One string or several, none of them blank."""
    found = [texts] if isinstance(texts, str) else list(texts)
    for number, text in enumerate(found, start=1):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"Text {number} is {text!r:.40}: a string that is not empty is needed.")
    return found


def like(given: Any, found: list[Any]) -> Any:
    """One result for a string, a list for a list."""
    return found[0] if isinstance(given, str) else found


def examples_of(texts: Sequence[tuple[str, ...]], target: Any) -> list[Example]:
    """Examples, named by their numbers from 1."""
    return [Example(str(number), f"text {number}", found, target) for number, found in enumerate(texts, start=1)]


def _labelled(reading: Reading, one: Read) -> Any:
    shown = reading.task.readable(one.prediction)
    if reading.task.kind == "regression":
        return shown["prediction"]
    return Labelling(shown["prediction"], {} if reading.writes else shown.get("probabilities", {}))


def _chosen(reading: Reading, choices: list[str], scores: Any) -> Chosen:
    number = chosen(scores)
    if number == NONE or reading.writes:
        return Chosen(None if number == NONE else choices[number], number, ())
    shares = np.exp(np.asarray(scores, np.float64) - np.max(scores))
    return Chosen(choices[number], number, tuple((shares / shares.sum()).tolist()))


def _tagged(text: str, words: tuple[str, ...], one: Read) -> Tagged:
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
    return Tagged(words, tags, tuple(probabilities), tuple(entities))


def _answered(task: Any, prediction: Any) -> Found:
    text = task.chosen(prediction)
    return Found(text, prediction.probability, prediction.start, prediction.end, prediction.no_answer)

"""Every task as a text to write for a text (Raffel et al. 2020, Sec. 2.4 and App. D, and the released code).

A task of the catalogue has T5's prefix, its features in T5's order and its label words. Any other has its name before
its features: "NAME text: ...". What is written counts as an answer where it is one of the label words, as the tokenizer
spells them; anything else is no answer, which is never right.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from plmjax.errors import UserError
from plmjax.tasks.labelled import FIELD, Example
from plmjax.tasks.spans import Answer

Spelled = Callable[[str], str]
"""A text as it is read off again from its tokens."""

NO_ANSWER = "no answer"  # written for a question that its context does not answer
SILENT, SPOKEN = 1.0, -1.0  # by how much having no answer is the better answer


@dataclass(frozen=True)
class Wording:
    """What T5 says of a task.

    Attributes:
        prefix: before the features.
        fields: of the task, where T5's features are other ones than its texts: the first text is then all features.
        step: of numbers, to the nearest multiple of which they are rounded; 0: they have three digits.
        clean: what is changed in a text.
    """

    prefix: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    step: float = 0.0
    clean: Callable[[str], str] = str.strip


def without_tags(text: str) -> str:
    """Without MultiRC's marks of sentences."""
    return " ".join(re.sub(r"<br>|</?b>", " ", text).split())


def with_spaces(text: str) -> str:
    """Spaces around punctuation, as in T5's SQuAD."""
    return " ".join(re.sub(f"([{re.escape(string.punctuation)}])", r" \1 ", text).split())


WORDINGS: dict[str, Wording] = {
    **{name: Wording(name) for name in ("cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "boolq", "cb")},
    "stsb": Wording("stsb", step=0.2),
    "super_rte": Wording("rte"),
    "sst2_files": Wording("sst2"),
    "cola_files": Wording("cola"),
    "multirc": Wording(
        "multirc",
        {"text": "question: {question} answer: {answer} paragraph: {paragraph}", "pair": ""},
        clean=without_tags,
    ),
    "wic": Wording("wic", {"text": "sentence1: {sentence1} sentence2: {sentence2} word: {word}", "pair": ""}),
    "copa": Wording(
        "copa",
        {"context": "choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}"},
    ),
    **{name: Wording("", clean=with_spaces) for name in ("squad", "squad2", "squad_files", "xquad")},
    **{name: Wording("summarize:") for name in ("cnn_dm", "cnn_dm_files", "xsum", "xsum_files")},
    "wmt_en_de": Wording("translate English to German:"),
    "wmt_en_fr": Wording("translate English to French:"),
    "wmt_en_ro": Wording("translate English to Romanian:"),
    "wmt_ro_en": Wording("translate Romanian to English:"),
    "multi30k_files": Wording("translate English to German:"),
}


def wording_of(task: Any) -> Wording:
    """T5's of a task of the catalogue; of another its name, with a colon where the features have no names."""
    if task.name in WORDINGS:
        return WORDINGS[task.name]
    colon = ":" if task.name and task.kind == "writing" else ""
    return Wording(task.name + colon)


def worded(task: Any) -> Any:
    """The task with the texts of its wording; called before an example is read. It may be called twice."""
    return replace(task, **wording_of(task).fields)


@dataclass(frozen=True)
class Form:
    """A kind of task in words.

    Attributes:
        task: after `worded` and its `prepare`.
        spelled: see there.
    """

    task: Any
    spelled: Spelled

    counts_invalid: ClassVar[bool] = False  # whether a text may be no answer

    @property
    def wording(self) -> Wording:
        """Of the task."""
        return wording_of(self.task)

    def source(self, example: Example) -> str:
        """What is read."""
        wording = self.wording
        cleaned = replace(example, texts=tuple(map(wording.clean, example.texts)))
        features = cleaned.texts[0] if wording.fields else self.features(cleaned)
        return f"{wording.prefix} {features}".strip()

    def features(self, example: Example) -> str:
        """The texts under their names."""
        raise NotImplementedError

    def target(self, example: Example) -> str:
        """What is to be written of an example whose target is known."""
        raise NotImplementedError

    def answer(self, example: Example, text: str) -> Any:
        """The prediction that a text is, of the task's kind; NaN alone where it is no answer."""
        raise NotImplementedError


class Pairs(Form):
    """One text or two, sorted by their fields' names."""

    counts_invalid: ClassVar[bool] = True

    def features(self, example: Example) -> str:
        given = [template for template in (self.task.text, self.task.pair) if template]
        numbered = ["text"] if len(given) == 1 else ["text1", "text2"]
        names = [usual if FIELD.search(one) else one for one, usual in zip(given, numbered, strict=True)]
        pairs = zip(names, example.texts, strict=True)
        return " ".join(f"{name}: {text}" for name, text in sorted(pairs, key=lambda pair: pair[0]))


class Labels(Pairs):
    """A label's name."""

    def target(self, example: Example) -> str:
        return self.task.labels[example.target]

    def answer(self, example: Example, text: str) -> Any:
        return one_of(self.task.labels, text, self.spelled)


class Numbers(Pairs):
    """A number, rounded."""

    def target(self, example: Example) -> str:
        step = self.wording.step
        return f"{round(example.target / step) * step:.1f}" if step else f"{example.target:.3g}"

    def answer(self, example: Example, text: str) -> Any:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        return np.array([value if math.isfinite(value) else math.nan])


class Choices(Form):
    """The name of a choice: choice1, choice2 and so on."""

    counts_invalid: ClassVar[bool] = True

    def features(self, example: Example) -> str:
        context, *choices = example.texts
        named = [f"{name}: {text}" for name, text in zip(self._names(), choices, strict=True)]
        return " ".join([*named, f"context: {context}"])

    def target(self, example: Example) -> str:
        return self._names()[example.target]

    def answer(self, example: Example, text: str) -> Any:
        return one_of(self._names(), text, self.spelled)

    def _names(self) -> list[str]:
        return [f"choice{number + 1}" for number in range(self.task.count)]


class Spoken(Form):
    """An answer in the words of its context."""

    def features(self, example: Example) -> str:
        question, context = example.texts
        return f"question: {question} context: {context}"

    def target(self, example: Example) -> str:
        return self.wording.clean(example.target[0][0]) if example.target else NO_ANSWER

    def answer(self, example: Example, text: str) -> Any:
        if self.task.unanswerable and text == self.spelled(NO_ANSWER):
            return Answer("", SILENT)
        return Answer(as_in(example.texts[1], text), SPOKEN)


class Texts(Form):
    """A text, as it is."""

    def features(self, example: Example) -> str:
        return example.texts[0]

    def target(self, example: Example) -> str:
        return example.target[0]

    def answer(self, example: Example, text: str) -> Any:
        return text


FORMS: dict[str, type[Form]] = {
    "classification": Labels,
    "regression": Numbers,
    "multiple_choice": Choices,
    "spans": Spoken,
    "writing": Texts,
}


def form_of(task: Any, spelled: Spelled) -> Form:
    """The form of a task's kind; UserError where it has none."""
    if task.kind not in FORMS:
        raise UserError(f"A task of kind {task.kind!r} is not done by writing: it must be one of {', '.join(FORMS)}.")
    return FORMS[task.kind](task, spelled)


def one_of(words: Any, text: str, spelled: Spelled) -> np.ndarray:
    """1 at the word that a text is and 0 elsewhere; NaN everywhere where it is none.

    Raises:
        UserError: the tokenizer spells two of the words alike.
    """
    known = [spelled(word) for word in words]
    if len(set(known)) < len(known):
        raise UserError(f"The tokenizer can't tell apart all of {', '.join(words)}: give other names of labels.")
    if text not in known:
        return np.full(len(known), np.nan)
    return np.array([float(word == text) for word in known])


def as_in(context: str, text: str) -> str:
    """The characters of a context that a text is but for blanks and case; the text where there are none."""
    places = [place for place, character in enumerate(context) if not character.isspace()]
    squeezed = "".join(context[place] for place in places)
    wanted = "".join(text.split())
    for whole, part in ((squeezed, wanted), (squeezed.lower(), wanted.lower())):
        at = whole.find(part)
        if part and at >= 0 and len(whole) == len(places):
            return context[places[at] : places[at + len(part) - 1] + 1]
    return text

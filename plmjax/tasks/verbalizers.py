"""Every kind of task as a text to write for a text (Raffel et al. 2020, Sec. 2.4), in the words of wordings.py.

What is written counts as an answer where it is one of the label words, as the tokenizer
spells them; anything else is no answer, which is never right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from plmjax.errors import UserError
from plmjax.tasks.prompts_text_to_text import PromptTemplate, prompt_template_of
from plmjax.tasks.pronouns import same_noun
from plmjax.tasks.spans import SpanPrediction
from plmjax.tasks.supervised import FIELD, Example, is_no_answer

Spelled = Callable[[str], str]
"""A text as it is read off again from its tokens."""

NO_ANSWER = "no answer"  # written for a question that its context does not answer
SILENT, SPOKEN = 1.0, -1.0  # by how much having no answer is the better answer


@dataclass(frozen=True)
class Verbalizer:
    """A kind of task in words.

    Attributes:
        task: after `worded` and its `prepare`.
        spelled: see there.
    """

    task: Any
    spelled: Spelled

    may_be_none: ClassVar[bool] = False  # whether a text may be no answer

    @property
    def prompt_template(self) -> PromptTemplate:
        """Of the task."""
        return prompt_template_of(self.task)

    def source(self, example: Example) -> str:
        """What is read."""
        prompt_template = self.prompt_template
        cleaned = replace(example, texts=tuple(map(prompt_template.clean, example.texts)))
        features = cleaned.texts[0] if prompt_template.fields else self.features(cleaned)
        return f"{prompt_template.prefix} {features}".strip()

    def features(self, example: Example) -> str:
        """The texts under their names."""
        raise NotImplementedError

    def target(self, example: Example) -> str:
        """What is to be written of an example whose target is known."""
        raise NotImplementedError

    def answer(self, example: Example, text: str) -> Any:
        """The prediction that a text is, of the task's kind; NaN alone where it is no answer."""
        raise NotImplementedError

    def is_none(self, example: Example, prediction: Any) -> bool:
        """Whether a prediction is no answer."""
        return self.may_be_none and is_no_answer(prediction)

    def shown(self, example: Example, prediction: Any) -> Any:
        """A prediction as JSON."""
        return self.task.readable(prediction)["prediction"]


class TextPairVerbalizer(Verbalizer):
    """One text or two, sorted by their fields' names."""

    may_be_none: ClassVar[bool] = True

    def features(self, example: Example) -> str:
        given = [template for template in (self.task.text, self.task.pair) if template]
        numbered = ["text"] if len(given) == 1 else ["text1", "text2"]
        names = [usual if FIELD.search(one) else one for one, usual in zip(given, numbered, strict=True)]
        pairs = zip(names, example.texts, strict=True)
        return " ".join(f"{name}: {text}" for name, text in sorted(pairs, key=lambda pair: pair[0]))


class LabelVerbalizer(TextPairVerbalizer):
    """A label's name."""

    def target(self, example: Example) -> str:
        return self.task.labels[example.target]

    def answer(self, example: Example, text: str) -> Any:
        return one_of(self.task.labels, text, self.spelled)


class NounVerbalizer(LabelVerbalizer):
    """The noun that is asked about, whether it is the right one or not; only what names it says that it is."""

    may_be_none: ClassVar[bool] = False

    def target(self, example: Example) -> str:
        return example.texts[1]

    def answer(self, example: Example, text: str) -> Any:
        return np.eye(2)[int(same_noun(text, example.texts[1]))]


class NumberVerbalizer(TextPairVerbalizer):
    """A number, rounded."""

    def target(self, example: Example) -> str:
        step = self.prompt_template.step
        if not step:
            return f"{example.target:.3g}"
        # In float32 and halves to even, as released (t5/data/preprocessors.py:853): 2.3 becomes 2.4.
        parts = np.float32(round(1 / step))
        return f"{np.round(np.float32(example.target) * parts) / parts:.1f}"

    def answer(self, example: Example, text: str) -> Any:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        return np.array([value if math.isfinite(value) else math.nan])


class ChoiceVerbalizer(Verbalizer):
    """The name of a choice: choice1, choice2 and so on."""

    may_be_none: ClassVar[bool] = True

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


class ChosenTextVerbalizer(ChoiceVerbalizer):
    """The text of a choice."""

    def target(self, example: Example) -> str:
        return example.texts[1 + example.target]

    def answer(self, example: Example, text: str) -> Any:
        is_it = [self.spelled(choice) == text for choice in example.texts[1:]]
        return np.where(any(is_it), np.array(is_it, np.float64), np.nan)


class AnswerVerbalizer(Verbalizer):
    """An answer in the words of its context."""

    def features(self, example: Example) -> str:
        question, context = example.texts
        return f"question: {question} context: {context}"

    def target(self, example: Example) -> str:
        return self.prompt_template.clean(example.target[0][0]) if example.target else NO_ANSWER

    def answer(self, example: Example, text: str) -> Any:
        if self.task.unanswerable and text == self.spelled(NO_ANSWER):
            return SpanPrediction("", SILENT)
        return SpanPrediction(as_in(example.texts[1], text), SPOKEN)


class TextVerbalizer(Verbalizer):
    """A text, as it is."""

    def features(self, example: Example) -> str:
        return example.texts[0]

    def target(self, example: Example) -> str:
        return example.target[0]

    def answer(self, example: Example, text: str) -> Any:
        return text


class MixtureVerbalizer(Verbalizer):
    """A mixture: each example in the form of its own task."""

    def source(self, example: Any) -> str:
        return self._of(example).source(example)

    def target(self, example: Any) -> str:
        return self._of(example).target(example)

    def answer(self, example: Any, text: str) -> Any:
        return self._of(example).answer(example, text)

    def is_none(self, example: Any, prediction: Any) -> bool:
        return self._of(example).is_none(example, prediction)

    def shown(self, example: Any, prediction: Any) -> Any:
        return self._of(example).shown(example, prediction)

    def _of(self, example: Any) -> Verbalizer:
        return verbalizer_of(self.task.members[example.member], self.spelled)


VERBALIZERS: dict[str, type[Verbalizer]] = {
    "classification": LabelVerbalizer,
    "regression": NumberVerbalizer,
    "multiple_choice": ChoiceVerbalizer,
    "question_answering": AnswerVerbalizer,
    "seq2seq": TextVerbalizer,
    "mixture": MixtureVerbalizer,
}
OTHER_VERBALIZERS: dict[str, type[Verbalizer]] = {
    "noun": NounVerbalizer,
    "chosen text": ChosenTextVerbalizer,
}  # which wordings ask for


def verbalizer_of(task: Any, spelled: Spelled) -> Verbalizer:
    """The verbalizer of a task's kind; UserError where it has none."""
    if task.kind not in VERBALIZERS:
        known = ", ".join(VERBALIZERS)
        raise UserError(f"A task of kind {task.kind!r} is not done by writing: it must be one of {known}.")
    return OTHER_VERBALIZERS.get(prompt_template_of(task).form, VERBALIZERS[task.kind])(task, spelled)


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

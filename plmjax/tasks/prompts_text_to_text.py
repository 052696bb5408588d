"""What T5 says of the tasks of the catalogue (Raffel et al. 2020, App. D, and the released code).

A task of the catalogue has T5's prefix, its features in T5's order and its label words. Any other has its name before
its features: "NAME text: ...". WNLI is worded as other pairs are: the paper leaves it out.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class PromptTemplate:
    """What T5 says of a task.

    Attributes:
        prefix: before the features.
        fields: of the task, where T5's features are other ones than its texts: the first text is then all features.
        step: of numbers, to the nearest multiple of which they are rounded; 0: they have three digits.
        clean: what is changed in a text.
        form: of text_forms.OTHER_FORMS; empty: that of the task's kind.
    """

    prefix: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    step: float = 0.0
    clean: Callable[[str], str] = str.strip
    form: str = ""


def without_tags(text: str) -> str:
    """MultiRC's text without marks: a break becomes a space, a mark nothing (t5/data/preprocessors.py:795-798)."""
    return " ".join(re.sub("</?b>", "", text.replace("<br>", " ")).split())


def without_highlights(text: str) -> str:
    """ReCoRD's passage, the sentences of its summary after the others."""
    ended = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", text.strip())
    return ended.replace("\n@highlight\n", ". ")


def with_spaces(text: str) -> str:
    """Spaces around punctuation, as in T5's SQuAD."""
    return " ".join(re.sub(f"([{re.escape(string.punctuation)}])", r" \1 ", text).split())


PROMPT_TEMPLATES: dict[str, PromptTemplate] = {
    **{
        name: PromptTemplate(name)
        for name in ("cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "boolq", "cb")
    },
    "stsb": PromptTemplate("stsb", step=0.2),
    "super_rte": PromptTemplate("rte"),
    "sst2_files": PromptTemplate("sst2"),
    "cola_files": PromptTemplate("cola"),
    "multirc": PromptTemplate(
        "multirc",
        {"text": "question: {question} answer: {answer} paragraph: {paragraph}", "pair": ""},
        clean=without_tags,
    ),
    "wic": PromptTemplate("wic", {"text": "sentence1: {sentence1} sentence2: {sentence2} word: {word}", "pair": ""}),
    "copa": PromptTemplate(
        "copa",
        {"context": "choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}"},
    ),
    "wsc": PromptTemplate("wsc:", {"text": "marked", "pair": "span1_text", "learned": ("True",)}, form="noun"),
    "dpr": PromptTemplate("wsc:", {"context": "marked", "question": ""}, form="chosen text"),
    "record": PromptTemplate("record", clean=without_highlights),
    **{name: PromptTemplate("", clean=with_spaces) for name in ("squad", "squad2", "squad_files", "xquad")},
    **{name: PromptTemplate("summarize:") for name in ("cnn_dm", "cnn_dm_files", "xsum", "xsum_files")},
    "wmt_en_de": PromptTemplate("translate English to German:"),
    "wmt_en_fr": PromptTemplate("translate English to French:"),
    "wmt_en_ro": PromptTemplate("translate English to Romanian:"),
    "wmt_ro_en": PromptTemplate("translate Romanian to English:"),
    "multi30k_files": PromptTemplate("translate English to German:"),
}


def prompt_template_of(task: Any) -> PromptTemplate:
    """T5's of a task of the catalogue; of another, if named alike, its name, with a colon where features have none."""
    known = PROMPT_TEMPLATES.get(task.name)
    if known is not None and all(hasattr(task, name) for name in known.fields):
        return known
    colon = ":" if task.name and task.kind == "seq2seq" else ""
    return PromptTemplate(task.name + colon)


def with_prompts(task: Any) -> Any:
    """The task with the texts of its prompt template; called before an example is read. It may be called twice."""
    if task.kind == "mixture":
        return replace(task, members=tuple(map(with_prompts, task.members)))
    return replace(task, **prompt_template_of(task).fields)

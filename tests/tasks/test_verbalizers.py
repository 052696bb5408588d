"""T5's words for each task (Raffel et al. 2020, App. D), and what a text counts as that is no answer."""

from typing import Any

import numpy as np
import pytest

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.prompts_text_to_text import with_prompts, without_tags
from plmjax.tasks.pronouns import PronounChoiceTask, WinogradTask
from plmjax.tasks.registry import GLUE, SUPER_GLUE, named
from plmjax.tasks.spans import QuestionAnsweringTask, SpanPrediction
from plmjax.tasks.supervised import Example
from plmjax.tasks.tagging import TokenClassificationTask
from plmjax.tasks.verbalizers import Verbalizer, as_in, verbalizer_of

# name -> (a row, T5's source, its target)
PAIR = {"sentence1": "A b.", "sentence2": "C d."}
FORMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "cola": ({"sentence": "A b.", "label": 1}, "cola sentence: A b.", "acceptable"),
    "sst2": ({"sentence": "A b.", "label": 0}, "sst2 sentence: A b.", "negative"),
    "mrpc": (PAIR | {"label": 0}, "mrpc sentence1: A b. sentence2: C d.", "not_equivalent"),
    "stsb": (PAIR | {"label": 3.25}, "stsb sentence1: A b. sentence2: C d.", "3.2"),
    "qqp": (
        {"question1": "A?", "question2": "B?", "label": 1},
        "qqp question1: A? question2: B?",
        "duplicate",
    ),
    "mnli": (
        {"premise": "A b.", "hypothesis": "C d.", "label": 1},
        "mnli hypothesis: C d. premise: A b.",
        "neutral",
    ),
    "qnli": ({"question": "A?", "sentence": "B.", "label": 0}, "qnli question: A? sentence: B.", "entailment"),
    "rte": (PAIR | {"label": 1}, "rte sentence1: A b. sentence2: C d.", "not_entailment"),
    "boolq": (
        {"question": "is it", "passage": "It is.", "label": True},
        "boolq passage: It is. question: is it",
        "True",
    ),
    "cb": (
        {"premise": "A b.", "hypothesis": "C d.", "label": "contradiction"},
        "cb hypothesis: C d. premise: A b.",
        "contradiction",
    ),
    "super_rte": (
        {"premise": "A b.", "hypothesis": "C d.", "label": 0},
        "rte hypothesis: C d. premise: A b.",
        "entailment",
    ),
    "multirc": (
        {
            "paragraph": "<b>Sent 1: </b>A b.<br><b>Sent 2: </b>C d.<br>",
            "question": "Who?",
            "answer": "Ann",
            "label": 0,
            "idx": {"paragraph": 1, "question": 2},
        },
        "multirc question: Who? answer: Ann paragraph: Sent 1: A b. Sent 2: C d.",
        "False",
    ),
    "wic": (
        PAIR | {"word": "b", "label": 1},
        "wic sentence1: A b. sentence2: C d. word: b",
        "True",
    ),
    "copa": (
        {"premise": "It rained.", "question": "effect", "choice1": "A b.", "choice2": "C d.", "label": 1},
        "copa choice1: A b. choice2: C d. premise: It rained. question: effect",
        "choice2",
    ),
    "wsc": (
        {
            "text": "Ann saw Eve, and she waved; she was late.",
            "span1_text": "Ann",
            "span1_index": 0,
            "span2_text": "she",
            "span2_index": 6,
            "label": 0,
        },
        "wsc: Ann saw Eve, and she waved; *she* was late.",
        "Ann",
    ),
    "dpr": (
        {
            "sentence": "The bee fled from the wasp since it was angry, and it fled far.",
            "pronoun": "it",
            "candidates": ["The bee", "the wasp"],
            "label": 1,
        },
        "wsc: The bee fled from the wasp since *it* was angry, and it fled far.",
        "the wasp",
    ),
    "record": (
        {
            "query": "A @placeholder is a bird",
            "entities": ["Penguin", "Potato"],
            "passage": "It flies.\n@highlight\nIt sings\n@highlight\nIt eats",
            "answers": ["Penguin", "Penguins"],
        },
        "record query: A @placeholder is a bird entities: Penguin, Potato passage: It flies. It sings. It eats",
        "Penguin",
    ),
    "squad": (
        {
            "id": "1",
            "question": "Who's it?",
            "context": "It's Ann (Lee).",
            "answers": {"text": ["Ann (Lee)", "Ann"], "answer_start": [5, 5]},
        },
        "question: Who ' s it ? context: It ' s Ann ( Lee ) .",
        "Ann ( Lee )",
    ),
    "cnn_dm": ({"article": "A b.", "highlights": "C."}, "summarize: A b.", "C."),
    "wmt_en_de": ({"en": "A dog.", "de": "Ein Hund."}, "translate English to German: A dog.", "Ein Hund."),
    "wmt_en_ro": ({"en": "A dog.", "ro": "Un caine."}, "translate English to Romanian: A dog.", "Un caine."),
}


def as_it_is(text: str) -> str:
    return text


def form(task: Any, spelled: Any = as_it_is) -> Verbalizer:
    return verbalizer_of(with_prompts(task), spelled)


@pytest.mark.parametrize("name", list(FORMS))
def test_words_of_t5(name: str) -> None:
    fields, source, target = FORMS[name]
    found = form(named(name))
    task = found.task
    row = task.marked(Row(fields, "f:1")) if isinstance(task, (WinogradTask, PronounChoiceTask)) else Row(fields, "f:1")
    example = task.example(row)
    assert found.source(example) == source
    assert found.target(example) == target
    assert with_prompts(found.task) == found.task


def test_every_named_task_with_labels_has_words() -> None:
    for name in {**GLUE, **SUPER_GLUE}:
        task = named(name)
        assert form(task).prompt_template.prefix, name
    assert all(form(member).prompt_template.prefix for member in named("super_glue_mixture").members)


def test_a_task_of_ones_own() -> None:
    one = ClassificationTask(name="reviews", labels=("bad", "good"))
    example = one.example(Row({"text": "a film", "label": "good"}, "f:1"))
    assert form(one).source(example) == "reviews text: a film"
    two = ClassificationTask(name="reviews", text="{a} it", pair="b", labels=("bad", "good"))
    example = two.example(Row({"a": "x", "b": "y", "label": "bad"}, "f:1"))
    assert form(two).source(example) == "reviews b: y text1: x it"
    choice = MultipleChoiceTask(name="mine", count=2)
    example = choice.example(Row({"context": "c", "choices": ["x", "y"], "label": 0}, "f:1"))
    assert form(choice).source(example) == "mine choice1: x choice2: y context: c"
    assert form(choice).target(example) == "choice1"
    alike = ClassificationTask(name="wsc", labels=("bad", "good"))  # named as one of T5's, but no such task
    example = alike.example(Row({"text": "a film", "label": "good"}, "f:1"))
    assert form(alike).source(example) == "wsc text: a film"
    nameless = ClassificationTask(labels=("bad", "good"))
    assert form(nameless).source(Example("1", "f:1", ("a film",), 0)) == "text: a film"


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.0, "0.0"), (0.09, "0.0"), (0.11, "0.2"), (2.5, "2.4"), (3.3, "3.2"), (3.31, "3.4"), (5, "5.0")],
)
def test_scores_are_rounded_to_a_fifth(score: float, text: str) -> None:
    """2.5 * 5 lies between two whole numbers and goes to the even one; 3.3 * 5 is 16.5."""
    assert form(named("stsb")).target(Example("1", "f:1", ("a", "b"), score)) == text


def test_other_numbers_keep_three_digits() -> None:
    found = form(RegressionTask(name="ages"))
    assert found.target(Example("1", "f:1", ("a",), 1234.5)) == "1.23e+03"
    assert found.target(Example("1", "f:1", ("a",), 0.1234)) == "0.123"


def labelled(*targets: Any) -> list[Example]:
    return [Example(str(i), f"f:{i}", ("a", "b"), target) for i, target in enumerate(targets)]


@pytest.mark.parametrize("truth", [0, 1])
@pytest.mark.parametrize("text", ["", "duplicat", "Duplicate", "0", "duplicate duplicate"])
def test_what_is_no_label_is_never_right(truth: int, text: str) -> None:
    task = named("qqp")
    task.metric = ("accuracy", "f1", "macro_f1", "matthews")
    found = form(task)
    (example,) = labelled(truth)
    prediction = found.answer(example, text)
    assert np.isnan(prediction).all()
    scores = task.measure([example], [prediction])
    assert scores["accuracy"] == scores["f1"] == scores["macro_f1"] == 0.0
    assert task.readable(prediction) == {"prediction": None}
    right = found.answer(example, task.labels[truth])
    assert task.measure([example], [right])["accuracy"] == 1.0


def test_f1_counts_no_answer_as_the_wrong_one() -> None:
    """T5's: here the truths 1 1 0 0 are answered 1 -, -, 0, so as 1 0 1 0."""
    task, found = named("mrpc"), form(named("mrpc"))
    examples = labelled(1, 1, 0, 0)
    texts = ["equivalent", "?", "?", "not_equivalent"]
    predictions = [found.answer(one, text) for one, text in zip(examples, texts, strict=True)]
    assert task.measure(examples, predictions) == {"f1": 2 * 1 / (2 * 1 + 1 + 1), "accuracy": 0.5}


def test_macro_f1_has_no_class_of_no_answers() -> None:
    task, found = named("cb"), form(named("cb"))
    examples = labelled(0, 0, 1, 2)
    texts = ["entailment", "?", "contradiction", "neutral"]
    predictions = [found.answer(one, text) for one, text in zip(examples, texts, strict=True)]
    assert task.measure(examples, predictions)["macro_f1"] == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_t5_s_numbers_are_rounded_in_float32_and_halves_to_even() -> None:
    """t5/data/preprocessors.py:853; 1.66 is its own test's."""
    found = form(named("stsb"))
    values = (1.66, 2.8, 2.5, 3.5, 2.3, 4.3, 0.0, 5.0)
    assert [found.target(one) for one in labelled(*values)] == ["1.6", "2.8", "2.4", "3.6", "2.4", "4.4", "0.0", "5.0"]


def test_multirc_s_marks_leave_no_space() -> None:
    """t5/data/preprocessors.py:795-798; the row is that of t5/data/preprocessors_test.py:458-491."""
    assert without_tags("<b>Sent 1: </b>Once.<br><b>Sent 2: </b>Joey") == "Sent 1: Once. Sent 2: Joey"
    assert without_tags("a <b>squir</b>rel<br>named") == "a squirrel named"


def test_no_number_counts_as_minus_one() -> None:
    task, found = named("stsb"), form(named("stsb"))
    task.metric = ("squared_error",)
    examples = labelled(1.0, 3.0, 2.0)
    predictions = [found.answer(one, text) for one, text in zip(examples, ["1.0", "three", "nan"], strict=True)]
    assert np.isnan(predictions[2]).all()
    assert task.measure(examples, predictions)["squared_error"] == pytest.approx((0 + 16 + 9) / 3)


def test_choices() -> None:
    task, found = named("copa"), form(named("copa"))
    examples = labelled(0, 1, 0)
    predictions = [found.answer(one, text) for one, text in zip(examples, ["choice1", "choice2", ""], strict=True)]
    assert task.measure(examples, predictions)["accuracy"] == pytest.approx(2 / 3)


def test_answers_are_found_in_their_context() -> None:
    assert as_in("It's Ann (Lee).", "ann ( lee )") == "Ann (Lee)"
    assert as_in("It's Ann.", "Bob") == "Bob"
    assert as_in("It's Ann.", "") == ""
    found = form(named("squad2"))
    example = Example("1", "f:1", ("Who?", "It is Ann-Lee."), ())
    assert found.target(example) == "no answer"
    assert found.task.chosen(found.answer(example, "no answer")) == ""
    assert found.task.chosen(found.answer(example, "Ann - Lee")) == "Ann-Lee"
    assert found.answer(example, "Ann - Lee") == SpanPrediction("Ann-Lee", -1.0)
    assert form(QuestionAnsweringTask()).answer(example, "no answer").text == "no answer"


def test_words_as_the_tokenizer_spells_them() -> None:
    found = form(ClassificationTask(name="x", labels=("False", "True")), str.lower)
    (example,) = labelled(1)
    assert found.answer(example, "true").tolist() == [0.0, 1.0]
    assert np.isnan(found.answer(example, "True")).all()  # no lower-case tokenizer writes it
    alike = form(ClassificationTask(name="x", labels=("Yes", "yes")), str.lower)
    with pytest.raises(UserError, match="can't tell apart all of Yes, yes"):
        alike.answer(example, "yes")


def test_a_kind_without_words() -> None:
    with pytest.raises(UserError, match="A task of kind 'token_classification' is not done by writing"):
        form(TokenClassificationTask())


def test_an_old_name_of_a_kind_is_refused_with_the_new_one() -> None:
    with pytest.raises(UserError, match="The task 'writing' is now called 'seq2seq'"):
        named("writing")

"""WSC and DPR: where the pronoun is, what is learned, and which texts name the same noun."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.prompts_text_to_text import with_prompts
from plmjax.tasks.pronouns import WinogradTask, same_noun
from plmjax.tasks.registry import named
from plmjax.tasks.verbalizers import verbalizer_of

SENTENCE = "Ann told Eve that her sister's dog had bitten her, and she wept."


def schema(**changes: Any) -> dict[str, Any]:
    fields = {"text": SENTENCE, "span1_text": "Eve", "span2_text": "her", "span2_index": 4, "label": 1}
    return fields | changes


def marked(**changes: Any) -> str:
    return named("wsc").marked(Row(schema(**changes), "f:1"))["marked"]


def test_the_pronoun_of_the_place_is_marked() -> None:
    assert marked() == SENTENCE.replace("that her", "that *her*")
    assert marked(span2_index="4") == marked()
    assert marked(span2_index=9) == SENTENCE.replace("bitten her,", "bitten *her*,")  # of two, and before a comma


def test_a_wrong_place_means_the_nearest() -> None:
    assert marked(span2_index=7) == SENTENCE.replace("bitten her,", "bitten *her*,")
    assert marked(span2_text="she", span2_index=0) == SENTENCE.replace("and she", "and *she*")


@pytest.mark.parametrize("changes", [{"span2_text": "he"}, {"span2_text": "him"}, {"span2_index": "four"}])
def test_no_such_pronoun(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="f:1 has no word"):
        marked(**changes)
    with pytest.raises(UserError, match="f:1 has no word 'he' in 'sentence'"):
        named("dpr").marked(Row({"sentence": SENTENCE, "pronoun": "he"}, "f:1"))


@pytest.fixture
def task(tmp_path: Path) -> WinogradTask:
    """Five schemas to learn, two of them right, and as many to choose by."""
    rows = [schema(label=label, span1_text=noun) for label, noun in zip([0, 1, 0, 1, 0], "ABCDE", strict=True)]
    file = tmp_path / "wsc.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = named("wsc")
    found.train = found.validation = str(file)
    return found


def test_t5_learns_right_nouns_alone(task: WinogradTask) -> None:
    found = with_prompts(task).splits()
    assert [example.texts[1] for example in found["train"]] == ["B", "D"]
    assert [example.texts[1] for example in found["validation"]] == ["A", "B", "C", "D", "E"]


def test_no_right_noun_to_learn(task: WinogradTask) -> None:
    task.labels = ("no", "yes")
    with pytest.raises(UserError, match="No training example has a label of True.*the labels are no, yes"):
        with_prompts(task).splits()


def test_others_read_both(task: WinogradTask) -> None:
    found = task.splits()
    assert len(found["train"]) == 5
    assert found["train"][0].texts == (SENTENCE, "her is A")


def test_naming_the_noun_says_yes(task: WinogradTask) -> None:
    examples, form = with_prompts(task).splits()["validation"], verbalizer_of(with_prompts(task), str)
    predictions = [form.answer(example, text) for example, text in zip(examples, ["x", "b", "C", "", "e"], strict=True)]
    assert [int(np.argmax(one)) for one in predictions] == [0, 1, 1, 0, 1]
    assert task.measure(examples, predictions) == {"accuracy": 2 / 5}
    assert form.shown(examples[1], predictions[1]) == "True"
    assert not any(map(form.is_none, examples, predictions))


@pytest.mark.parametrize(
    ("written", "noun", "same"),
    [
        ("Ann", "ann", True),
        ("the fuzzy bunny", "bunny", True),
        ("bunny", "My fuzzy bunny", True),
        ("hat", "Bob's hat", False),
        ("Bob's hat", "Bob's", True),
        ("Ann Lee", "Ann Ray", False),
        ("", "Ann", False),
        ("the", "the man", False),
    ],
)
def test_same_nouns(written: str, noun: str, same: bool) -> None:
    """As T5's released code has it."""
    assert same_noun(written, noun) is same


def test_a_candidate_is_named_exactly() -> None:
    row = Row(
        {"sentence": "The bee fled since it fled.", "pronoun": "it", "candidates": ["a bee", "bee"], "label": 0}, ""
    )
    form = verbalizer_of(with_prompts(named("dpr")), str)
    example = form.task.example(form.task.marked(row))
    assert form.answer(example, "bee").tolist() == [0.0, 1.0]
    assert form.is_none(example, form.answer(example, "wasp"))
    heads = named("dpr")
    assert heads.example(heads.marked(row)).texts == ("The bee fled since it fled.", "it is a bee", "it is bee")

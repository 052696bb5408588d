"""Choosing by likelihood, with likelihoods written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plmjax.errors import UserError
from plmjax.tasks.choices import ChoiceScoring
from plmjax.tasks.report import Report
from tests.tasks.conftest import FakeScorer

NEUTRAL = "w9"
# log p of the answers, w30 and "w31 w32", after the questions w10 and w11 and after the neutral prompt.
LOG_P = {(10, 30): -2.0, (10, 31): -3.0, (11, 30): -5.0, (11, 31): -4.0, (9, 30): -1.0, (9, 31): -3.5}


def log_p(context: list[int], text: list[int]) -> float:
    return LOG_P[context[-1], text[0]]


def tsv(path: Path, *rows: tuple[str, str]) -> str:
    path.write_text("q\tlabel\n" + "".join(f"{question}\t{label}\n" for question, label in rows))
    return str(path)


def task(**settings: Any) -> ChoiceScoring:
    defaults = {"prompt": "{q}", "choices": ("w30", "w31 w32"), "answer": "label", "neutral": NEUTRAL}
    return ChoiceScoring(**(defaults | settings))


def values(report: Report) -> dict[tuple[str, str], float]:
    return {(measure.part, measure.name): measure.value for measure in report.measures}


def test_three_rules_choose_by_the_likelihoods(tmp_path: Path) -> None:
    """w10: sums -2 and -3, a token -2 and -1.5, corrected -1 and 0.5; w11: -5 and -4, -5 and -2, -4 and -0.5."""
    report = task(test=tsv(tmp_path / "a.tsv", ("w10", "0"), ("w11", "0"), ("w11", "1"))).evaluate(FakeScorer(log_p))
    assert [line["sum"] for line in report.predictions] == ["w30", "w31 w32", "w31 w32"]
    assert [line["a token"] for line in report.predictions] == ["w31 w32"] * 3
    assert [line["corrected"] for line in report.predictions] == ["w31 w32"] * 3
    found = values(report)
    assert found == {
        ("0 examples", "accuracy, sum"): pytest.approx(2 / 3),
        ("0 examples", "accuracy, a token"): pytest.approx(1 / 3),
        ("0 examples", "accuracy, corrected"): pytest.approx(1 / 3),
    }
    assert all(measure.chance == 0.5 and measure.count == 3 for measure in report.measures)
    assert "always taking choice 0 gives 66.7%" in report.notes[-1]
    assert report.predictions[0]["log_p"] == [-2.0, -3.0] and report.predictions[0]["place"].endswith("a.tsv:2")


def test_examples_in_context_are_asked_as_they_stand(tmp_path: Path) -> None:
    scorer = FakeScorer(log_p)
    train = tsv(tmp_path / "train.tsv", ("w20", "0"), ("w21", "1"), ("w22", "0"))
    report = task(test=tsv(tmp_path / "a.tsv", ("w10", "0")), train=train, shots=(0, 1, 2), instruction="w8").evaluate(
        scorer
    )
    assert [measure.part for measure in report.measures[::3]] == ["0 examples", "1 examples", "2 examples"]
    contexts = [list(request.context) for request in scorer.asked[2::2]]  # the first two are the choices alone
    assert contexts[0] == [8, 10]
    answers = {20: [30], 21: [31, 32], 22: [30]}
    assert contexts[1] == [8, contexts[1][1], *answers[contexts[1][1]], 10]
    assert contexts[2][: len(contexts[1]) - 1] == contexts[1][:-1]  # the first example stays the first
    assert len(contexts[2]) > len(contexts[1])


def test_what_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    test = tsv(tmp_path / "a.tsv", ("w10", "0"))
    train = tsv(tmp_path / "train.tsv", *[(f"w{number}", "0") for number in range(20, 30)])
    scorer = FakeScorer(log_p, length=8)
    report = task(test=test, train=train, shots=(4,)).evaluate(scorer)
    # Question and the longer choice take 3 of 8 tokens, each example 2.
    assert [len(request.context) for request in scorer.asked[2:]] == [5, 5]
    assert "4 examples: 2.00 of them did not fit into 8 tokens, on average." in report.notes
    report = task(test=tsv(tmp_path / "b.tsv", ("w12 " * 9 + "w10", "0"))).evaluate(scorer)
    assert "0 examples: 1 questions alone are longer than 8 tokens; their starts are cut off." in report.notes


def test_choices_of_each_row_and_ways_to_say_the_answer(tmp_path: Path) -> None:
    rows = [
        {"q": "w10", "endings": ["w30", "w31 w32"], "label": 0},
        {"q": "w10", "endings": ["w31 w32", "w30", "w30"], "label": "B"},
        {"q": "w10", "endings": ["w31 w32", "w30"], "label": " w30 "},
        {"q": "w10", "endings": ["w31 w32", "w30"], "label": "b"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = task(test=str(tmp_path / "a.jsonl"), choices=(), choice_fields=("endings",)).evaluate(FakeScorer(log_p))
    assert values(report)["0 examples", "accuracy, sum"] == 1
    assert report.measures[0].chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4)
    columns = {"q": "w10", "A": "w31 w32", "B": "w30", "label": "1"}
    (tmp_path / "b.jsonl").write_text(json.dumps(columns))
    report = task(test=str(tmp_path / "b.jsonl"), choices=(), choice_fields=("A", "B")).evaluate(FakeScorer(log_p))
    assert values(report)["0 examples", "accuracy, sum"] == 1


def test_limit_takes_the_first(tmp_path: Path) -> None:
    test = tsv(tmp_path / "a.tsv", ("w10", "0"), ("w11", "0"))
    report = task(test=test, limit=1).evaluate(FakeScorer(log_p))
    assert report.measures[0].count == 1 and report.measures[0].value == 1


def test_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    for label in ("2", "-1", "z", "ß", "maybe", ""):
        with pytest.raises(UserError, match=rf"a\.tsv:3 has the answer {label!r}, which is none of its 2 choices"):
            task(test=tsv(tmp_path / "a.tsv", ("w10", "0"), ("w10", label))).evaluate(FakeScorer(log_p))
    for settings, message in (
        ({"choices": ()}, "Give either config.task.choices"),
        ({"choice_fields": ("q",)}, "Give either config.task.choices"),
        ({"choices": ("w30",)}, r"has the choices \('w30',\): give two texts or more"),
        ({"choices": (), "choice_fields": ("q", "x")}, "has no field 'x'"),
        ({"answer": "x"}, "has no field 'x'"),
        ({"shots": (1,)}, "config.task.train names no examples"),
        ({"shots": (3,), "train": str(tmp_path / "a.tsv")}, "asks for 3 examples in context"),
        ({"prompt": "{x}"}, "has no field 'x'"),
    ):
        with pytest.raises(UserError, match=message):
            task(**({"test": tsv(tmp_path / "a.tsv", ("w10", "0"))} | settings)).evaluate(FakeScorer(log_p))

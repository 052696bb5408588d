"""BLiMP on pairs made for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plmjax.errors import UserError
from plmjax.tasks.blimp import Blimp
from tests.tasks.conftest import FakeScorer

# (phenomenon, paradigm, good, bad): a text is the likelier the lower its first word, and each word costs 10.
PAIRS = [
    ("island_effects", "wh_island", "w10", "w20"),
    ("island_effects", "wh_island", "w21", "w20"),
    ("island_effects", "adjunct_island", "w10", "w11 w12"),
    ("anaphor_agreement", "anaphor_number", "w30", "w31"),
    ("anaphor_agreement", "anaphor_number", "w30", "w30"),  # a tie is wrong
    ("anaphor_agreement", "anaphor_number", "w40", "w41"),
]


def log_p(context: list[int], text: list[int]) -> float:
    assert context == []
    return -float(text[0]) - 10 * len(text)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    names = ("linguistics_term", "UID", "sentence_good", "sentence_bad")
    lines = [json.dumps(dict(zip(names, pair, strict=True))) for pair in PAIRS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    return str(tmp_path / "a.jsonl")


def test_accuracy_by_phenomenon(pairs: str) -> None:
    report = Blimp(pairs=pairs).evaluate(FakeScorer(log_p))
    assert [(measure.part, measure.value, measure.count) for measure in report.measures] == [
        ("", pytest.approx(4 / 6), 6),
        ("anaphor agreement", pytest.approx(2 / 3), 3),
        ("island effects", pytest.approx(2 / 3), 3),
    ]
    assert all(measure.chance == 0.5 for measure in report.measures)
    assert [line["right"] for line in report.predictions] == [True, False, True, True, False, True]
    assert report.predictions[1] == {
        "place": f"{pairs}:2",
        "uid": "wh_island",
        "good": -31.0,
        "bad": -30.0,
        "right": False,
    }


def test_paradigms_and_their_limit(pairs: str) -> None:
    scorer = FakeScorer(log_p)
    report = Blimp(pairs=pairs, limit=1, paradigms=True, word_l2r=True).evaluate(scorer)
    assert {measure.part: measure.count for measure in report.measures} == {
        "": 3,
        "anaphor agreement": 1,
        "island effects": 2,
        "adjunct island": 1,
        "anaphor number": 1,
        "wh island": 1,
    }
    assert scorer.hidden == [True]


def test_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"sentence_good": "w10"}')
    with pytest.raises(UserError, match=r"a\.jsonl:1 has no field 'UID' but sentence_good"):
        Blimp(pairs=str(tmp_path / "a.jsonl")).evaluate(FakeScorer(log_p))
    with pytest.raises(UserError, match="config.task.limit is -3"):
        Blimp(pairs=str(tmp_path / "a.jsonl"), limit=-3).evaluate(FakeScorer(log_p))

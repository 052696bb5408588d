"""LAMBADA: the last word of a passage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from plmjax.errors import UserError
from plmjax.tasks.lambada import Lambada
from tests.tasks.conftest import FakeScorer

PASSAGES = ["w10 w11\nw12 w13 ", "w10 W13 w13, w13", "w20 w21 w22"]


def write(path: Path, passages: list[object], field: str = "text") -> str:
    path.write_text("\n".join(json.dumps({field: passage}) for passage in passages))
    return str(path)


def test_the_last_word_is_scored_after_all_before(tmp_path: Path) -> None:
    scorer = FakeScorer(lambda context, text: -float(text[0]) / 10)
    scorer.is_greedy = lambda context, text: text == [13]
    report = Lambada(passages=write(tmp_path / "a.jsonl", list(PASSAGES))).evaluate(scorer)
    assert [(list(request.context), list(request.text)) for request in scorer.asked] == [
        ([10, 11, 12], [13]),
        ([10, 2, 2], [13]),  # "W13" and "w13," are unknown to this tokenizer
        ([20, 21], [22]),
    ]
    accuracy, perplexity, nats = report.measures
    assert accuracy.value == pytest.approx(2 / 3)
    assert accuracy.chance == pytest.approx((0 + 2 / 3 + 0) / 3)
    assert nats.value == pytest.approx((1.3 + 1.3 + 2.2) / 3)
    assert perplexity.value == pytest.approx(math.exp(4.8 / 3)) and perplexity.chance == pytest.approx(100)
    assert [line["right"] for line in report.predictions] == [True, True, False]
    assert report.predictions[0]["target"] == "w13" and report.predictions[2]["place"].endswith("a.jsonl:3")
    assert scorer.hidden == [False]


def test_an_encoder_masks_the_rest_of_the_word(tmp_path: Path) -> None:
    scorer = FakeScorer(lambda context, text: -1.0, kind="encoder")
    Lambada(passages=write(tmp_path / "a.jsonl", list(PASSAGES), "passage"), field="passage", limit=2).evaluate(scorer)
    assert scorer.hidden == [True] and len(scorer.asked) == 2


def test_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    scorer = FakeScorer(lambda context, text: -1.0)
    for passage in ("word", "", 7):
        with pytest.raises(UserError, match=r"a\.jsonl:2 has .* in 'text', not a passage of two words or more"):
            Lambada(passages=write(tmp_path / "a.jsonl", ["w1 w2", passage])).evaluate(scorer)
    with pytest.raises(UserError, match=r"a\.jsonl:1 has no field 'passage'"):
        Lambada(passages=write(tmp_path / "a.jsonl", ["w1 w2"]), field="passage").evaluate(scorer)
    with pytest.raises(UserError, match="No file of examples is named"):
        Lambada().evaluate(scorer)

"""Sliding windows score every token once; words, bytes and WikiText's marks."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.tasks.perplexity import Perplexity, undo, windows
from plmjax.tasks.scoring import Scorer
from tests.decode.conftest import SIZE, WordTokenizer
from tests.tasks.conftest import FakeScorer, tiny


@pytest.mark.parametrize(
    ("count", "length", "stride"), [(50, 16, 8), (50, 16, 16), (50, 16, 1), (16, 16, 5), (3, 16, 8)]
)
def test_windows_slide_and_score_each_token_once(count: int, length: int, stride: int) -> None:
    tokens = list(range(count))
    requests = windows(tokens, length, stride)
    assert [token for request in requests for token in request.text] == tokens
    end = 0
    for number, request in enumerate(requests):
        end += len(request.text)
        whole = [*request.context, *request.text]
        assert whole == tokens[max(0, end - length) : end]  # as much before as fits
        assert len(request.text) == (
            min(count, length) if number == 0 else min(stride, count - end + len(request.text))
        )


def test_perplexity_equals_a_plain_loop(tmp_path: Path, words: WordTokenizer) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(6, 96, 70).tolist()
    text = "\n".join(" ".join(f"w{token}" for token in tokens[start : start + 7]) for start in range(0, 70, 7))
    (tmp_path / "a.txt").write_text(text)
    network = tiny("gpt", "tiny")
    report = Perplexity(text=str(tmp_path / "a.txt"), stride=5).evaluate(Scorer(network, words, length=16))

    logits = jax.jit(lambda rows: jax.nn.log_softmax(network.token_logits(network.decode(rows))[..., :SIZE]))
    total = 0.0
    for place, token in enumerate(tokens):
        # The first window begins at EOS; later ones end with up to five scored tokens.
        start = 0 if place < 16 else min(16 + (place - 16) // 5 * 5 + 5, 70) - 16
        before = tokens[start:place] if start else [1, *tokens[:place]]
        row = np.array([[*before, *[7] * (16 - len(before))]])
        total -= float(logits(row)[0, len(before) - 1, token])
    found = {measure.name: measure for measure in report.measures}
    assert found["nats a token"].value == pytest.approx(total / 70, rel=1e-5)
    assert found["perplexity a token"].value == pytest.approx(math.exp(total / 70), rel=1e-4)
    assert found["perplexity a word"].value == pytest.approx(math.exp(total / 70), rel=1e-4)  # a word is a token here
    size = len(text.encode())
    assert found["bits a byte"].value == pytest.approx(total / size / math.log(2), rel=1e-5)
    assert found["nats a token"].chance == pytest.approx(math.log(100))
    assert found["perplexity a word"].chance == pytest.approx(100)
    assert found["bits a byte"].chance == pytest.approx(70 * math.log(100) / size / math.log(2))
    assert sum(line["tokens"] for line in report.predictions) == 70


def test_words_and_bytes_are_the_files(tmp_path: Path) -> None:
    """Three words and 14 bytes of which the network reads one token each; 2 nats a token."""
    (tmp_path / "a.txt").write_text(" w10 é w12 \n\n\n", encoding="utf-8")
    report = Perplexity(text=str(tmp_path / "a.txt")).evaluate(FakeScorer(lambda context, text: -2.0 * len(text)))
    values = {measure.name: measure.value for measure in report.measures}
    assert values["perplexity a word"] == pytest.approx(math.exp(2))
    assert values["bits a byte"] == pytest.approx(6 / 15 / math.log(2))


def test_a_limit_counts_as_many_words_as_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("w10 w11 " * 64)
    task = Perplexity(text=str(tmp_path / "a.txt"), limit=1)
    report = task.evaluate(FakeScorer(lambda context, text: -2.0 * len(text), length=32))
    values = {measure.name: measure for measure in report.measures}
    assert values["nats a token"].count == values["perplexity a word"].count == 32
    assert values["perplexity a word"].value == pytest.approx(math.exp(2))
    assert values["bits a byte"].value == pytest.approx(2 * 32 / (4 * 32) / math.log(2))


def test_wikitext_is_as_it_was_written() -> None:
    lines = [
        " = Robert <unk> = ",
        " = = Career = = ",
        " = = = Early years = = = ",
        " ",
        " He said , \" It 's a 3 @.@ 5 @-@ hour , 1 @,@ 200 @-@ line ( long ) play ; I don 't \" . ",
        " The actors ' voices didn 't carry : why ? $ 5 ",
    ]
    assert undo("\n".join(lines), "wikitext").split("\n") == [
        "= Robert <unk> =",
        "== Career ==",
        "=== Early years ===",
        "",
        "He said, \"It's a 3.5-hour, 1,200-line (long) play; I don't\".",
        "The actors' voices didn't carry: why? $5",
    ]
    assert undo(lines[0], "") == lines[0]


def test_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("w10 w11")
    (tmp_path / "blank.txt").write_text(" \n")
    for settings, message in (
        ({"text": ""}, "config.task.text is '', which is no file"),
        ({"text": str(tmp_path / "b.txt")}, "which is no file"),
        ({"text": str(tmp_path / "blank.txt")}, "blank.txt holds no text"),
        ({"stride": 65}, "config.task.stride is 65: give 1 to 64"),
        ({"stride": -1}, "config.task.stride is -1"),
        ({"detokenize": "ptb"}, "config.task.detokenize is 'ptb'"),
        ({"limit": -1}, "config.task.limit is -1"),
    ):
        with pytest.raises(UserError, match=message):
            Perplexity(**({"text": str(tmp_path / "a.txt")} | settings)).evaluate(
                FakeScorer(lambda context, text: -1.0)
            )

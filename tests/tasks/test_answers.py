"""Free answers: what is written after a prompt, where it ends, and what it is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plmjax.decode import GenerationConfig
from plmjax.decode.fill import fill_sentinels
from plmjax.decode.text import generate_text
from plmjax.errors import UserError
from plmjax.tasks import answers as answers_module
from plmjax.tasks.answers import Answers, Writer
from plmjax.tasks.scoring import Scorer
from plmjax.tasks.scoring_format import ScoringFormat
from tests.decode.conftest import WordTokenizer
from tests.tasks.conftest import FakeScorer, tiny

PROMPT = "{q}\nA: "


def jsonl(path: Path, *rows: tuple[str, Any]) -> str:
    path.write_text("\n".join(json.dumps({"q": q, "answers": answers}) for q, answers in rows))
    return str(path)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The network writes the same for every prompt: w40 A: w41; keeps the prompts and settings."""
    seen: dict[str, list[Any]] = {"prompts": [], "settings": []}

    def write(network: Any, tokenizer: Any, prompts: list[list[int]], config: Any, **settings: Any) -> Any:
        seen["prompts"] += prompts
        seen["settings"].append(config)
        return [[[40, 2, 41]] for _ in prompts]

    monkeypatch.setattr(answers_module, "generate_ids", write)
    monkeypatch.setattr(WordTokenizer, "piece", lambda self, token: "A:" if token == 2 else f"w{token}")
    monkeypatch.setattr(WordTokenizer, "decode", lambda self, ids: " ".join(map(self.piece, ids)))
    return seen


def test_answers_end_where_another_question_begins(tmp_path: Path, written: dict[str, list[Any]]) -> None:
    test = jsonl(tmp_path / "a.jsonl", ("w10", "w40"), ("w11 w12", ["w9", "w40 w41"]), ("w13", []))
    report = Answers(test=test, prompt=PROMPT).evaluate(FakeScorer(lambda context, text: 0.0))
    assert [line["answer"] for line in report.predictions] == ["w40"] * 3
    assert [line["exact_match"] for line in report.predictions] == [1, 0, 0]
    assert [line["f1"] for line in report.predictions] == [1, pytest.approx(2 / 3), 0]
    exact, f1 = report.measures
    assert (exact.value, exact.chance) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (f1.value, f1.chance) == (pytest.approx(100 * (5 / 3) / 3), pytest.approx(100 / 3))
    # The shorter prompts first, then the batch is filled up to one size.
    assert written["prompts"] == [[10, 2], [13, 2], [11, 12, 2], *[[11, 12, 2]] * 5]


def test_examples_and_the_search_reach_the_network(tmp_path: Path, written: dict[str, list[Any]]) -> None:
    test = jsonl(tmp_path / "a.jsonl", ("w10", "w40"))
    train = jsonl(tmp_path / "b.jsonl", ("w20", ["w30", "w31"]), ("w21", []), ("w22", "w32"))
    settings = {"test": test, "train": train, "prompt": PROMPT, "shots": (1,), "seed": 1}
    report = Answers(**settings).evaluate(FakeScorer(lambda context, text: 0.0))
    assert written["prompts"][0] in ([20, 2, 30, 10, 2], [22, 2, 32, 10, 2])  # one without an answer shows nothing
    assert report.measures[0].part == "1 examples"
    [search] = written["settings"]
    assert search == GenerationConfig(max_new_tokens=32, num_beams=4, length_penalty=0.6)
    long = jsonl(tmp_path / "c.jsonl", ("w10 " * 40, "w40"))
    report = Answers(**(settings | {"test": long})).evaluate(FakeScorer(lambda context, text: 0.0))
    assert len(written["prompts"][-1]) == 32  # the end of a prompt that leaves no room
    assert any("1 questions alone are longer than 32 tokens" in note for note in report.notes)
    assert any("1 examples: 1.00 of them did not fit" in note for note in report.notes)


def test_a_decoder_continues_the_prompt(words: WordTokenizer) -> None:
    network = tiny("gpt", "tiny")
    scorer = Scorer(network, words, length=32)
    prompts = ["w10 w11", "w12", "w13 w14 w15"]
    config = GenerationConfig(max_new_tokens=5)
    greedy = Writer(scorer, config)
    expected = [text for [text] in generate_text(network, words, prompts, config)]
    assert greedy.write(prompts, "") == [text.strip() for text in expected]
    assert len(set(expected)) == 3
    coded = Writer(Scorer(network, words, ScoringFormat(prefix=(50,)), length=32), config)
    assert coded.write(["w10 w11"], "") == greedy.write(["w50 w10 w11"], "") != greedy.write(["w10 w11"], "")
    assert coded.room == greedy.room - 1 == 26


def test_t5_writes_what_belongs_to_the_sentinel(words: WordTokenizer) -> None:
    network = tiny("t5", "tiny_v1_1")
    scorer = Scorer(network, words, ScoringFormat(0, "sentinel"), length=32)
    writer = Writer(scorer, GenerationConfig(max_new_tokens=6))
    assert writer.room == 32 - 6 - 2
    prompts = ["w14 ___ w21", "w7"]
    read = ["w14 unknown w21", prompts[1]]  # ___ in a prompt is text, an unknown word to this tokenizer
    filled = fill_sentinels(
        network, words, [f"{text} <extra_id_0>" for text in read], GenerationConfig(max_new_tokens=6)
    )
    found = writer.write(prompts, "")
    assert found == [one.spans[0] or "" for [one] in filled]
    assert all(found) and found[0] != found[1]


def test_networks_that_write_no_answers_are_refused(words: WordTokenizer, tmp_path: Path) -> None:
    test = jsonl(tmp_path / "a.jsonl", ("w10", "w40"))
    bert = Scorer(tiny("bert", "tiny"), words)
    bart = Scorer(tiny("bart", "tiny"), words, ScoringFormat(1, "mask"))
    for scorer, name in ((bert, "Bert"), (bart, "Bart")):
        with pytest.raises(UserError, match=f"This {name} does not write an answer after a prompt"):
            Answers(test=test, prompt=PROMPT).evaluate(scorer)
    fake = FakeScorer(lambda context, text: 0.0)
    for settings, message in (
        ({"generation": GenerationConfig(max_new_tokens=64)}, "no question fits into 64 tokens"),
        ({"generation": GenerationConfig(max_new_tokens=0)}, "config.task.generation.max_new_tokens is 0"),
        ({"generation": GenerationConfig(num_beams=0)}, "num_beams is 0"),
        ({"generation": GenerationConfig(num_beams=2, num_return_sequences=2)}, "num_return_sequences is for several"),
        ({"answer": "q", "test": jsonl(tmp_path / "b.jsonl", (7, "x"))}, r"b\.jsonl:1 has 7 in 'q'"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UserError, match=message):
            Answers(**({"test": test, "prompt": PROMPT} | settings)).evaluate(fake)

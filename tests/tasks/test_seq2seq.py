"""Metrics of written texts beside hand-computed numbers and the libraries' signatures, and where texts come from."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.metrics import metrics_of
from plmjax.tasks.registry import named
from plmjax.tasks.seq2seq import Seq2SeqTask
from plmjax.tasks.supervised import Example

SHARES = ("exact_match", "squad_exact_match", "squad_f1")


def examples(*references: Any) -> list[Example]:
    return [Example(str(i), f"f:{i}", ("x",), known) for i, known in enumerate(references)]


def measured(written: list[str], *references: Any) -> dict[str, float]:
    names = tuple(name for name in metrics_of("seq2seq") if name != "perplexity")
    return Seq2SeqTask(metric=names).measure(examples(*references), written)


def test_a_perfect_text_has_all() -> None:
    text = "the old man sat by the sea . he was tired"
    found = measured([text], (text,))
    assert found == pytest.approx({name: 1.0 if name in SHARES else 100.0 for name in found})
    assert set(found) == {"bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum", *SHARES, "bleu_intl"}


def test_bleu_by_hand() -> None:
    # n-grams of the hypothesis that are in the reference: 5 of 6, 3 of 5, 1 of 4, and 0 of 3, which counts as 1/2 of 3.
    found = measured(["the cat sat on a mat"], ("the cat is on a mat now",))
    precisions = [5 / 6, 3 / 5, 1 / 4, 1 / 6]
    expected = 100 * math.exp(1 - 7 / 6) * math.prod(precisions) ** 0.25
    assert found["bleu"] == pytest.approx(expected)


def test_rouge_by_hand() -> None:
    # Stems: "cats" and "cat" are one word; case and marks do not count.
    found = measured(["The cats sat."], ("the cat sat on the mat",))
    precision, recall = 3 / 3, 3 / 6
    assert found["rouge1"] == pytest.approx(100 * 2 * precision * recall / (precision + recall))
    assert found["rouge2"] == pytest.approx(100 * 2 * (2 / 2) * (2 / 5) / (2 / 2 + 2 / 5))


def test_rouge_lsum_goes_sentence_by_sentence() -> None:
    found = measured(["Rain fell. Then he left."], ("Then he left. Rain fell.",))
    assert found["rougeLsum"] == pytest.approx(100.0)
    assert found["rougeL"] == pytest.approx(100 * 3 / 5)


def test_of_several_references_the_best_counts() -> None:
    texts = ["a b c d", "e f g h"]
    found = measured(texts, ("x y z w", "a b c d"), ("e f g h",))
    assert found["rouge1"] == pytest.approx(100.0)
    assert found["bleu"] == pytest.approx(100.0)
    assert found["exact_match"] == 1.0
    assert measured(["a  b", "c"], ("a b",), ("d",))["exact_match"] == 0.5  # but for blanks


def test_signatures() -> None:
    task = Seq2SeqTask(metric=("bleu", "chrf", "rouge1"))
    bleu, chrf, rouge = task.notes({"validation": examples(("a b",), ("c d",)), "test": examples(("a",), None)})
    assert bleu.startswith("bleu: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf.startswith("chrf: nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "stemmer:porter" in rouge
    assert Seq2SeqTask(metric=("exact_match",)).notes({}) == []


def test_texts_and_their_references() -> None:
    task = Seq2SeqTask(text="summarize: {body}", target="subjects")
    row = Row({"body": "x y", "subjects": ["a", "b"]}, "f:1")
    assert task.example(row).texts == ("summarize: x y",)
    assert task.example(row).target == ("a", "b")
    assert task.shown_target(task.example(row)) == ("a", "b")
    assert task.shown_target(task.example(Row({"body": "x", "subjects": "a"}, "f:1"))) == "a"
    for empty in ("", [], None):
        assert task.example(Row({"body": "x", "subjects": empty}, "f:1")).target is None
    with pytest.raises(UserError, match=r"f:2 has \['a', 3\] in 'subjects': a text is needed"):
        task.example(Row({"body": "x", "subjects": ["a", 3]}, "f:2"))
    with pytest.raises(UserError, match="task.metric has 'rouge': choose from bleu"):
        Seq2SeqTask(metric=("rouge",)).prepare()


def test_two_files_with_a_line_for_a_line(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.en.gz", "wt", encoding="utf-8") as file:
        file.write("a dog\na cat\n")
    (tmp_path / "a.de").write_text("ein Hund\neine Katze\n", encoding="utf-8")
    source = f"{tmp_path / 'a.en.gz'},{tmp_path / 'a.de'}"
    assert [dict(row.fields) for row in read_rows(source)] == [
        {"en": "a dog", "de": "ein Hund"},
        {"en": "a cat", "de": "eine Katze"},
    ]
    assert read_rows(source, ("x", "y"))[1].fields == {"x": "a cat", "y": "eine Katze"}
    assert read_rows(source)[1].place == f"{tmp_path / 'a.en.gz'}:2"
    found = named("multi30k_files")
    found.train = source
    assert found.splits()["train"][0].target == ("ein Hund",)
    (tmp_path / "b.de").write_text("ein Hund\n")
    with pytest.raises(UserError, match=r"has 2 lines and .*b.de has 1: give files with equally many lines"):
        read_rows(f"{tmp_path / 'a.en.gz'},{tmp_path / 'b.de'}")
    with pytest.raises(UserError, match="2 files whose lines belong together are named de, de"):
        read_rows(f"{tmp_path / 'a.de'},{tmp_path / 'b.de'}")


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("".join(json.dumps({"document": text, "summary": "s"}) + "\n" for text in ("x", "y")))
    assert [row["document"] for row in read_rows(str(file))] == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("aeslc_files", "aeslc_email_subject/dev.jsonl.gz", 1960),
        ("xsum_files", "xsum_sample/sample.json", 10),
        ("multi30k_files", "multi30k/val.en.gz,multi30k/val.de.gz", 1014),
        ("wikisplit_files", "wikisplit/tune.tsv", 5000),
    ],
)
def test_real_files(name: str, file: str, count: int, data_dir: Path) -> None:
    task = named(name)
    task.train = ",".join(str(data_dir / part) for part in file.split(","))
    assert len(task.splits()["train"]) == count


def test_each_answer_is_learned(tmp_path: Path) -> None:
    """ReCoRD's: an example for each in training, all of them right afterwards."""
    file = tmp_path / "record.jsonl"
    row = {"query": "A @placeholder", "entities": ["Ann Lee", "Eve"], "passage": "P", "answers": ["Ann Lee", "Eve"]}
    file.write_text(json.dumps(row), encoding="utf-8")
    task = named("record")
    task.train = task.validation = str(file)
    found = task.splits()
    assert [example.target for example in found["train"]] == [("Ann Lee",), ("Eve",)]
    assert [example.target for example in found["validation"]] == [("Ann Lee", "Eve")]
    assert found["train"][0].texts == ("query: A @placeholder entities: Ann Lee, Eve passage: P",)
    assert task.measure(found["validation"], ["the Lee"]) == {"squad_f1": 2 / 3, "squad_exact_match": 0.0}
    assert task.measure(found["validation"], ["eve!"]) == {"squad_f1": 1.0, "squad_exact_match": 1.0}


def test_t5s_bleu_parts_symbols() -> None:
    """The "intl" tokenizer parts every mark and symbol; 13a keeps the euro's sign at its number."""
    found = measured(["it costs 5\u20ac or so now"], ("it costs 5 \u20ac or so now",))
    assert found["bleu_intl"] == pytest.approx(100.0)
    assert found["bleu"] < 70

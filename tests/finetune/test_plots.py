"""Groups by length and the pictures of a run."""

import json
from pathlib import Path

import pytest

from plmjax.finetune.plots import by_length, draw_all


def lines(split: str, pairs: list[tuple[object, object]]) -> list[dict]:
    return [{"split": split, "target": target, "prediction": prediction} for target, prediction in pairs]


def test_groups_of_like_length() -> None:
    found = lines("validation", [("a", "a"), ("a", "b"), ("b", "b"), (None, "a")]) + lines("t", [("b", "b")])
    groups = by_length("classification", found, {"validation": [3, 8, 9, 2], "t": [20]}, (8, 16, 24))
    assert groups["measure"] == "accuracy"
    assert groups["splits"]["validation"] == [
        {"from": 1, "to": 8, "count": 2, "value": 0.5},
        {"from": 9, "to": 16, "count": 1, "value": 1.0},
    ]
    assert groups["splits"]["t"] == [{"from": 17, "to": 24, "count": 1, "value": 1.0}]


@pytest.mark.parametrize(
    ("kind", "target", "prediction", "value"),
    [
        ("regression", 2.0, 0.5, 2.25),
        ("token_classification", ["O", "B-X", "O", "O"], ["O", "B-X", "B-X", "O"], 0.75),
        (
            "question_answering",
            ["the red house"],
            "red house yard",
            0.8,
        ),  # without articles 2 of 2 words, of 3 given
        ("multiple_choice", 1, 1, 1.0),
    ],
)
def test_measures(kind: str, target: object, prediction: object, value: float) -> None:
    groups = by_length(kind, lines("validation", [(target, prediction)]), {"validation": [4]}, (8,))
    assert groups["splits"]["validation"][0]["value"] == pytest.approx(value)


def test_pictures(tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / f"seed_{seed}").mkdir()
        records = [{"split": "train", "step": 1, "loss": 0.5 + seed}, {"split": "validation", "step": 2, "loss": 0.4}]
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"seed_{seed}" / "metrics.jsonl").write_text(text)
    found = lines("validation", [("a", "a"), ("b", "a")]) + lines("x/test.tsv", [("b", "b")])
    groups = by_length("classification", found, {"validation": [4, 5], "x/test.tsv": [3]}, (8,))
    files = draw_all(tmp_path, "classification", ("a", "b"), found, groups, (0, 1))
    assert [file.name for file in files] == ["losses.png", "lengths.png", "confusion.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert by_length("seq2seq", found, {"validation": [4, 5]}, (8,)) == {}
    assert [file.name for file in draw_all(tmp_path, "seq2seq", (), found, {}, (0,))] == ["losses.png"]

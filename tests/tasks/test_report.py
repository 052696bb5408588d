"""Tables to read and files to compute with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plmjax.tasks import report as report_module
from plmjax.tasks.report import Measure, Report, accuracy, as_table, write

REPORT = Report(
    [accuracy([True, True, True, False], "8 examples", 0.5), Measure("perplexity a word", 1234.5678, chance=4096.0)],
    ["Chance: a choice drawn at random."],
    [{"place": "a:1", "right": True}],
)


def test_a_share_has_its_standard_error() -> None:
    assert REPORT.measures[0].error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert REPORT.measures[1].error is None
    assert accuracy([]).value == 0.0


def test_the_table_has_chance_beside_each_number() -> None:
    assert as_table(REPORT).split("\n") == [
        "part        measure                   value     chance  n",
        "---------------------------------------------------------",
        "8 examples  accuracy           75.0% ±21.7%      50.0%  4",
        "all         perplexity a word     1,234.568  4,096.000  -",
        "Chance: a choice drawn at random.",
    ]


def test_results_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(REPORT, tmp_path / "new", {"from": "runs/x"})
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    assert results["from"] == "runs/x" and results["notes"] == REPORT.notes
    assert results["measures"][0] == {
        "part": "8 examples",
        "name": "accuracy",
        "value": 0.75,
        "standard_error": REPORT.measures[0].error,
        "chance": 0.5,
        "count": 4,
    }
    assert json.loads((tmp_path / "new" / "predictions.jsonl").read_text()) == REPORT.predictions[0]
    assert (tmp_path / "new" / "results.txt").read_text() == as_table(REPORT) + "\n"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "predictions.jsonl",
        "results.json",
        "results.txt",
    ]

    def full(path: Path, lines: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(report_module, "_replace", full)
    with pytest.raises(OSError, match="disk full"):
        write(REPORT, tmp_path / "new", {})
    assert not (tmp_path / "new" / "results.json").exists()  # nothing that could be taken for the new results

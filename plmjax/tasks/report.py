"""What an evaluation found, as a table to read and as files to compute with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number.

    Attributes:
        name: "accuracy", "perplexity a word" and so on.
        value: a share is between 0 and 1.
        part: of the data or of the settings that it is of ("anaphor agreement", "8 examples"); empty: all.
        chance: what would be had without the network; None where there is no such thing.
        count: examples that it is taken over.
        share: whether it is a mean of zeros and ones, so that it has a standard error and is written in per cent.
    """

    name: str
    value: float
    part: str = ""
    chance: float | None = None
    count: int = 0
    share: bool = False

    @property
    def error(self) -> float | None:
        """The standard error of a share."""
        return math.sqrt(self.value * (1 - self.value) / self.count) if self.share and self.count else None


@dataclass(slots=True)
class Report:
    """Measures, sentences that say how they were taken, and a line for each example."""

    measures: list[Measure]
    notes: list[str] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)


def accuracy(right: Sequence[bool], part: str = "", chance: float | None = None, name: str = "accuracy") -> Measure:
    """The share of what is right."""
    return Measure(name, sum(right) / max(len(right), 1), part, chance, len(right), share=True)


def as_table(report: Report) -> str:
    """Aligned columns: the part, the measure, its value with the standard error of a share, chance, examples."""
    head = ("part", "measure", "value", "chance", "n")
    cells = [head, *(_cells(measure) for measure in report.measures)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, *report.notes])


def write(report: Report, workdir: Path, about: dict[str, Any]) -> None:
    """results.json with `about` and the measures, predictions.jsonl, and the table in results.txt."""
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / RESULTS).unlink(missing_ok=True)  # written last: where it is, the others are whole and belong to it
    measures = [_as_dict(measure) for measure in report.measures]
    _replace(workdir / "predictions.jsonl", (json.dumps(line, ensure_ascii=False) for line in report.predictions))
    _replace(workdir / "results.txt", [as_table(report)])
    content = {**about, "measures": measures, "notes": report.notes}
    _replace(workdir / RESULTS, [json.dumps(content, indent=2, ensure_ascii=False)])


def _as_dict(measure: Measure) -> dict[str, Any]:
    return {
        "part": measure.part,
        "name": measure.name,
        "value": measure.value,
        "standard_error": measure.error,
        "chance": measure.chance,
        "count": measure.count,
    }


def _cells(measure: Measure) -> tuple[str, str, str, str, str]:
    form = ".1%" if measure.share else ",.3f"
    value = format(measure.value, form)
    if measure.error is not None:
        value += f" ±{measure.error:.1%}"
    chance = "-" if measure.chance is None else format(measure.chance, form)
    return measure.part or "all", measure.name, value, chance, f"{measure.count:,}" if measure.count else "-"


def _replace(path: Path, lines: Iterable[str]) -> None:
    """Writes a file so that no half of it is ever seen."""
    draft = path.with_name(path.name + ".partial")
    with draft.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    draft.replace(path)

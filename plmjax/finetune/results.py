"""The results of several seeds: each run, median, mean and deviation, as files and as a table."""

from __future__ import annotations

import json
import resource
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax

from plmjax.errors import UserError
from plmjax.renames import upgraded
from plmjax.tasks.metrics import is_share, lower_is_better
from plmjax.tasks.report import Measure, Report, write


@dataclass(slots=True)
class SeedResult:
    """One run.

    Attributes:
        seed: of the run.
        best_step: the step of the best validation, or the last where there is no validation.
        steps: updates that were made.
        stopped_early: whether validations without a better one ended it.
        scores: {split: {metric: value}} of the best step; "loss" among the metrics.
        seconds: of the run, evaluation included; train_seconds: without it; both without compiling.
        peaks: {metric: the best "value" of all validations and its "step"}; T5's tasks are scored so (Raffel et al.
            2020, Sec. 3.1.3).
    """

    seed: int
    best_step: int
    steps: int
    stopped_early: bool
    scores: dict[str, dict[str, float]]
    seconds: float
    train_seconds: float
    peaks: dict[str, dict[str, float]] = field(default_factory=dict)


def peak_memory() -> int:
    """Bytes that were held at most: by the device where it tells, else by this process on the host."""
    found = jax.devices()[0].memory_stats() or {}
    return int(found.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def better(metric: str, new: float, old: float | None) -> bool:
    """True where a value of a metric is better than another, or there is no other."""
    return old is None or (new < old if lower_is_better(metric) else new > old)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, mean and standard deviation (of the sample; 0 for one value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"median": statistics.median(values), "mean": statistics.fmean(values), "deviation": deviation}


@dataclass(slots=True)
class Results:
    """All runs of a command.

    Attributes:
        runs: one for each seed.
        best: the one with the best validation; the first where there is no validation.
        counts: {split: examples}.
        chance: {split: {metric: value}} of the answer that needs no reading.
        about: what was run.
        notes: sentences that say how the metrics were taken.
    """

    runs: list[SeedResult]
    best: SeedResult
    counts: Mapping[str, int]
    chance: Mapping[str, Mapping[str, float]]
    about: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def report(self, predictions: list[dict[str, Any]]) -> Report:
        """The table; its notes name each seed's values."""
        report = Report([], list(self.notes), predictions)
        for split, metrics in self.runs[0].scores.items():
            for name in metrics:
                values = [run.scores[split][name] for run in self.runs]
                found = summary(values)
                many = len(values) > 1
                chance = self.chance.get(split, {}).get(name)
                label = f"{name}, median of {len(values)}" if many else name
                count = self.counts.get(split, 0)
                report.measures.append(Measure(label, found["median"], split, chance, count, is_share(name)))
                if many:
                    each = " ".join(f"{value:.4f}" for value in values)
                    report.notes.append(
                        f"{split}, {name}: mean {found['mean']:.4f}, deviation {found['deviation']:.4f}; {each}"
                    )
        if len(self.best.peaks) > 1:
            peaks = self.best.peaks.items()
            each = ", ".join(f"{name} {peak['value']:.4f} (step {peak['step']:,})" for name, peak in peaks)
            report.notes.append(f"seed {self.best.seed}, the best validation of each metric: {each}")
        return report

    def as_dict(self) -> dict[str, Any]:
        """For results.json."""
        splits = {
            split: {name: summary([run.scores[split][name] for run in self.runs]) for name in metrics}
            for split, metrics in self.runs[0].scores.items()
        }
        return {**self.about, "summary": splits, "runs": [asdict(run) for run in self.runs]}


def write_seed(
    folder: Path,
    result: SeedResult,
    counts: Mapping[str, int],
    predictions: list[dict[str, Any]],
    identity: Mapping[str, Any],
) -> None:
    """The files of one seed; results.json comes last, and says that the seed is done."""
    report = Results([result], result, counts, {}).report(predictions)
    write(report, folder, {"run": asdict(result), "identity": dict(identity)})


def read_seed(folder: Path, identity: Mapping[str, Any]) -> tuple[SeedResult, list[dict[str, Any]]] | None:
    """Reads what `write_seed` wrote; None where it wrote nothing.

    Raises:
        UserError: it is of another checkpoint, task or recipe.
    """
    file = folder / "results.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    if upgraded(found.get("identity")) != identity:
        raise UserError(
            f"{folder} holds the results of another checkpoint, task or recipe: give another --workdir, or delete it."
        )
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return SeedResult(**found["run"]), [json.loads(line) for line in lines]

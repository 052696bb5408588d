"""Numbers of single steps gathered into the lines of a log."""

import math
import time
from collections.abc import Mapping
from typing import Any


class MetricAccumulator:
    """The steps since the last line: sums of the losses and metrics, and where the time went.

    The sums are numbers of the run and travel in the checkpoint (`sums`), so that a resumed run logs what the
    uninterrupted one does; the times are this process's own.
    """

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in (sums or {}).items()}
        self.start()

    def start(self) -> None:
        """Starts the clock anew."""
        self.began, self.waited, self.tokens, self.steps, self.flops = time.perf_counter(), 0.0, 0, 0, 0.0

    def leave_out(self, seconds: float) -> None:
        """Leaves seconds that were not spent on steps out of the speed."""
        self.began += seconds

    def copied_sums(self) -> dict[str, list[float]]:
        """The sums as they are now, for a checkpoint that is written later."""
        return {name: list(pair) for name, pair in self.sums.items()}

    def clear(self) -> None:
        """Forgets the steps so far: a line has been written."""
        self.sums.clear()
        self.start()

    def add(self, report: dict[str, Any], flops: float) -> None:
        """Adds one step's report, on the host, and its FLOPs; a step whose update was skipped adds no losses."""
        self.tokens += int(report["tokens"])
        self.steps += 1
        self.flops += flops
        if int(report["nonfinite_in_a_row"]):
            return
        for group in ("losses", "metrics"):
            for name, (total, weight) in report[group].items():
                pair = self.sums.setdefault(f"{group}/{name}", [0.0, 0.0])
                pair[0] += float(total)
                pair[1] += float(weight)

    def means(self, coefficients: Mapping[str, float]) -> dict[str, float]:
        """{"loss": total, each loss and metric by name: mean}."""
        means = {name: total / weight if weight else 0.0 for name, (total, weight) in self.sums.items()}
        losses = {name.removeprefix("losses/"): mean for name, mean in means.items() if name.startswith("losses/")}
        metrics = {name.removeprefix("metrics/"): mean for name, mean in means.items() if name.startswith("metrics/")}
        total = sum(coefficients.get(name, 1.0) * mean for name, mean in losses.items())
        return ({"loss": total} | metrics | losses) if losses else {}

    def speed(self, peak: float | None, devices: int) -> dict[str, float]:
        """Tokens a second, seconds a step, share of the time spent waiting for input, and MFU where it is known."""
        seconds = max(time.perf_counter() - self.began, 1e-9)
        out = {
            "tokens_per_second": self.tokens / seconds,
            "step_seconds": seconds / max(self.steps, 1),
            "input_wait": min(self.waited / seconds, 1.0),
        }
        if self.flops and peak:
            out["mfu"] = self.flops / seconds / (peak * devices)
        return out


def finite(value: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None

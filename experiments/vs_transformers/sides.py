"""What a side leaves behind: a file with its runs and the most memory that its process held."""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIDES = ("plmjax", "transformers")
FILE = "side.json"

Run = dict[str, Any]
"""seed, best_step, steps, scores {split: accuracy}, seconds, train_seconds; the seconds without any compiling."""


def peak_rss() -> int:
    """Bytes of this process that were in memory at most.

    The kernel's high-water mark of the process's own memory; `getrusage`, where there is none, counts what the process
    that started it held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_side(folder: Path) -> dict[str, Any]:
    """What `write_side` wrote, or no runs."""
    file = folder / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"runs": []}


def write_side(folder: Path, runs: Sequence[Run], trained: bool, about: dict[str, Any]) -> None:
    """Writes the runs so far.

    Args:
        folder: of the side.
        runs: of all seeds that are done.
        trained: whether this process trained any of them, so that its memory counts.
        about: what else is said.
    """
    before = read_side(folder).get("peak_memory_bytes") or 0
    peak = max(before, peak_rss() if trained else 0) or None
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{FILE}.partial"
    content = {**about, "peak_memory_bytes": peak, "runs": list(runs)}
    draft.write_text(json.dumps(content, indent=2), encoding="utf-8")
    draft.replace(folder / FILE)

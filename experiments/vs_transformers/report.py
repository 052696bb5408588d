"""Both sides in one table: what they score, how long they take and how much memory they hold."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plmjax.finetune.results import summary
from plmjax.tasks.report import Measure, Report

GIGABYTE = 1e9


def make_report(plan: Mapping[str, Any], sides: Mapping[str, Any]) -> Report:
    """The table, a line for each side and measure; its notes say what was the same and what was not.

    Args:
        plan: of both.
        sides: {side: what it left}, as `read_side` reads it.
    """
    seeds = plan["seeds"]
    counts = {split: len(found) for split, found in plan["examples"].items()}
    measures = []
    for split in [name for name in counts if name != "train"]:
        for side, found in sides.items():
            value = summary(_values(found, split))
            name = f"accuracy, {side}"
            measures.append(Measure(f"{name}, median of {seeds}", value["median"], split, None, counts[split], True))
            if seeds > 1:
                measures.append(Measure(f"{name}, deviation", value["deviation"], split))
    for label, field in (("seconds of training", "train_seconds"), ("seconds with evaluation", "seconds")):
        for side, found in sides.items():
            value = statistics.median(run[field] for run in found["runs"])
            measures.append(Measure(f"{label}, {side}", value, "a seed"))
    for side, found in sides.items():
        if found["peak_memory_bytes"] is not None:
            measures.append(Measure(f"gigabytes, {side}", found["peak_memory_bytes"] / GIGABYTE, "peak memory"))
    return Report(measures, notes=_notes(plan, sides))


def _values(found: Mapping[str, Any], split: str) -> list[float]:
    return [run["scores"][split] for run in found["runs"]]


def _notes(plan: Mapping[str, Any], sides: Mapping[str, Any]) -> list[str]:
    train, optimizer = plan["recipe"]["train"], plan["recipe"]["optimizer"]
    notes = [
        f"{plan['threads']} thread(s) on {processor()}, both sides on the same CPUs, one after the other",
        f"both: {plan['steps']:,} steps of {train['batch_size']} rows, {plan['epoch_steps']:,} an epoch; AdamW, rate "
        f"{optimizer['learning_rate']:g}, weight decay {optimizer['weight_decay']:g}, warm-up of "
        f"{plan['warmup_steps']:,} steps, gradients clipped at {optimizer['clip_norm']:g}; the best validation's step",
        "seconds are without compiling, and peak memory is that of the whole process (resident set)",
    ]
    if "plmjax" in sides:
        compiling = sides["plmjax"].get("compile_seconds")
        took = f", compiled in {sum(compiling.values()):.1f} s" if compiling else ""
        notes.append(
            f"plmjax alone: rows of like length in a batch, among {train['pool']} batches, filled up to "
            f"{', '.join(map(str, sides['plmjax']['buckets']))} tokens{took}"
        )
    for side, found in sides.items():
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        notes.append(f"{side}: {versions}")
        for split in found["runs"][0]["scores"]:
            each = " ".join(f"{value:.4f}" for value in _values(found, split))
            notes.append(f"{side}, {split}, each seed: {each}")
    return notes


def processor() -> str:
    """The name of this machine's CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

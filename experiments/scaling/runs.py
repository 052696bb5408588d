"""A family's runs: trained one after the other, resumed, written down, fitted and drawn."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.scaling.family import FREE, Cost, Family, Member, check, cost, members
from experiments.scaling.report import draw, fit_all, table
from experiments.summary import main_loss
from plmjax.checkpoints.serialize import first_difference, to_json
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.train.data import open_store
from plmjax.train.flops import peak_flops
from plmjax.train.loop import pretrain
from plmjax.train.reporting import clock, read_records, si

# For the time that is left before a run is finished; then what was measured counts.
SHARE_OF_PEAK, SECONDS_TO_START = 0.4, 10.0


def train_family(family: Family, workdir: Path, devices: Sequence[jax.Device] | None = None) -> bool:
    """Trains what is not finished yet; False when a signal stopped it.

    Raises UserError for a family that can't be trained, or where `workdir` holds another.
    """
    check(family)
    runs = members(family, workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    store = open_store(runs[0].config.data, workdir)
    check_folder(family, workdir, store)
    largest = [run for run in runs if run.budget == family.tokens[-1]]
    costs = {run.size: cost(run.config, store) for run in largest}
    finished = {record["name"]: record for record in read_runs(workdir)}
    progress = Progress(runs, costs, finished)
    print(f"{family.name} in {workdir}: {len(runs)} runs, {len(finished)} of them finished; {progress}", flush=True)
    for number, member in enumerate(runs, 1):
        if member.name in finished:
            continue
        size = costs[member.size]
        print(
            f"\nrun {number} of {len(runs)}: {member.name}, {si(size.parameters)} parameters without embeddings, "
            f"{si(member.tokens)} tokens, rate {member.config.optimizer.learning_rate:.2g}; {progress}",
            flush=True,
        )
        began = time.perf_counter()
        result = pretrain(member.config, workdir / member.name, devices=devices)
        if result.status == "stopped":
            print("stopped: run the same command again to go on", flush=True)
            return False
        finished[member.name] = record = measured(member, size, workdir / member.name)
        progress.started(time.perf_counter() - began - record["seconds"])
        write_runs(workdir, [finished[run.name] for run in runs if run.name in finished])
    return True


def measured(member: Member, size: Cost, folder: Path) -> dict[str, Any]:
    """What is kept of a finished run; `seconds` are those of its steps and validations, without compiling."""
    records = list(read_records(folder / "metrics.jsonl"))
    steps = member.config.train.steps
    last = next(r for r in reversed(records) if r["split"] == "validation" and r["step"] == steps)
    lines = [record for record in records if record["split"] == "train"]
    before = [0, *(line["step"] for line in lines)]
    seconds = sum(line["step_seconds"] * (line["step"] - start) for line, start in zip(lines, before, strict=False))
    seconds += sum(record["seconds"] for record in records if record["split"] == "validation")
    model = member.config.model
    return {
        "name": member.name,
        "layers": model.num_layers,
        "width": model.d_model,
        "heads": model.num_heads,
        "budget": member.budget,
        "seed": member.seed,
        "steps": steps,
        "tokens": member.tokens,
        "learning_rate": member.config.optimizer.learning_rate,
        "parameters": size.parameters,
        "all_parameters": size.all_parameters,
        "compute": 6.0 * size.parameters * member.tokens,
        "counted_flops": size.flops * member.tokens,
        "loss": last[main_loss(last)],
        "unigram_entropy": last["unigram_entropy"],
        "seconds": seconds,
    }


class Progress:
    """How long the runs that are left will take, as text."""

    def __init__(
        self, runs: list[Member], costs: dict[tuple[int, int], Cost], finished: dict[str, dict[str, Any]]
    ) -> None:
        self._runs, self._costs, self._finished = runs, costs, finished
        self._starts: list[float] = []
        self._peak = peak_flops(jax.devices()[0])

    def started(self, seconds: float) -> None:
        """A run took so long beside its steps."""
        self._starts.append(seconds)

    def __str__(self) -> str:
        left = [run for run in self._runs if run.name not in self._finished]
        seconds = [self._seconds(run) for run in left]
        if any(one is None for one in seconds):
            return f"{len(left)} to go"
        start = sum(self._starts) / len(self._starts) if self._starts else SECONDS_TO_START
        return f"{len(left)} to go, about {clock(sum(seconds) + start * len(left))}"

    def _seconds(self, run: Member) -> float | None:
        """By the speed of the finished run that is nearest in FLOPs a token, or by the device's peak."""
        flops = self._costs[run.size].flops
        if self._finished:
            near = min(self._finished.values(), key=lambda r: abs(r["counted_flops"] / r["tokens"] - flops))
            return near["seconds"] * flops * run.tokens / near["counted_flops"]
        return flops * run.tokens / (self._peak * SHARE_OF_PEAK) if self._peak else None


def check_folder(family: Family, workdir: Path, store: Store | None = None) -> None:
    """Writes down, with a store, what family a folder is of; UserError where it is another's."""
    file, current = workdir / "family.json", to_json(family)
    if not file.exists():
        if store is not None:
            _replace(file, json.dumps({"store": store.fingerprint, "family": current}, indent=2))
        return
    saved = json.loads(file.read_text(encoding="utf-8"))
    if store is not None and saved["store"] != store.fingerprint:
        raise UserError(
            f"The family in {workdir} was trained on another token store ({saved['store'][:12]} instead of "
            f"{store.fingerprint[:12]}): give it back its data, or start anew in another --workdir."
        )
    difference = first_difference(saved["family"], current, FREE)
    if difference is not None:
        path, old, new = difference
        raise UserError(
            f"The family in {workdir} has {path} = {old!r}, but {new!r} is asked for now: restore the value, or start "
            "anew in another --workdir."
        )


def read_runs(workdir: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    file = workdir / "runs.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def write_runs(workdir: Path, records: list[dict[str, Any]]) -> None:
    """All of them in one move, so that no line is ever half there."""
    _replace(workdir / "runs.jsonl", "".join(json.dumps(record) + "\n" for record in records))


def _replace(file: Path, text: str) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)


def report(family: Family, workdir: Path, picture: Path) -> None:
    """Fits what is finished, and writes it down.

    Raises UserError where fewer than two budgets have been finished by all sizes.
    """
    check(family)
    check_folder(family, workdir)
    runs, wanted = read_runs(workdir), len(family.layers) * len(family.seeds)
    whole = [budget for budget in family.tokens if sum(run["budget"] == budget for run in runs) == wanted]
    if len(whole) < 2:
        raise UserError(
            f"Of the family in {workdir} all sizes have finished {len(whole)} budget(s), but a law needs two: run "
            "without --report to go on."
        )
    runs = [run for run in runs if run["budget"] in whole]
    results = fit_all(runs, family.resamples)
    kept = [{name: value for name, value in run.items() if name != "seconds"} for run in runs]
    found = {"fits": results.as_json(), "front": results.front, "runs": kept}
    _replace(workdir / "results.json", json.dumps(found, indent=2))
    text = table(runs, results)
    _replace(workdir / "table.txt", text + "\n")
    draw(runs, results, picture)
    print(f"\n{text}\n\nresults: {workdir / 'results.json'}\ntable: {workdir / 'table.txt'}\npicture: {picture}")

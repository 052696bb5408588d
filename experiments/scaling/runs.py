"""A family's runs as cells: each trained once, then fitted and drawn."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments._summary import main_loss
from experiments.cells.cell import Cell, Result
from experiments.cells.identity import config_identity
from experiments.cells.run import Outcome, finished_results, run_cells
from experiments.scaling.family import FREE, Cost, Family, Member, check, cost, members
from experiments.scaling.report import draw, fit_all, table
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.train.data import open_store
from plmjax.train.loop import train
from plmjax.train.reporting import read_records
from plmjax.train.trainer import EXIT_STOPPED


def make_cells(family: Family, workdir: Path, devices: Sequence[jax.Device] | None = None) -> list[Cell]:
    """A cell for each run of the family, those of the smallest budget first.

    Raises:
        UserError: the family can't be trained.
    """
    check(family)
    runs = members(family, workdir)
    store = open_store(runs[0].config.data, workdir)
    largest = [run for run in runs if run.budget == family.tokens[-1]]
    costs = {run.size: cost(run.config, store) for run in largest}
    return [_make_cell(run, costs[run.size], store, devices) for run in runs]


def _make_cell(member: Member, size: Cost, store: Store, devices: Sequence[jax.Device] | None) -> Cell:
    def run(folder: Path, _: Mapping[str, Result]) -> Result:
        result = train(member.config, store, folder, devices=devices)
        if result.status == "stopped":
            raise SystemExit(EXIT_STOPPED)
        return measured(member, size, folder)

    content = {"run": config_identity(member.config, FREE), "store": store.fingerprint}
    return Cell(member.name, content, run, cost=size.flops * member.tokens)


def train_family(family: Family, workdir: Path, devices: Sequence[jax.Device] | None = None) -> Outcome:
    """Trains what is not finished yet; a signal ends the process after saving.

    Raises:
        UserError: the family can't be trained.
    """
    return run_cells(make_cells(family, workdir, devices), workdir)


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


def report(family: Family, workdir: Path, picture: Path) -> None:
    """Fits what is finished, and writes it down.

    Raises:
        UserError: fewer than two budgets have been finished by all sizes.
    """
    results = finished_results(make_cells(family, workdir), workdir)
    runs, wanted = list(results.values()), len(family.layers) * len(family.seeds)
    whole = [budget for budget in family.tokens if sum(run["budget"] == budget for run in runs) == wanted]
    if len(whole) < 2:
        raise UserError(
            f"Of the family in {workdir} all sizes have finished {len(whole)} budget(s), but a law needs two: run "
            "without --report to go on."
        )
    runs = [run for run in runs if run["budget"] in whole]
    fits = fit_all(runs, family.resamples)
    kept = [{name: value for name, value in run.items() if name != "seconds"} for run in runs]
    found: dict[str, Any] = {"fits": fits.as_json(), "front": fits.front, "runs": kept}
    (workdir / "results.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    text = table(runs, fits)
    (workdir / "table.txt").write_text(text + "\n", encoding="utf-8")
    draw(runs, fits, picture)
    print(f"\n{text}\n\nresults: {workdir / 'results.json'}\ntable: {workdir / 'table.txt'}\npicture: {picture}")

"""The grid of checkpoints and tasks: which cells are run, that none is run twice, and what the table says of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.configs.downstream import get_config
from experiments.downstream import grid as grids
from experiments.downstream.grid import Cell, Column, Grid, read_cells, run_grid
from experiments.downstream.table import draw, table
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.loop import check
from plmjax.finetune.results import Results, SeedResult
from plmjax.tasks.registry import named
from plmjax.tasks.report import write

KINDS = {"runs/bert": "encoder", "runs/gpt": "decoder"}


def column(name: str, metric: str, kinds: tuple[str, ...], **fields: Any) -> Column:
    task = named(name)
    for field, value in fields.items():
        setattr(task, field, value)
    return Column(task, (metric,), FineTune(), kinds, seeds=2)


@pytest.fixture
def grid() -> Grid:
    columns = {
        "sst2": column(
            "sst2_files", "accuracy", ("encoder", "decoder"), train="a.tsv", validation="b.tsv", test=("c.tsv",)
        ),
        "xquad": column("xquad", "f1", ("encoder",), train="x.json"),
    }
    return Grid(tuple(KINDS), columns, data="there")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, Any]]:
    """Every call of `finetune`, which scores by what it is called for."""
    made: list[tuple[str, Any, Any]] = []

    def finetune(pretrained: Any, task: Any, recipe: Any, folder: Path, *, seeds: int, from_random: bool, about: Any):
        made.append((f"{folder.parent.name}/{folder.name}", task, recipe))
        value = 0.5 if from_random else 0.8
        splits = {"validation": {"f1": value + task.fold / 10, "accuracy": 0.0}, "there/c.tsv": {"accuracy": value}}
        results = [SeedResult(seed, 1, 1, False, splits, 1.0, 1.0) for seed in range(seeds)]
        found = Results(results, results[0], {"validation": 10, "there/c.tsv": 10}, {}, about)
        write(found.report([]), folder, found.as_dict())
        return found

    monkeypatch.setattr(grids, "finetune", finetune)
    monkeypatch.setattr(grids, "load", lambda path: SimpleNamespace(module=SimpleNamespace(kind=KINDS[path])))
    return made


def test_every_cell_that_a_kind_can_do_is_run_once(grid, runs, tmp_path):
    run_grid(grid, tmp_path)
    folds = [f"{start}/fold_{fold}" for start in ("bert", "bert_random") for fold in range(5)]
    assert [name for name, *_ in runs] == ["sst2/bert", "sst2/bert_random", "sst2/gpt", "sst2/gpt_random", *folds]
    assert (runs[0][1].train, runs[0][1].test) == ("there/a.tsv", ("there/c.tsv",))
    assert (runs[4][1].train, runs[4][1].validation) == ("there/x.json", "")
    run_grid(grid, tmp_path)
    assert len(runs) == 14
    run_grid(replace(grid, columns={"sst2": replace(grid.columns["sst2"], seeds=3)}), tmp_path)
    assert len(runs) == 18  # another seed is wanted of four cells
    cells = {(cell.task, cell.checkpoint, cell.random): cell.seeds for cell in read_cells(grid, tmp_path)}
    assert len(cells) == 6
    assert cells["sst2", "gpt", True] == (0.5,) * 3
    assert cells["xquad", "bert", False] == pytest.approx((1.0, 1.0))  # the mean over the folds


def test_text_to_text_may_have_a_recipe_of_its_own(grid, runs, tmp_path):
    columns = grid.columns | {"xquad": replace(grid.columns["xquad"], text_recipe=FineTune(max_length=512))}
    run_grid(replace(grid, columns=columns, text_to_text=tuple(KINDS)[:1]), tmp_path)
    ways = {(name.split("/")[0], recipe.task_model, recipe.max_length) for name, _, recipe in runs}
    written = {(start, "text_to_text", 512) for start in ("bert", "bert_random")}
    assert ways == {("sst2", "text_to_text", 0), ("sst2", "", 0)} | written


def test_table_marks_what_the_seeds_tell_apart(grid, tmp_path):
    cells = [
        Cell("sst2", "accuracy", "bert", False, (0.8, 0.7, 0.9)),
        Cell("sst2", "accuracy", "bert", True, (0.6, 0.69, 0.5)),
        Cell("sst2", "accuracy", "gpt", False, (0.8, 0.7, 0.9)),
        Cell("sst2", "accuracy", "gpt", True, (0.6, 0.71, 0.5)),
        Cell("xquad", "f1", "bert", False, (0.1,)),
        Cell("xquad", "f1", "gpt", False, (0.9,)),
        Cell("xquad", "f1", "gpt", True, (0.1,)),
    ]
    assert table(grid, cells).splitlines() == [
        "| checkpoint | sst2, accuracy | xquad, f1 |",
        "|---|---|---|",
        "| bert | 0.800 (0.600)* | 0.100 (?) |",
        "| gpt | 0.800 (0.600) | 0.900 (0.100) |",
    ]
    draw(grid, cells, tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 1000


def test_a_task_that_there_is_not(grid):
    with pytest.raises(UserError, match=r"config\.tasks has 'sst3': choose from sst2, xquad"):
        replace(grid, tasks=("sst3",)).chosen()


def test_the_shipped_grid_is_whole():
    for column in get_config().columns.values():
        for recipe in filter(None, (column.recipe, column.text_recipe)):
            check(recipe, 1)
        assert set(column.metrics) <= set(column.task.metrics)
        assert column.folds or column.task.test

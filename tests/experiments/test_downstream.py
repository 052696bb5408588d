"""The grid of checkpoints and tasks: which cells are run, that none is run twice, and what the table says of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.cells.run import run_cells
from experiments.configs.downstream import get_config
from experiments.downstream import grid as grids
from experiments.downstream.grid import Column, Entry, Grid, make_cells, read_entries
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
    """Every call of `finetune`, which scores by what it is called for: checkpoint, task and recipe."""
    made: list[tuple[str, Any, Any]] = []

    def finetune(pretrained: Any, task: Any, recipe: Any, folder: Path, *, from_random: bool, about: Any):
        made.append((Path(about["from"]).name + ("_random" if from_random else ""), task, recipe))
        value = 0.5 if from_random else 0.8
        splits = {"validation": {"f1": value + task.fold / 10, "accuracy": 0.0}, "there/c.tsv": {"accuracy": value}}
        results = [SeedResult(recipe.train.seed, 1, 1, False, splits, 1.0, 1.0)]
        found = Results(results, results[0], {"validation": 10, "there/c.tsv": 10}, {}, about)
        write(found.report([]), folder, found.as_dict())
        return found

    monkeypatch.setattr(grids, "finetune", finetune)
    monkeypatch.setattr(grids, "_network", lambda path: SimpleNamespace(module=SimpleNamespace(kind=KINDS[path])))
    monkeypatch.setattr(grids, "checkpoint_identity", lambda path: path)
    return made


def run_grid(grid: Grid, workdir: Path) -> list[Entry]:
    cells = make_cells(grid)
    assert run_cells(cells, workdir).failed == ()
    return list(read_entries(grid, cells, workdir))


def test_every_cell_that_a_kind_can_do_is_run_once(grid, runs, tmp_path):
    entries = run_grid(grid, tmp_path)
    sst2 = ["bert", "bert", "bert_random", "bert_random", "gpt", "gpt", "gpt_random", "gpt_random"]
    assert [name for name, *_ in runs] == sst2 + ["bert"] * 10 + ["bert_random"] * 10
    assert [recipe.train.seed for *_, recipe in runs[:4]] == [0, 1, 0, 1]
    assert (runs[0][1].train, runs[0][1].test) == ("there/a.tsv", ("there/c.tsv",))
    assert (runs[8][1].train, runs[8][1].validation) == ("there/x.json", "")
    assert [task.fold for _, task, _ in runs[8:18]] == [0, 1, 2, 3, 4] * 2
    found = {(entry.task, entry.checkpoint, entry.random): entry.seeds for entry in entries}
    assert len(found) == 6
    assert found["sst2", "gpt", True] == (0.5,) * 2
    assert found["xquad", "bert", False] == pytest.approx((1.0, 1.0))  # the mean over the folds
    run_grid(grid, tmp_path)
    assert len(runs) == 28
    run_grid(replace(grid, columns={"sst2": replace(grid.columns["sst2"], seeds=3)}), tmp_path)
    assert len(runs) == 32  # another seed is wanted of four rows


def test_what_decides_a_result_makes_another_cell(grid, runs, tmp_path, monkeypatch):
    only = replace(grid, tasks=("sst2",), data=str(tmp_path))
    (tmp_path / "a.tsv").write_text("one")
    before = {cell.name: cell.key for cell in make_cells(only)}
    column = only.columns["sst2"]

    def changed(**fields: Any) -> bool:
        columns = only.columns | {"sst2": replace(column, **fields)}
        after = {cell.name: cell.key for cell in make_cells(replace(only, columns=columns))}
        assert all(
            (after[name] != key) == (after["sst2/gpt/seed_0"] != before["sst2/gpt/seed_0"])
            for name, key in before.items()
        )
        return after != before

    assert not changed()
    assert changed(recipe=FineTune(max_length=99))
    assert changed(task=replace(column.task, limit=7))
    quiet = FineTune()
    quiet.train = replace(quiet.train, log_every=1, tensorboard=False)
    assert not changed(recipe=quiet)  # which changes no result
    (tmp_path / "a.tsv").write_text("two")
    assert changed()
    monkeypatch.setattr(grids, "checkpoint_identity", lambda path: path + " trained on")
    assert changed()


def test_text_to_text_may_have_a_recipe_of_its_own(grid, runs, tmp_path):
    columns = grid.columns | {"xquad": replace(grid.columns["xquad"], text_recipe=FineTune(max_length=512))}
    run_grid(replace(grid, columns=columns, text_to_text=tuple(KINDS)[:1]), tmp_path)
    ways = {
        (name.removesuffix("_random"), task.name, recipe.task_model, recipe.max_length) for name, task, recipe in runs
    }
    assert ways == {
        ("bert", "sst2_files", "text_to_text", 0), ("gpt", "sst2_files", "", 0), ("bert", "xquad", "text_to_text", 512),
    }  # fmt: skip


def test_table_marks_what_the_seeds_tell_apart(grid, tmp_path):
    cells = [
        Entry("sst2", "accuracy", "bert", False, (0.8, 0.7, 0.9)),
        Entry("sst2", "accuracy", "bert", True, (0.6, 0.69, 0.5)),
        Entry("sst2", "accuracy", "gpt", False, (0.8, 0.7, 0.9)),
        Entry("sst2", "accuracy", "gpt", True, (0.6, 0.71, 0.5)),
        Entry("xquad", "f1", "bert", False, (0.1,)),
        Entry("xquad", "f1", "gpt", False, (0.9,)),
        Entry("xquad", "f1", "gpt", True, (0.1,)),
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

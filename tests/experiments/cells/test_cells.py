"""Cells: what makes their identity, that any number of processes does each once, and what is kept of a failure."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.cells import folder as folders
from experiments.cells.cell import Cell, in_order
from experiments.cells.folder import CellFolder
from experiments.cells.run import Outcome, finished_results, run_cells
from experiments.cells.status import status_table
from plmjax.errors import UserError
from tests.train.kit import REPOSITORY


def cell(name: str, *needs: Cell, calls: list[str] | None = None, value: int = 1) -> Cell:
    """Adds its value to those of the cells that it needs."""

    def run(_: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        if calls is not None:
            calls.append(name)
        return {"sum": value + sum(result["sum"] for result in results.values())}

    return Cell(name, {"value": value, "name": name}, run, needs)


def failing(name: str, error: BaseException, *needs: Cell) -> Cell:
    def run(*_: Any) -> dict[str, Any]:
        raise error

    return Cell(name, {"name": name}, run, needs)


def test_needed_cells_come_first_and_each_is_done_once(tmp_path: Path) -> None:
    calls: list[str] = []
    base = cell("base", calls=calls)
    left, right = cell("left", base, calls=calls, value=2), cell("right", base, calls=calls, value=3)
    top = cell("top", left, right, calls=calls)
    assert run_cells([top, right], tmp_path) == Outcome(("base", "left", "right", "top"), ())
    assert calls == ["base", "left", "right", "top"]
    assert finished_results([top, base], tmp_path) == {"top": {"sum": 8}, "base": {"sum": 1}}
    run_cells([top], tmp_path)
    assert len(calls) == 4
    run_cells([top, cell("more", base, calls=calls)], tmp_path)  # a grid grows
    assert calls[4:] == ["more"]


def test_another_content_is_another_cell_and_so_are_those_that_need_it(tmp_path: Path) -> None:
    calls: list[str] = []
    run_cells([cell("top", cell("base", calls=calls), calls=calls)], tmp_path)
    changed = cell("top", cell("base", calls=calls, value=5), calls=calls)
    assert finished_results([changed], tmp_path) == {}  # nothing stale is reported
    run_cells([changed], tmp_path)
    assert calls == ["base", "top"] * 2
    assert finished_results([changed], tmp_path) == {"top": {"sum": 6}}


def test_one_name_for_two_contents_is_refused() -> None:
    with pytest.raises(UserError, match="two different cells named 'a'"):
        in_order([cell("a"), cell("a", value=2)])


def test_a_failed_cell_says_why_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, worse = (
        failing("bad", UserError("The file x is not there: give one.")),
        failing("worse", ZeroDivisionError("0")),
    )
    cells = [bad, worse, cell("above", bad), cell("good")]
    assert run_cells(cells, tmp_path) == Outcome(("good",), ("bad", "worse"))
    printed = capsys.readouterr().out
    assert "failed: The file x is not there: give one." in printed and "failed: ZeroDivisionError: 0" in printed
    assert "in run\n    raise error" in CellFolder(tmp_path, worse).error()["traceback"]
    table = status_table(cells, tmp_path)
    assert "| bad | failed | The file x is not there: give one. |" in table
    assert "| above | waiting | needs bad |" in table
    assert table.endswith("2 failed, 1 waiting, 1 finished")
    mended = Cell("bad", bad.content, lambda *_: {"sum": 0})  # the same content: it is tried again
    assert run_cells([mended], tmp_path) == Outcome(("bad",), ())
    assert CellFolder(tmp_path, mended).error() is None


def test_a_signal_ends_the_work_and_gives_the_cell_back(tmp_path: Path) -> None:
    stopping = failing("stopping", SystemExit(75))
    with pytest.raises(SystemExit):
        run_cells([stopping, cell("next")], tmp_path)
    assert CellFolder(tmp_path, stopping).owner() is None


def test_a_report_is_renewed_after_each_cell(tmp_path: Path) -> None:
    cells, seen = [cell("a"), failing("b", ValueError("no")), cell("c")], []
    run_cells(cells, tmp_path, lambda: seen.append(sorted(finished_results(cells, tmp_path))))
    assert seen == [["a"], ["a", "c"]]


def test_a_claim_holds_while_its_process_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells").mkdir()
    one = CellFolder(tmp_path, cell("a"))
    assert one.claim() and not one.claim()
    claim = one.path / "claim.json"
    assert "| a | running | process" in status_table([one.cell], tmp_path)
    other = json.loads(claim.read_text()) | {"process": 2**22 - 1}
    claim.write_text(json.dumps(other))
    assert one.claim()  # that process is gone
    claim.write_text(json.dumps(json.loads(claim.read_text()) | {"started": "1"}))
    assert one.claim()  # another process has its number now
    claim.write_text(json.dumps(other | {"host": "elsewhere"}))
    assert not one.claim()  # its heart may beat
    os.utime(claim, (0, time.time() - folders.STALE - 1))
    assert one.claim()
    claim.write_text("{")
    assert one.claim()


WORKER = """
import sys, time
from pathlib import Path
from experiments.cells.cell import Cell
from experiments.cells.run import run_cells

root, me = Path(sys.argv[1]), sys.argv[2]

def make(name, *needs):
    def run(folder, results):
        with (root / "done.txt").open("a") as file:
            file.write(f"{name} {me}\\n")
        time.sleep(0.02)
        return {"value": name}
    return Cell(name, {"name": name}, run, needs)

base = [make(f"base{i}") for i in range(4)]
outcome = run_cells([make(f"top{i}", base[i % 4]) for i in range(12)], root)
assert len(outcome.finished) == 16, outcome
"""


def test_processes_that_share_a_folder_do_each_cell_once(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(number)], env=environment, cwd=REPOSITORY) for number in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    done = [line.split()[0] for line in (tmp_path / "done.txt").read_text().splitlines()]
    assert sorted(done) == sorted([*(f"base{i}" for i in range(4)), *(f"top{i}" for i in range(12))])

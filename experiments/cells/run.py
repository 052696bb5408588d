"""Does the cells of a grid that are not done yet. Several processes may share a folder: no cell is done twice."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.cells.cell import Cell, in_order
from experiments.cells.folder import HEARTBEAT, CellFolder
from plmjax.errors import UserError
from plmjax.train.reporting import clock
from plmjax.working_folder import GRID, make_writable, require_own

WAIT = 2.0  # seconds between two looks at cells that other processes work on


@dataclass(frozen=True)
class Outcome:
    """How a grid stands after a call of `run_cells`.

    Attributes:
        finished, failed: names of cells; those that need a failed one are in neither.
    """

    finished: tuple[str, ...]
    failed: tuple[str, ...]


def run_cells(cells: Sequence[Cell], root: Path, after: Callable[[], object] = lambda: None) -> Outcome:
    """Does every cell that is not done, those it needs first.

    A cell that fails says why, in its folder and on the way, and the others go on; the next call tries it again. Cells
    that another process works on are waited for, since others may need them. Work that a signal stops ends the process
    (SystemExit), and the next call takes it up.

    Args:
        cells: of the grid; those that they need are done too.
        root: the folder that the grid's processes share; made if need be.
        after: called after each cell that this process finishes, to renew a report.

    Raises:
        UserError: two cells have one name, or the folder can't be written or holds something else.
    """
    ordered = in_order(cells)
    folders = {cell.key: CellFolder(root, cell) for cell in ordered}
    make_writable(root)
    require_own(root, GRID)
    (root / "cells").mkdir(exist_ok=True)
    tried: set[str] = set()
    print(
        f"{len(ordered)} cells in {root}, {sum(one.finished for one in folders.values())} of them finished", flush=True
    )
    while open_cells := [cell for cell in ordered if not folders[cell.key].finished and cell.key not in tried]:
        ready = [cell for cell in open_cells if all(folders[needed.key].finished for needed in cell.needs)]
        for cell in ready:
            if folders[cell.key].claim():
                break
        else:
            if not _worth_waiting(open_cells, ready, folders):
                break
            time.sleep(WAIT)
            continue
        tried.add(cell.key)
        _do(cell, folders, progress(ordered, folders))
        if folders[cell.key].finished:
            after()
    return _outcome(ordered, folders)


def _worth_waiting(open_cells: Sequence[Cell], ready: Sequence[Cell], folders: dict[str, CellFolder]) -> bool:
    """Whether another process works on a cell that is open."""
    return any(folders[cell.key].owner() is not None for cell in (*ready, *open_cells))


def _do(cell: Cell, folders: dict[str, CellFolder], standing: str) -> None:
    """Does one claimed cell."""
    folder = folders[cell.key]
    print(f"\n=== {cell.name}; {standing}", flush=True)
    began = time.monotonic()
    try:
        with _heartbeat(folder):
            folder.work.mkdir(exist_ok=True)
            result = cell.run(folder.work, {needed.name: folders[needed.key].result() for needed in cell.needs})
        folder.finish(result, time.monotonic() - began)
    except Exception as error:  # whatever fails in one cell must not end the others
        sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        folder.fail(sentence, traceback.format_exc())
        print(f"failed: {sentence} (see {folder.path / 'error.json'})", flush=True)
    finally:
        folder.release()


@contextmanager
def _heartbeat(folder: CellFolder) -> Iterator[None]:
    """Shows the others that this process lives while it works."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            folder.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def progress(ordered: Sequence[Cell], folders: dict[str, CellFolder]) -> str:
    """How many cells are done and how long the others will take one after the other."""
    done = [folder for folder in folders.values() if folder.finished]
    said = f"{len(done)} of {len(ordered)} finished"
    if not done:
        return said
    spent, paid = sum(folder.seconds() for folder in done), sum(folder.cell.cost for folder in done)
    left = sum(cell.cost for cell in ordered) - paid
    return f"{said}, about {clock(spent * left / paid)} of work to go"


def _outcome(ordered: Sequence[Cell], folders: dict[str, CellFolder]) -> Outcome:
    finished = tuple(cell.name for cell in ordered if folders[cell.key].finished)
    failed = tuple(cell.name for cell in ordered if folders[cell.key].error() is not None)
    return Outcome(finished, failed)


def finished_results(cells: Sequence[Cell], root: Path) -> dict[str, dict]:
    """The results of the cells that are finished, by their names."""
    return {cell.name: folder.result() for cell in cells if (folder := CellFolder(root, cell)).finished}

"""Where the cells of a grid stand, as a table that can be looked at while processes work."""

from collections.abc import Sequence
from pathlib import Path

from experiments.cells.cell import Cell, in_order
from experiments.cells.folder import CellFolder
from plmjax.train.reporting import clock


def status_table(cells: Sequence[Cell], root: Path) -> str:
    """A row a cell: its state, why it failed or who works on it, and the time that it took."""
    lines = ["| cell | state | note |", "|---|---|---|"]
    counts: dict[str, int] = {}
    for cell in in_order(cells):
        state, note = _state(CellFolder(root, cell), root)
        counts[state] = counts.get(state, 0) + 1
        lines.append(f"| {cell.name} | {state} | {note} |")
    return "\n".join([*lines, "", ", ".join(f"{count} {state}" for state, count in counts.items())])


def _state(folder: CellFolder, root: Path) -> tuple[str, str]:
    if folder.finished:
        return "finished", clock(folder.seconds())
    if owner := folder.owner():
        return "running", f"process {owner['process']} on {owner['host']}, {owner['age']:.0f} s ago"
    if error := folder.error():
        return "failed", error["sentence"].replace("|", "\\|")
    missing = [needed.name for needed in folder.cell.needs if not CellFolder(root, needed).finished]
    return "waiting", f"needs {', '.join(missing)}" if missing else ""

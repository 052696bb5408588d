"""A cell: one piece of work of a grid, known by what decides its result."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from plmjax.errors import UserError

Result = dict[str, Any]
"""What a cell gives: JSON."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One piece of work.

    Attributes:
        name: for people, unique in its grid: "sst2/bert_mini/seed_0".
        content: JSON of all that decides the result: the resolved configuration, hashes of the data, the seed.
        run: does the work in a folder of its own, given the results of the cells it needs, by their names. It resumes
            what it finds there. What it returns is written as JSON.
        needs: cells that must be finished before.
        cost: of the work, in a unit that all cells of the grid share, by which the time to go is told.
    """

    name: str
    content: Mapping[str, Any]
    run: Callable[[Path, Mapping[str, Result]], Result] = field(repr=False)
    needs: tuple["Cell", ...] = ()
    cost: float = 1.0

    @cached_property
    def key(self) -> str:
        """The hash of the content and of the needed cells' keys: another recipe or file makes another cell."""
        identity = json.dumps([self.content, [cell.key for cell in self.needs]], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:16]


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """The cells and those that they need, each once and after what it needs.

    Two cells of one key are one piece of work, so that a run that two tables share is done once.

    Raises:
        UserError: two cells have one name and different contents.
    """
    found: dict[str, Cell] = {}
    names: dict[str, str] = {}

    def visit(cell: Cell) -> None:
        if names.setdefault(cell.name, cell.key) != cell.key:
            raise UserError(f"The grid has two different cells named {cell.name!r}: give each a name of its own.")
        if cell.key not in found:
            for needed in cell.needs:
                visit(needed)
            found[cell.key] = cell

    for cell in cells:
        visit(cell)
    return list(found.values())

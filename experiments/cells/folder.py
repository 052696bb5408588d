"""What the disk holds of a cell, and how processes agree on who works on it.

ROOT/cells/KEY/
    cell.json       first: the cell's name, content and needs
    claim.json      while a process works on it: its host and id; the file's time is its heartbeat
    run/            what the work writes on its way, which a later process resumes from
    error.json      why the last try failed
    result.json     last, by a rename: the result, and the seconds that it took
"""

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Result
from plmjax.working_folder import locked

HEARTBEAT = 15.0  # seconds between two signs of life
STALE = 180.0  # seconds without one after which a claim of another host is void


@dataclass(frozen=True)
class CellFolder:
    """The folder of one cell below a grid's root."""

    root: Path
    cell: Cell

    @property
    def path(self) -> Path:
        return self.root / "cells" / self.cell.key

    @property
    def work(self) -> Path:
        """Where the work writes."""
        return self.path / "run"

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return (self.path / "result.json").is_file()

    def result(self) -> Result:
        """The result of a finished cell."""
        return _read(self.path / "result.json")["result"]

    def seconds(self) -> float:
        """How long the last try of a finished cell took."""
        return _read(self.path / "result.json")["seconds"]

    def error(self) -> dict[str, Any] | None:
        """Why the last try failed, where it did: {"sentence", "traceback"}."""
        file = self.path / "error.json"
        return _read(file) if file.is_file() and not self.finished else None

    def owner(self) -> dict[str, Any] | None:
        """{"host", "process", "age"} of who works on it now; None where nobody alive does."""
        file = self.path / "claim.json"
        try:
            claim, age = _read(file), time.time() - file.stat().st_mtime
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        is_here = claim["host"] == socket.gethostname()
        alive = _is_alive(claim["process"], claim["started"]) if is_here else age < STALE
        return claim | {"age": age} if alive else None

    def claim(self) -> bool:
        """Takes the cell for this process; False where it is finished or another process works on it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.root / "lock"):
            if self.finished or self.owner() is not None:
                return False
            me = os.getpid()
            _write(self.path / "claim.json", {"host": socket.gethostname(), "process": me, "started": _start_time(me)})
        names = [cell.name for cell in self.cell.needs]
        _write(self.path / "cell.json", {"name": self.cell.name, "needs": names, "content": dict(self.cell.content)})
        return True

    def beat(self) -> None:
        """A sign of life."""
        os.utime(self.path / "claim.json")

    def release(self) -> None:
        """Gives the cell back."""
        (self.path / "claim.json").unlink(missing_ok=True)

    def finish(self, result: Result, seconds: float) -> None:
        """Writes the result."""
        _write(self.path / "result.json", {"name": self.cell.name, "seconds": seconds, "result": result})
        (self.path / "error.json").unlink(missing_ok=True)

    def fail(self, sentence: str, traceback: str) -> None:
        """Writes down why a try failed."""
        _write(self.path / "error.json", {"sentence": sentence, "traceback": traceback})


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(file: Path, content: dict[str, Any]) -> None:
    """Writes the whole file or none of it."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def _start_time(process: int) -> str:
    """When a process of this host began, so that another one of its number is not taken for it; "" where unknown."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _is_alive(process: int, started: str) -> bool:
    if started:
        return _start_time(process) == started
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

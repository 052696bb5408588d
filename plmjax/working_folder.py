"""Whose a working folder is: what kind of work it holds, and which process is at work in it.

A script takes its folder before it does anything else. FOLDER/.plmjax.json names the kind of work, so that no script
removes or overwrites what another wrote, and a lock on that file lets one process at a time work there. The system
frees the lock of a process that dies, so no lock outlives its owner.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from plmjax.errors import UserError

MARKER = ".plmjax.json"
SMALLEST_ROOM = 1 << 16  # bytes; a disk with less is full


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work that has a folder.

    Attributes:
        name: what its folder is called in a sentence.
        writes: names of what it writes into a folder; * stands for any end.
    """

    name: str
    writes: tuple[str, ...]


RESULTS = ("results.json", "results.txt", "predictions.jsonl")
PRETRAINING = Work("a pre-training run", ("checkpoints", "tokenizer", "metrics.jsonl", "tensorboard", "loss.png"))
FINETUNING = Work("a fine-tuning run", ("checkpoints", "tokenizer", "source_tokenizer", "seed_*", *RESULTS))
EVALUATION = Work("an evaluation", RESULTS)
STORE = Work("a token store", ("manifest.json", "tokenizer", ".partial", "train", "validation"))
GRID = Work("a grid of runs", ("cells", "lock", "table.md", "table.png"))
SAVED = Work("a saved model", ("checkpoints", "tokenizer", "source_tokenizer"))
HUGGINGFACE = Work("a Hugging Face checkpoint", ("config.json", "model.safetensors", "tokenizer*", "vocab*"))
COMPARISON = Work("a comparison with transformers", ("plan.json", "results.json", "results.txt"))


@contextmanager
def working_folder(folder: str | Path, work: Work) -> Iterator[None]:
    """Makes the folder if need be and keeps it for this process alone.

    Args:
        folder: on a local or a shared disk.
        work: what is done there.

    Raises:
        UserError: the folder can't be made or written, holds other work or files that this work would overwrite, or
            another process works in it.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    make_writable(folder)
    require_own(folder, work)
    with (folder / MARKER).open("a+", encoding="utf-8") as file:
        _lock(file, folder)
        file.seek(0)
        file.truncate()
        json.dump({"work": work.name, "host": socket.gethostname(), "process": os.getpid()}, file)
        file.flush()
        try:
            with full_disk_explained(folder):
                yield
        finally:
            if os.listdir(folder) == [MARKER]:  # what was refused before it began leaves nothing behind
                (folder / MARKER).unlink()
                if is_new:
                    folder.rmdir()


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Raises a UserError in place of whatever a full disk makes libraries raise while they write below a folder."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _speaks_of_room(error):
            raise
        raise UserError(f"The disk that holds {folder} is full: free some space and run the same again.") from error


def is_full(folder: Path, error: BaseException) -> bool:
    """Whether something failed for want of room; what one of several writing threads says need not be the cause."""
    try:
        full = shutil.disk_usage(folder).free < SMALLEST_ROOM
    except OSError:  # not a local disk
        full = False
    return full or _speaks_of_room(error)


def _speaks_of_room(error: BaseException) -> bool:
    is_of_system = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    signs = ("No space left", "os_error_code='28'", "Disk quota exceeded")
    return is_of_system or any(sign in str(error) for sign in signs)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Waits until no other process has this lock, and keeps it; the system frees the lock of one that dies."""
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def make_writable(folder: Path) -> None:
    """Makes a folder and tries to write into it; UserError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        raise UserError(f"The folder {folder} can't be written: {reason_of(error)}; give another one.") from error


def reason_of(error: OSError) -> str:
    """The words of an error of the system, with the file that it speaks of."""
    words = {
        errno.ENOTDIR: "a part of its path is a file",
        errno.EEXIST: "it is a file",
        errno.ELOOP: "its path is a loop of links",
        errno.EACCES: "there is no permission",
        errno.ENOSPC: "the disk is full",
        errno.EROFS: "the disk can only be read",
        errno.ENAMETOOLONG: "its name is too long",
    }
    return words.get(error.errno or 0) or error.strerror or type(error).__name__


def require_own(folder: Path, work: Work) -> None:
    """UserError where a folder holds other work than this, or files by the names that this work writes."""
    held = work_in(folder)
    if held == work.name:
        for seed in folder.glob("seed_*"):  # of a fine-tuning run, each of which has checkpoints of its own
            if (other := _work_of_checkpoints(seed / "checkpoints")) not in (None, work.name):
                raise UserError(f"{seed} holds {other}, which would be overwritten: give another --workdir.")
        return
    if held is not None:
        raise UserError(f"{folder} holds {held}, and this is {work.name}: give another --workdir.")
    for pattern in work.writes:
        if found := next(folder.glob(pattern), None):
            if work_in(folder) == work.name:  # another process has begun the same work meanwhile
                return
            raise UserError(f"{folder} holds {found.name}, which plmjax did not write there: give another --workdir.")


def work_in(folder: Path) -> str | None:
    """The name of the work that a folder holds, told by its marker, else by its files; None where there is none."""
    marker = folder / MARKER
    if marker.is_file():
        try:
            return json.loads(marker.read_text(encoding="utf-8"))["work"]
        except (ValueError, KeyError, TypeError):  # its writer was killed before its first word
            pass
    if (folder / "config.json").is_file():
        return HUGGINGFACE.name
    if (folder / "cells").is_dir():
        return GRID.name
    if (folder / "plan.json").is_file():
        return COMPARISON.name
    if found := _work_of_checkpoints(folder / "checkpoints"):
        return found
    if any(folder.glob("seed_*")):
        return FINETUNING.name
    if (folder / "metrics.jsonl").is_file():
        return PRETRAINING.name
    if (folder / "manifest.json").is_file() or (folder / ".partial").is_dir():
        return STORE.name
    if (folder / "results.json").is_file():
        return EVALUATION.name
    return None


def _work_of_checkpoints(folder: Path) -> str | None:
    """What the manifests of checkpoints say."""
    for file in sorted(folder.glob("*/manifest.json")):
        try:
            config = json.loads(file.read_text(encoding="utf-8"))["config"]
        except (OSError, ValueError, KeyError, TypeError):  # damaged
            continue
        if "task" in config:
            return FINETUNING.name
        return PRETRAINING.name if "objective" in config else SAVED.name
    return None


def _lock(file: IO[Any], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        try:
            owner = json.loads(file.read())
            who = f"process {owner['process']} of {owner['host']}"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        raise UserError(f"{folder} is in use by {who}: wait for its end, stop it, or give another --workdir.") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise  # else the disk has no locks

"""What a cell's content says of files and checkpoints: hashes, so that a changed file makes another cell."""

import hashlib
import json
from pathlib import Path
from typing import Any

from plmjax.checkpoints.checkpointer import find
from plmjax.checkpoints.serialize import flatten, to_json
from plmjax.data.hashing import hash_file

# Fields of a recipe on which no result depends.
FREE_OF_RECIPES = (
    "name", "keep_seeds", "mesh", "train.log_every", "train.max_nonfinite", "train.compilation_cache",
    "train.tensorboard", "train.wandb", "train.seed",
)  # fmt: skip


def source_identity(source: str) -> Any:
    """The hash of each of a source's files, which commas part; the name of a source that is no file."""
    return [hash_file(Path(part))["sha256"] if Path(part).is_file() else part for part in source.split(",") if part]


def checkpoint_identity(path: str | Path) -> str:
    """The hash of a checkpoint: of the newest step's checksums, or of the files of a directory from elsewhere.

    Raises:
        UserError: there is no checkpoint.
    """
    path = Path(path).expanduser()
    is_ours = path.name.isdigit() or any((path / name).is_dir() for name in ("checkpoints", "params"))
    if is_ours or not path.is_dir():
        files: Any = find(path).manifest["files"]
    else:
        files = {file.name: hash_file(file)["sha256"] for file in sorted(path.iterdir()) if file.is_file()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def config_identity(config: Any, free: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a configuration but for those in `free`, {"train.steps": 100, ...}."""
    fields = flatten(to_json(config))
    return {
        path: value
        for path, value in fields.items()
        if not any(path == name or path.startswith(name + ".") for name in free)
    }

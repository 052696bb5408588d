"""Where each window lies in the token stream, worked out once and kept beside the store."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable

import numpy as np

from plmjax.data.store.split import Split

VERSION = 1  # raise it when a plan's algorithm changes, so that old files are not read


def cached_plan(split: Split, description: str, build: Callable[[], np.ndarray]) -> np.ndarray:
    """The plan that `build` makes, from the split's folder of plans when it lies there, and put there when not.

    Args:
        split: what the plan is for; its fingerprint is part of the file's name.
        description: everything else that the plan depends on (kind, options, length, seed).
        build: makes the plan, an int64 array.

    Returns:
        The plan, memory-mapped or in memory. A folder that can't be written is no error.
    """
    if split.plans is None or not split.fingerprint:
        return build()
    key = hashlib.sha256(f"{VERSION}/{split.fingerprint}/{description}".encode()).hexdigest()
    path = split.plans / f"{key[:32]}.npy"
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        plan = build()
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        split.plans.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, plan)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return plan

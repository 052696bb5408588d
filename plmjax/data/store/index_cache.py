"""The index cache: where each window lies in the token stream, computed once and kept beside the store."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable

import numpy as np

from plmjax.data.store.split import Split

VERSION = 1  # raise it when the algorithm of an index changes, so that old files are not read


def cached_index(split: Split, description: str, build: Callable[[], np.ndarray]) -> np.ndarray:
    """The index that `build` makes: read from the split's index cache, or built and written there.

    Args:
        split: what the index is for; its fingerprint is part of the file's name.
        description: everything else that the index depends on (kind, options, length, seed).
        build: makes the index, an int64 array.

    Returns:
        The index, memory-mapped or in memory. A folder that can't be written is no error.
    """
    if split.index_cache is None or not split.fingerprint:
        return build()
    key = hashlib.sha256(f"{VERSION}/{split.fingerprint}/{description}".encode()).hexdigest()
    path = split.index_cache / f"{key[:32]}.npy"
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        index = build()
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        split.index_cache.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, index)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return index

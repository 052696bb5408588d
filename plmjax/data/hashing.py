"""The size and hash of files."""

import hashlib
from pathlib import Path


def hash_file(path: Path) -> dict:
    """{"bytes", "sha256"} of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}

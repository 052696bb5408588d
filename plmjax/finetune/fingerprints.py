"""Fingerprints of a run's parameters and examples."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from plmjax.checkpoints.paths import path_string
from plmjax.tasks.supervised import Example


def fingerprint(params: Any) -> str:
    """A checksum of parameters and their names."""
    value = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        content: Any = np.ascontiguousarray(leaf)  # whose memory zlib reads as it is
        value = zlib.crc32(content, zlib.crc32(path_string(path).encode(), value))
    return f"{value:08x}"


def fingerprint_of_examples(examples: Sequence[Example]) -> str:
    """A digest of examples, wherever they came from."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.id, example.texts, example.target, example.group)).encode())
    return digest.hexdigest()[:16]

"""Names of the leaves of a tree."""

from typing import Any

import jax


def path_string(path: tuple[Any, ...]) -> str:
    """A pytree path as 'encoder/layers/attention/query/kernel'."""
    return jax.tree_util.keystr(path, simple=True, separator="/")

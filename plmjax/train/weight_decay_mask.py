"""Reads off a parameter's path what the optimizers need: its layer axis, its matrix, and whether it decays.

All of it is read off the path, never off the number of dimensions: scanned stacks carry a leading layer axis
([N, D, H, K]), so a bias there has two or three dimensions. Rules that look at one whole matrix (Adafactor's factors
and norms, LAMB's trust ratio) treat each layer by itself, so that scanning changes no update.
"""

import re

STACKED = re.compile(r"(^|/)layers/")
UNDECAYED = re.compile(r"(^|/)([a-z]*_?bias|scale|relative_bias/embedding)$")


def is_stacked(path: str) -> bool:
    """True where the first axis counts layers, which holds for everything under a `layers/`."""
    return STACKED.search(path) is not None


def decays(path: str) -> bool:
    """True where weight decay applies, which it does not to biases, scales of norms and relative position biases."""
    return UNDECAYED.search(path) is None


def layer_axes(path: str, ndim: int) -> tuple[int, ...]:
    """The axes of one layer's tensor."""
    return tuple(range(1 if is_stacked(path) else 0, ndim))


def matrix_axes(path: str, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(row axes, column axes) of the matrix that a layer's tensor is, None for vectors and scalars.

    An attention kernel [D, H, K] is the matrix D x HK, an output kernel [H, K, D] is HK x D, as in the papers' codes.
    """
    axes = layer_axes(path, ndim)
    if len(axes) < 2 or path.endswith(("bias", "scale")):
        return None
    rows = len(axes) - 1 if path.endswith("out/kernel") else 1
    return axes[:rows], axes[rows:]

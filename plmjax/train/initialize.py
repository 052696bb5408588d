"""Starting from the parameters of another network: what reads it is handed in, as training knows no other format."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plmjax.checkpoints.checkpointer import find, load_params, restore_optimizer
from plmjax.checkpoints.paths import path_string
from plmjax.checkpoints.serialize import from_json
from plmjax.errors import UserError

log = logging.getLogger(__name__)

TRUNK = re.compile(r"(^|/)(embeddings|encoder|decoder)/")  # all else under a network's root is a head
ADAPTER = re.compile(r"/adapter/")  # in the trunk, made for a task as heads are
VOCABULARY_ROWS = re.compile(r"(^|/)(embeddings/tokens(_\d+)?/embedding|token_head/(embedding|bias(_\d+)?))$")


class InitialNetwork(NamedTuple):
    """A network to start from."""

    config: Any  # of plmjax.modules, of a composite too
    params: dict[str, Any]  # nested dict of numpy arrays
    tokenizer: str  # its fingerprint; empty: not known
    native: bool = True  # plmjax trained it, so that the run must have its tokenizer


Loader = Callable[[str, str], InitialNetwork]
"""(path, the flag or setting that names it) -> the network there; UserError where there is none."""


def load_native(source: str, named_by: str) -> InitialNetwork:
    """The Loader of plmjax's own checkpoints: a working folder or one of its steps.

    Raises:
        UserError: there is no good checkpoint.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(
            f"{named_by} is {source!r}, which does not exist: give a working folder or a Hugging Face directory."
        )
    params, manifest = load_params(path)
    return InitialNetwork(from_json(manifest["config"]["model"]), params, manifest["tokenizer"])


def load_init_params(source: str, tokenizer: str, load: Loader = load_native) -> dict[str, Any]:
    """The nested dict of parameters that `--init_from` names, as numpy arrays.

    Args:
        source: a path that `load` reads.
        tokenizer: fingerprint of the run's tokenizer.
        load: reads the network.

    Raises:
        UserError: nothing there, or a plmjax checkpoint of another tokenizer.
    """
    found = load(source, "--init_from")
    if found.native and found.tokenizer not in ("", tokenizer):
        raise UserError(
            f"The checkpoint in {source} has another tokenizer than the store: prepare the store with its tokenizer."
        )
    return found.params


def load_init_optimizer(source: str, abstract: Any) -> Any:
    """The optimizer's state of the checkpoint that `--init_from` names.

    BERT's released code so goes on with another length in the same folder, moments and all; by its own init_checkpoint
    it takes the parameters alone (google-research/bert, run_pretraining.py:150-165, optimization.py:56-58), and Adam
    without bias correction then moves each parameter (1 - b1) / sqrt(1 - b2) = 3.2 times as far in its first step.

    Args:
        source: a working folder of plmjax or one of its steps.
        abstract: of the run's optimizer: shapes and shardings.

    Raises:
        UserError: none is named, it is no checkpoint of plmjax, or one of another network or optimizer.
    """
    if not source:
        raise UserError(
            "train.carry_optimizer is True, but no --init_from names the run that goes on: give its working folder, or "
            "set it to False."
        )
    return restore_optimizer(find(source), abstract)


def adapt_params(
    source: dict[str, Any], fresh: Any, vocabulary_size: int, named_by: str = "--init_from"
) -> tuple[Any, list[str], list[str]]:
    """The source's parameters in the structure and on the devices of `fresh`.

    Tables may have another number of padding rows. Heads and adapters that the source lacks stay
    fresh.

    Args:
        source: nested dict of arrays.
        fresh: initialised (sharded) parameters.
        vocabulary_size: rows of the vocabulary that mean something.
        named_by: the flag or setting that named the source, for the errors.

    Returns:
        parameters, paths left fresh, and the source's paths left unused (heads that this run has no use for).

    Raises:
        UserError: names the first tensor that does not fit.
    """
    given = {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(source)}
    missing: list[str] = []

    def one(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        name = path_string(path)
        if name not in given:
            if TRUNK.search(name) and not ADAPTER.search(name):
                raise UserError(
                    f"{named_by} lacks the tensor {name!r}: it holds another network than config.model describes."
                )
            missing.append(name)
            return leaf
        value = _rows_fitted(name, given.pop(name), leaf, vocabulary_size)
        if value.shape != leaf.shape:
            raise UserError(
                f"{named_by}'s tensor {name!r} is {list(value.shape)}, but config.model needs {list(leaf.shape)}: "
                "change one of them."
            )
        value = np.asarray(value, leaf.dtype)
        return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda index: value[index])

    params = jax.tree_util.tree_map_with_path(one, fresh)
    unused = sorted(given)
    for name in unused:
        if TRUNK.search(name):
            raise UserError(f"{named_by} has the tensor {name!r}, which config.model lacks: change one of them.")
    return params, missing, unused


def without_padding_rows(params: dict[str, Any], vocabulary_size: int) -> dict[str, Any]:
    """The parameters without the rows of token tables beyond the vocabulary, which mean nothing."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf[:vocabulary_size] if VOCABULARY_ROWS.search(path_string(path)) else leaf, params
    )


def _rows_fitted(name: str, value: Any, leaf: jax.Array, vocabulary_size: int) -> np.ndarray:
    """`value` with rows beyond the vocabulary cut off or, as zeros, added."""
    value = np.asarray(value)
    if not VOCABULARY_ROWS.search(name) or value.shape[1:] != leaf.shape[1:] or value.shape[0] < vocabulary_size:
        return value
    out = np.zeros(leaf.shape, value.dtype)
    rows = min(len(value), len(out))
    out[:rows] = value[:rows]
    return out

"""How the training step uses an objective, in a few lines: clean windows, a key an example, the losses.

Compiled functions are kept by the objective's settings, so that tests share them; batches of one shape compile once.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.modules import TokenHead
from plmjax.train.step import corrupt_batch


class Bigrams:
    """A network of any kind that sees only the last token: quick to compile where the network does not matter."""

    kind = "encoder_decoder"

    def __init__(self, rows: int):
        self.table_VE = jnp.asarray(np.random.default_rng(0).normal(size=(rows, 4)), jnp.float32)

    def encode(self, tokens, *_):
        return self.table_VE[tokens]

    decode = encode

    def token_head(self, x):
        return TokenHead(x, self.table_VE, None)


_compiled: dict[Any, Any] = {}


def windows_of(objective, split, vocabulary, length, rows):
    """The first `rows` windows, stacked, with their ids and epoch 0."""
    ids = np.arange(rows)
    batch = objective.windows(split, vocabulary, length, seed=0).batch(ids)
    return batch | {"example_ids": ids.astype(np.int32), "epochs": np.zeros(rows, np.int32)}


def corrupted(objective, vocabulary, batch, epoch=0):
    """The corrupted batch, as numpy arrays."""
    key = ("noise", repr(objective), id(vocabulary))
    if key not in _compiled:
        _compiled[key] = jax.jit(
            functools.partial(corrupt_batch, objective, vocabulary, jax.random.key(0), static=objective.static)
        )
    batch = batch | {"epochs": np.full_like(batch["epochs"], epoch)}
    return {name: np.asarray(value) for name, value in _compiled[key](batch).items()}


def losses_of(objective, network, vocabulary, train=True):
    """A compiled function from a corrupted batch to (losses, metrics)."""
    key = ("losses", repr(objective), id(network), train)
    if key not in _compiled:
        _compiled[key] = jax.jit(lambda batch: objective.losses(network, batch, vocabulary, train))
    return _compiled[key]

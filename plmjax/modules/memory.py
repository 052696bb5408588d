"""The memory of a recurrent network: the states that each layer read (Dai et al. 2019, Sec. 3.2).

Legend: B batch, L length, S memory length, D model width, N layers.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Memory(NamedTuple):
    """States before the text, the oldest first. Rows of the batch lead, so that a batch is cut and spread with it.

    Attributes:
        states: [B, N, S, D]; no gradient goes into them.
        filled: bool [B, S], False where there is nothing yet: nobody sees that.
    """

    states: Array
    filled: Array

    def of_rows(self, continues_B: Array) -> "Memory":
        """The memory with nothing in it for the rows whose text has just begun (`continues` 0)."""
        return self._replace(filled=self.filled & (continues_B > 0)[:, None])

    def by_layer(self, dtype: Any) -> Array:
        """[N, B, S, D], as a stack of layers reads it."""
        return lax.stop_gradient(jnp.swapaxes(self.states, 0, 1)).astype(dtype)

    def and_then(self, read_NBLD: Array, keep: int) -> "Memory":
        """The last `keep` states of this memory and of what the layers have read since."""
        states = jnp.concatenate([self.states, jnp.swapaxes(read_NBLD, 0, 1)], axis=2)
        filled = jnp.concatenate([self.filled, jnp.ones(read_NBLD.shape[1:3], jnp.bool_)], axis=1)
        first = max(0, states.shape[2] - keep)
        return Memory(lax.stop_gradient(states[:, :, first:]), filled[:, first:])


def empty_memory(num_layers: int, batch: int, length: int, width: int, dtype: Any) -> Memory:
    """A memory of `length` places with nothing in them."""
    return Memory(jnp.zeros((batch, num_layers, length, width), dtype), jnp.zeros((batch, length), jnp.bool_))

"""MASS's noise: a contiguous fragment of a text is hidden (Song et al. 2019, Sec. 3.1).

Functions take one text and have static shapes; vmap them over a batch.

Legend: L length, B blocks.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def fragment_lengths(length: int, share: float) -> np.ndarray:
    """int32 [length + 1]: tokens of the fragment of a text of n tokens; round(share * n), at least 1 where n is."""
    return np.array([0] + [min(n, max(1, round(share * n))) for n in range(1, length + 1)], np.int32)


def max_hidden(length: int, share: float, block: int = 0) -> int:
    """Tokens that the fragments of a text of at most `length` tokens hold together, at most."""
    block = min(block or length, length)
    lengths = fragment_lengths(block, share)
    return int(length // block * lengths[block] + lengths[length % block])


def fragments_mask(key: jax.Array, real: jax.Array, *, length: int, share: float, block: int = 0) -> jax.Array:
    """bool [L]: a fragment of the text, its start drawn uniformly from the positions where it fits.

    Args:
        real: tokens of the text, at most L = `length`.
        share: of the tokens, that the fragment holds; see `fragment_lengths`.
        block: over 0, a text is cut into blocks of so many tokens, with a fragment in each, as in the released code for
            summarisation.
    """
    block = min(block or length, length)
    blocks = -(-length // block)
    sizes_B = jnp.clip(real - block * jnp.arange(blocks), 0, block)
    lengths_B = jnp.asarray(fragment_lengths(block, share))[sizes_B]
    starts_B = jax.random.randint(key, (blocks,), 0, sizes_B - lengths_B + 1)
    position_L = jnp.arange(length)
    offset_L, block_L = position_L % block, position_L // block
    return (offset_L >= starts_B[block_L]) & (offset_L < (starts_B + lengths_B)[block_L])

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


def max_hidden(length: int, share: float, block: int = 0, opening: int = 0) -> int:
    """Tokens that the fragments of a text of at most `length` tokens hold together, at most; see `fragments_mask`."""
    free = length - opening
    if not block or block >= free:
        return int(min(fragment_lengths(length if not block else free, share)[-1], free))
    lengths = fragment_lengths(block, share)
    return int(free // block * lengths[block] + lengths[free % block])


def fragments_mask(
    key: jax.Array,
    real: jax.Array,
    *,
    length: int,
    share: float,
    block: int = 0,
    opening: int = 0,
    start: str = "uniform",
) -> jax.Array:
    """bool [L]: a fragment of the text, or one of each block of it.

    Args:
        real: tokens of the text, at most L = `length`.
        share: of the tokens, that the fragment holds; see `fragment_lengths`.
        block: over 0, a text is cut into blocks of so many tokens, with a fragment in each, as in the released code for
            summarisation (MASS-summarization/mass/masked_dataset.py:52-56).
        opening: tokens at the front that are never hidden. They count in the share of a whole text and are in no block,
            as released (MASS-unsupNMT/src/trainer.py:808-811, masked_dataset.py:52).
        start: "uniform": every start where the fragment fits is as likely; "ends": it is the first one with a chance of
            .2, the last one with .2, else any of them (trainer.py:765-786).
    """
    free = length - opening
    counted = 0 if block else opening
    block = min(block or free, free)
    blocks = -(-free // block)
    sizes_B = jnp.clip(real - opening - block * jnp.arange(blocks), 0, block)
    lengths_B = jnp.asarray(fragment_lengths(block + counted, share))[jnp.where(sizes_B > 0, sizes_B + counted, 0)]
    last_B = jnp.maximum(sizes_B - lengths_B, 0)
    starts_B = jax.random.randint(key, (blocks,), 0, last_B + 1)
    if start == "ends":
        chance_B = jax.random.uniform(jax.random.fold_in(key, 1), (blocks,))
        starts_B = jnp.where(chance_B >= 0.8, 0, jnp.where(chance_B >= 0.6, last_B, starts_B))
    position_L = jnp.arange(length) - opening
    offset_L, block_L = position_L % block, position_L // block
    ends_B = jnp.minimum(starts_B + lengths_B, sizes_B)
    return (position_L >= 0) & (offset_L >= starts_B[block_L]) & (offset_L < ends_B[block_L])

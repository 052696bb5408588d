"""UniLM's attention masks: who sees whom in a text that is read in one of four ways (Dong et al. 2019, Sec. 2.3).

Legend: L length.
"""

import jax
import jax.numpy as jnp

LEFT_TO_RIGHT, RIGHT_TO_LEFT, BOTH_WAYS, PREFIX = range(4)


def hidden_by(direction: jax.Array | int, real: jax.Array, *, length: int, prefix: float) -> jax.Array:
    """bool [L, L], True where token l may not see token t, for one of the constants above.

    Args:
        direction: int32 scalar.
        real: int32 scalar, tokens of the text.
        length: L.
        prefix: share of the tokens, rounded down, that all see under PREFIX; the others are read from left to right.
    """
    from_L1, to_1L = jnp.arange(length)[:, None], jnp.arange(length)[None]
    later, earlier = to_1L > from_L1, to_1L < from_L1
    shared = jnp.floor(real * prefix + 1e-4).astype(jnp.int32)  # the summand: a product may fall just short of a whole
    ways = jnp.stack([later, earlier, jnp.zeros_like(later), later & (to_1L >= shared)])
    return ways[direction]

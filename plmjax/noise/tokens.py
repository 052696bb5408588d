"""T5's noises that treat each token alone: sentinels and random tokens, deletion, another order (Raffel et al. 2020,
Sec. 3.3.1 and 3.3.2).

Functions take one text and the mask of its noise and have static shapes; vmap them over a batch.

Legend: L length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.noise.masking import shuffled


def replace_tokens(
    key: jax.Array,
    tokens_L: jax.Array,
    mask_L: jax.Array,
    *,
    sentinel: int,
    non_special_R: jax.Array | np.ndarray,
    random_share: float = 0.0,
) -> jax.Array:
    """int32 [L]: the sentinel in place of each masked token, or with `random_share` a draw from `non_special_R`.

    .1 is T5's BERT-style noise, which keeps no masked token as it is; 0 its MASS-style noise.
    """
    new_L = jnp.full(tokens_L.shape, sentinel, tokens_L.dtype)
    if random_share > 0:
        share_key, token_key = jax.random.split(key)
        random_L = jnp.asarray(non_special_R)[jax.random.randint(token_key, tokens_L.shape, 0, len(non_special_R))]
        new_L = jnp.where(jax.random.uniform(share_key, tokens_L.shape) < random_share, random_L, new_L)
    return jnp.where(mask_L, new_L.astype(tokens_L.dtype), tokens_L)


def keep_tokens(tokens_L: jax.Array, kept_L: jax.Array, real: jax.Array, *, eos: int, length: int) -> jax.Array:
    """int32 [length]: the kept ones of the first `real` tokens, then EOS, then -1s.

    What does not fit is cut before EOS; an empty text is all filling. All kept, this closes a text with EOS.
    """
    kept_L = kept_L & (jnp.arange(len(tokens_L)) < real)
    position_L = jnp.where(kept_L, jnp.cumsum(kept_L) - 1, length)
    kept = jnp.full(length, -1, jnp.int32).at[position_L].set(tokens_L, mode="drop")
    return kept.at[jnp.minimum(jnp.sum(kept_L), length - 1)].set(jnp.where(real > 0, eos, -1))


def shuffle_tokens(key: jax.Array, tokens_L: jax.Array, mask_L: jax.Array) -> jax.Array:
    """int32 [L]: the masked tokens in a random order, every one as likely, the others where they were."""
    length = len(tokens_L)
    from_L, to_L = shuffled(key, mask_L), jnp.argsort(~mask_L)
    count = jnp.sum(mask_L)
    position_L = jnp.where(jnp.arange(length) < count, to_L, length)
    return tokens_L.at[position_L].set(tokens_L[from_L], mode="drop")

"""Masking of phrases that a tagger has found (Joshi et al. 2020, Sec. 5 and Table 6).

Legend: L length, P phrases, W words.
"""

import jax
import jax.numpy as jnp

from plmjax.noise.masking import shuffled, word_numbers

State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""The numbers of phrases and words drawn so far, the span ids, and what is left of the budget."""


def choose_phrases(
    key: jax.Array,
    candidates_L: jax.Array,
    starts_L: jax.Array,
    phrases_L: jax.Array,
    budget: jax.Array,
    share: float,
) -> jax.Array:
    """int32 [L]: 0 where a token is not chosen, else 1 + the position of the first token of its phrase or word.

    Draws go on until the budget is spent or nothing is left that fits: with the chance `share` a phrase, else a word,
    all of its kind not drawn yet being as likely; a kind that has run out gives way to the other. What touches a
    chosen token or is longer than what is left of the budget is passed over.

    Args:
        key: scalar key.
        candidates_L: bool, ordinary tokens.
        starts_L: bool, first tokens of words.
        phrases_L: int32, 1 at the first token of a phrase, 2 at its others, 0 elsewhere.
        budget: int32, the most tokens to choose.
        share: chance that a draw is of a phrase.
    """
    length = candidates_L.shape[0]
    coin_key, phrase_key, word_key = jax.random.split(key, 3)
    coins = jax.random.uniform(coin_key, (2 * length,)) < share
    phrase_L = jnp.where(candidates_L & (phrases_L > 0), jnp.cumsum(phrases_L == 1) - 1, length)
    phrase_L = jnp.where(phrase_L < 0, length, phrase_L)  # the end of a phrase that the window cuts
    word_L = word_numbers(candidates_L, starts_L)
    order_P, count_P = _order(phrase_key, phrase_L)
    order_W, count_W = _order(word_key, word_L)
    positions_L = jnp.arange(length, dtype=jnp.int32)

    def more(state: State) -> jax.Array:
        phrase, word, _, left = state
        return ((phrase < count_P) | (word < count_W)) & (left > 0)

    def draw(state: State) -> State:
        phrase, word, span_ids_L, left = state
        is_phrase = (phrase < count_P) & (coins[phrase + word] | (word >= count_W))
        own_L = jnp.where(is_phrase, phrase_L == order_P[phrase], word_L == order_W[word])
        size = jnp.sum(own_L)
        fits = (size <= left) & ~jnp.any(own_L & (span_ids_L > 0))
        span_ids_L = jnp.where(own_L & fits, jnp.argmax(own_L).astype(jnp.int32) + 1, span_ids_L)
        return phrase + is_phrase, word + ~is_phrase, span_ids_L, left - jnp.where(fits, size, 0)

    zero = jnp.zeros((), jnp.int32)
    start = (zero, zero, jnp.zeros_like(positions_L), jnp.asarray(budget, jnp.int32))
    return jax.lax.while_loop(more, draw, start)[2]


def _order(key: jax.Array, number_L: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The numbers that occur, in random order, then others; and how many occur. `length` is no number."""
    length = number_L.shape[0]
    occurs_L = jnp.zeros(length, jnp.bool_).at[number_L].set(True, mode="drop")
    return shuffled(key, occurs_L), jnp.sum(occurs_L)

"""Linear-chain conditional random fields (Lafferty et al. 2001): how likely a row's tags are, and the likeliest.

The score of a row is the sum of the scores of its tags, of the steps from each to the next, of its first and its last.
Places that are no word are stepped over: the tag before a word's is that of the word before.

Legend: B batch, L length, C tags.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Chain(NamedTuple):
    """Scores float32 of a step from a tag to another [C, C], of the first tag [C] and of the last [C]."""

    steps: jax.Array
    first: jax.Array
    last: jax.Array


def log_likelihood(chain: Chain, scores_BLC: jax.Array, tags_BL: jax.Array, is_word_BL: jax.Array) -> jax.Array:
    """float32 [B]: the log probability of the words' tags; of a row without words it means nothing.

    Args:
        chain: the scores beside the words' own.
        scores_BLC: float [B, L, C], of each position's tags.
        tags_BL: int32 [B, L]; read where there is a word.
        is_word_BL: bool [B, L].
    """
    return _score(chain, scores_BLC, tags_BL, is_word_BL) - log_sum(chain, scores_BLC, is_word_BL)


def log_sum(chain: Chain, scores_BLC: jax.Array, is_word_BL: jax.Array) -> jax.Array:
    """float32 [B]: the logarithm of the sum of exp(score) over all rows of tags."""

    def step(carry: tuple[jax.Array, jax.Array], position: tuple[jax.Array, jax.Array]) -> tuple[tuple, None]:
        (sum_BC, begun_B), (score_BC, is_word_B) = carry, position
        reached_BC = jax.nn.logsumexp(sum_BC[:, :, None] + chain.steps, axis=1)
        here_BC = score_BC + jnp.where(begun_B[:, None], reached_BC, chain.first)
        return (jnp.where(is_word_B[:, None], here_BC, sum_BC), begun_B | is_word_B), None

    (sum_BC, _), _ = lax.scan(step, _nothing(scores_BLC), _places(scores_BLC, is_word_BL))
    return jax.nn.logsumexp(sum_BC + chain.last, axis=-1)


def marginals(chain: Chain, scores_BLC: jax.Array, is_word_BL: jax.Array) -> jax.Array:
    """float32 [B, L, C]: the probability of each tag of each word, whatever the others are; 0 where there is no word.

    It is the gradient of `log_sum`.
    """
    return jax.grad(lambda scores: jnp.sum(log_sum(chain, scores, is_word_BL)))(scores_BLC.astype(jnp.float32))


def likeliest(chain: Chain, scores_BLC: jax.Array, is_word_BL: jax.Array) -> jax.Array:
    """int32 [B, L]: the row of tags with the highest score (Viterbi 1967); what stands where there is no word has no
    meaning."""
    rows, _, tags = scores_BLC.shape
    itself_BC = jnp.broadcast_to(jnp.arange(tags), (rows, tags))

    def step(carry: tuple[jax.Array, jax.Array], position: tuple[jax.Array, jax.Array]) -> tuple[tuple, jax.Array]:
        (best_BC, begun_B), (score_BC, is_word_B) = carry, position
        from_BCC = best_BC[:, :, None] + chain.steps
        here_BC = score_BC + jnp.where(begun_B[:, None], jnp.max(from_BCC, axis=1), chain.first)
        back_BC = jnp.where(is_word_B[:, None], jnp.argmax(from_BCC, axis=1), itself_BC)
        return (jnp.where(is_word_B[:, None], here_BC, best_BC), begun_B | is_word_B), back_BC

    def follow(tag_B: jax.Array, back_BC: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.take_along_axis(back_BC, tag_B[:, None], axis=1)[:, 0], tag_B

    (best_BC, _), back_LBC = lax.scan(step, _nothing(scores_BLC), _places(scores_BLC, is_word_BL))
    end_B = jnp.argmax(best_BC + chain.last, axis=-1)
    _, tags_LB = lax.scan(follow, end_B, back_LBC, reverse=True)
    return tags_LB.T.astype(jnp.int32)


def _score(chain: Chain, scores_BLC: jax.Array, tags_BL: jax.Array, is_word_BL: jax.Array) -> jax.Array:
    """float32 [B], of the tags."""

    def step(carry: tuple[jax.Array, ...], position: tuple[jax.Array, ...]) -> tuple[tuple, None]:
        (sum_B, before_B, begun_B), (own_B, tag_B, is_word_B) = carry, position
        here_B = own_B + jnp.where(begun_B, chain.steps[before_B, tag_B], chain.first[tag_B])
        sum_B = sum_B + jnp.where(is_word_B, here_B, 0.0)
        return (sum_B, jnp.where(is_word_B, tag_B, before_B), begun_B | is_word_B), None

    own_BL = jnp.take_along_axis(scores_BLC.astype(jnp.float32), tags_BL[..., None], axis=-1)[..., 0]
    rows = len(tags_BL)
    start = jnp.zeros(rows), jnp.zeros(rows, tags_BL.dtype), jnp.zeros(rows, bool)
    (sum_B, last_B, _), _ = lax.scan(step, start, (own_BL.T, tags_BL.T, is_word_BL.T))
    return sum_B + chain.last[last_B]


def _nothing(scores_BLC: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum before the first position, where no word has been met."""
    rows, _, tags = scores_BLC.shape
    return jnp.zeros((rows, tags)), jnp.zeros(rows, bool)


def _places(scores_BLC: jax.Array, is_word_BL: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The positions one after the other."""
    return jnp.swapaxes(scores_BLC.astype(jnp.float32), 0, 1), is_word_BL.T

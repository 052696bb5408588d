"""Sentences in another order, and texts that begin elsewhere."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.order import rotation_order, sentence_order
from tests.noise.test_masking import DRAWS, chi_square

# Four sentences of 2, 1, 3 and 2 tokens, in a row of 10.
STARTS = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0], bool)
SENTENCES = [(0, 1), (2,), (3, 4, 5), (6, 7)]
REAL, LENGTH = 8, 10


@functools.partial(jax.jit, static_argnames="share")
def orders(keys, starts, real, share):
    return jax.vmap(lambda key: sentence_order(key, starts, real, share))(keys)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


def as_sentences(order):
    """The sentences' numbers in an order of tokens, which must be whole sentences."""
    found, at = [], 0
    while at < REAL:
        number = next(n for n, places in enumerate(SENTENCES) if places[0] == order[at])
        assert tuple(order[at : at + len(SENTENCES[number])]) == SENTENCES[number]
        found.append(number)
        at += len(SENTENCES[number])
    return tuple(found)


def test_every_order_of_sentences_is_as_likely(keys):
    drawn = np.asarray(orders(keys, jnp.asarray(STARTS), REAL, 1.0))
    np.testing.assert_array_equal(drawn[:, REAL:], np.tile([8, 9], (DRAWS, 1)))
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert {as_sentences(kind) for kind in kinds} == set(itertools.permutations(range(4)))
    assert abs(chi_square(counts, DRAWS / 24)) < 3


def test_a_share_of_the_sentences_changes_places(keys):
    """Half of four: any two of them, in either order."""
    drawn = np.asarray(orders(keys, jnp.asarray(STARTS), REAL, 0.5))
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    found = dict(zip(map(as_sentences, kinds), counts / DRAWS, strict=True))
    swaps = {one for one in itertools.permutations(range(4)) if sum(a != b for a, b in enumerate(one)) == 2}
    assert set(found) == swaps | {(0, 1, 2, 3)}
    assert abs(found[0, 1, 2, 3] - 1 / 2) < 3 * 0.5 / np.sqrt(DRAWS)
    assert abs(chi_square(np.array([found[swap] for swap in swaps]) * DRAWS, DRAWS / 12)) < 3


def test_the_first_token_begins_a_sentence_marked_or_not(keys):
    unmarked = STARTS.copy()
    unmarked[0] = False
    few = keys[:200]
    np.testing.assert_array_equal(
        orders(few, jnp.asarray(unmarked), REAL, 1.0), orders(few, jnp.asarray(STARTS), REAL, 1.0)
    )


def test_one_sentence_and_no_text_stay_as_they_are(keys):
    none = jnp.zeros(LENGTH, bool)
    for real in (REAL, 1, 0):
        drawn = orders(keys[:200], none, real, 1.0)
        np.testing.assert_array_equal(drawn, np.tile(np.arange(LENGTH), (200, 1)))


def test_every_token_is_as_often_the_first(keys):
    rotate = jax.jit(jax.vmap(lambda key, real: rotation_order(key, real, LENGTH), in_axes=(0, None)))
    drawn = np.asarray(rotate(keys, REAL))
    starts, counts = np.unique(drawn[:, 0], return_counts=True)
    np.testing.assert_array_equal(starts, np.arange(REAL))
    assert abs(chi_square(counts, DRAWS / REAL)) < 3
    expected = (drawn[:, :1] + np.arange(REAL)) % REAL
    np.testing.assert_array_equal(drawn[:, :REAL], expected)
    np.testing.assert_array_equal(drawn[:, REAL:], np.tile([8, 9], (DRAWS, 1)))
    np.testing.assert_array_equal(rotate(keys[:9], 0), np.tile(np.arange(LENGTH), (9, 1)))

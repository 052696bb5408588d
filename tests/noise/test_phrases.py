"""Phrases and words masked by turns: whole, within the budget, half of the draws each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.phrases import choose_phrases

LENGTH, DRAWS = 48, 10_000
# Words of one token; phrases of three words at 3, 13, 23, 33 and one that the window has cut at its start.
MARKS = np.zeros(LENGTH, np.int32)
MARKS[:2] = 2
for first in (3, 13, 23, 33):
    MARKS[first : first + 3] = (1, 2, 2)
CANDIDATES = np.ones(LENGTH, bool)
CANDIDATES[[12, 46, 47]] = False


@jax.jit
def draws(keys, budget, share=0.5):
    starts = jnp.ones(LENGTH, bool)
    return jax.vmap(lambda key: choose_phrases(key, CANDIDATES, starts, MARKS, budget, share))(keys)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


def test_the_budget_is_spent_on_ordinary_tokens(keys):
    span_ids = np.asarray(draws(keys, 7))
    assert ((span_ids > 0).sum(1) == 7).all() and not span_ids[:, ~CANDIDATES].any()
    many = np.asarray(draws(keys[:50], 1000))
    assert ((many > 0) == CANDIDATES).all()


def test_units_are_whole_phrases_or_words(keys):
    span_ids = np.asarray(draws(keys[:2000], 7))
    for first in (3, 13, 23, 33):
        own = span_ids[:, first : first + 3]
        whole = (own == first + 1).all(1)
        assert 0.1 < whole.mean() < 0.9
        # What is not drawn as the phrase may be drawn as words, each a unit of its own.
        alone = own[~whole]
        assert ((alone == 0) | (alone == np.arange(first, first + 3) + 1)).all()
    assert set(np.unique(span_ids[:, :2])) == {0, 1, 2}  # the rest of a cut phrase is words


def test_half_of_the_draws_are_phrases(keys):
    """With room for one phrase, the first draw decides: phrases then are chosen with the share's chance."""
    for share in (0.5, 0.2):
        span_ids = np.asarray(draws(keys, 3, share))
        phrase = np.zeros(DRAWS, bool)
        for first in (3, 13, 23, 33):
            phrase |= (span_ids[:, first : first + 3] == first + 1).all(1)
        # A word takes one of three tokens, and then no phrase fits; a first draw of a phrase takes all three.
        assert abs(phrase.mean() - share) < 3 * np.sqrt(share * (1 - share) / DRAWS)


def test_every_draw_has_its_own_coin(keys):
    span_ids = np.asarray(draws(keys, 6))
    phrases = sum((span_ids[:, first : first + 3] == first + 1).all(1).astype(int) for first in (3, 13, 23, 33))
    # Two phrases take two coins, where a word of the first phrase (3 of 45) is passed over for another coin.
    second = 0.5 / (1 - 0.5 * 3 / 45)
    assert abs((phrases == 2).mean() - 0.5 * second) < 3 * np.sqrt(0.26 * 0.74 / DRAWS)


def test_the_phrases_are_alike(keys):
    span_ids = np.asarray(draws(keys, 3))
    counts = np.array([(span_ids[:, first : first + 3] == first + 1).all(1).sum() for first in (3, 13, 23, 33)])
    assert (np.abs(counts - counts.mean()) < 3.5 * np.sqrt(counts.mean())).all()


def test_none_or_only_phrases(keys):
    words = np.asarray(draws(keys[:500], 9, 0.0))
    assert ((words == 0) | (words == np.arange(LENGTH) + 1)).all()
    phrases = np.asarray(draws(keys[:500], 12, 1.0))
    assert all((phrases[:, first : first + 3] == first + 1).all() for first in (3, 13, 23, 33))
    # When they have run out, words follow.
    assert ((np.asarray(draws(keys[:500], 13, 1.0)) > 0).sum(1) == 13).all()

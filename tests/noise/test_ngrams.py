"""ALBERT's n-gram masking: the released rule, entry by entry and in its statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.ngrams import choose_ngrams, ngram_shares

DRAWS = 10_000
KEY = jax.random.key(11)
# [CLS] 20 words of one to three pieces [SEP], two paddings.
PIECES = [1, 2, 1, 1, 3, 1, 2, 1, 1, 1, 2, 1, 1, 1, 3, 1, 1, 2, 1, 1]
STARTS = np.array([False, *[i == 0 for pieces in PIECES for i in range(pieces)], False, False, False])
CANDIDATES = np.array([False, *[True] * sum(PIECES), False, False, False])
WORDS = np.cumsum(STARTS) - 1


@functools.lru_cache
def drawer(shares):
    one = functools.partial(choose_ngrams, shares_G=np.array(shares))
    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))


def draw(shares, budget, seed=0, count=DRAWS):
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(drawer(tuple(shares))(keys, jnp.asarray(CANDIDATES), jnp.asarray(STARTS), budget))


def test_shares_are_the_papers():
    np.testing.assert_allclose(ngram_shares(3), [6 / 11, 3 / 11, 2 / 11])
    np.testing.assert_allclose(ngram_shares(3, favour_shorter=False), [2 / 11, 3 / 11, 6 / 11])


def test_whole_words_within_the_budget():
    chosen = draw(ngram_shares(3), 5)
    assert not chosen[:, ~CANDIDATES].any()
    continues = CANDIDATES[1:] & ~STARTS[1:]
    assert (chosen[:, 1:] == chosen[:, :-1])[:, continues].all()
    counts = chosen.sum(1)
    assert counts.max() == 5 and counts.min() >= 4  # a free word of one piece is always left
    assert (counts == 5).mean() > 0.95


def test_runs_have_the_papers_lengths_and_are_shortened_to_the_budget():
    """10,000 draws of three of 1,000 words: one run of three, one and two, or three of one.

    The first run is as long as it was drawn; after one word, a run drawn as two or three words takes the two left.
    """
    words = 1000
    many = jnp.ones(words, jnp.bool_)
    one = functools.partial(choose_ngrams, shares_G=ngram_shares(3))
    keys = jax.random.split(jax.random.key(1), DRAWS)
    chosen = np.asarray(jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))(keys, many, many, 3))
    np.testing.assert_array_equal(chosen.sum(1), 3)
    runs = (np.diff(chosen.astype(np.int8), axis=1, prepend=0) == 1).sum(1)
    alone, two, three = 6 / 11, 3 / 11, 2 / 11
    for count, share in ((1, three), (2, two + alone * (two + three)), (3, alone * alone)):
        # Runs that touch look like one: up to six of the places that a run may begin at.
        assert abs((runs == count).mean() - share) < 3 * np.sqrt(share * (1 - share) / DRAWS) + 6 / words


def test_the_rate_is_that_of_the_budget_and_a_key_gives_the_same_again():
    """15% of 26 tokens and two special ones is 4.2; words of one piece fill what longer ones leave."""
    chosen = draw(ngram_shares(3), 4)
    assert chosen.sum(1).max() == 4 and chosen.sum(1).mean() > 3.9
    np.testing.assert_array_equal(chosen, draw(ngram_shares(3), 4))
    assert len(np.unique(chosen, axis=0)) > 1000
    longer = draw(ngram_shares(3, favour_shorter=False), 4)
    assert parts(longer) < 0.9 * parts(chosen)


def parts(chosen):
    """How many separate pieces of text are chosen, on average."""
    return (np.diff(chosen.astype(np.int8), axis=1, prepend=0) == 1).sum(1).mean()


def pieces_of(word, n):
    """The places of the pieces of n words."""
    return list(np.flatnonzero((word <= WORDS) & (word + n > WORDS) & CANDIDATES))


def by_the_released_rule(order, drawn, budget):
    """The released code's loop over candidate sets, on words."""
    covered, masked = set(), 0
    for word in order:
        if masked >= budget:
            break
        n = drawn[word]
        pieces = pieces_of(word, n)
        while masked + len(pieces) > budget and n > 1:
            n -= 1
            pieces = pieces_of(word, n)
        if masked + len(pieces) > budget or covered & set(pieces):
            continue
        covered |= set(pieces)
        masked += len(pieces)
    return covered


@pytest.mark.parametrize("budget", [1, 3, 7, 11])
def test_equals_the_released_loop_for_the_same_draws(budget):
    chosen = draw(ngram_shares(3), budget, seed=3, count=50)
    length = len(CANDIDATES)
    for key, row in zip(jax.random.split(jax.random.key(3), 50), chosen, strict=True):
        order_key, length_key = jax.random.split(key)
        bits = np.asarray(jax.random.bits(order_key, (length,)) >> 1)[: len(PIECES)]
        order = np.argsort(bits, kind="stable")
        lengths = 1 + np.asarray(
            jax.random.choice(length_key, 3, (length,), p=jnp.asarray(ngram_shares(3), jnp.float32))
        )
        drawn = {word: lengths[place] for place, word in enumerate(order)}
        assert set(np.flatnonzero(row)) == by_the_released_rule(order, drawn, budget)


def test_a_worked_example():
    """Words A (one piece), B (two) and C (one), always drawn as runs of three, by hand in every order.

    Room for 4: all in the end, whatever comes first. For 3: A first is shortened to A B; B first is B C; C first
    leaves room for B alone, or for A, after which B is left out. For 2: B alone, or A and C. For 1: A or C.
    """
    starts = jnp.array([True, True, False, True])
    every = jnp.ones(4, jnp.bool_)
    shares = np.array([0.0, 0.0, 1.0])
    one = jax.jit(functools.partial(choose_ngrams, shares_G=shares))
    for budget, outcomes in (
        (4, {(1, 1, 1, 1)}),
        (3, {(1, 1, 1, 0), (0, 1, 1, 1), (1, 0, 0, 1)}),
        (2, {(0, 1, 1, 0), (1, 0, 0, 1)}),
        (1, {(1, 0, 0, 0), (0, 0, 0, 1)}),
    ):
        drawn = {tuple(np.asarray(one(key, every, starts, budget)).astype(int)) for key in jax.random.split(KEY, 60)}
        assert drawn == outcomes

"""ALBERT's n-gram masking: the released rule, entry by entry and in its statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.ngrams import choose_ngrams, ngram_shares

DRAWS = 10_000
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


def test_runs_have_the_papers_lengths():
    """In a text so long that runs rarely touch; the last run of each may be cut by the budget."""
    keys = jax.random.split(jax.random.key(1), 300)
    many = jnp.asarray(np.r_[False, np.ones(2000, bool), False])
    one = functools.partial(choose_ngrams, shares_G=ngram_shares(3))
    chosen = np.asarray(jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))(keys, many, many, 60))
    lengths = np.concatenate([run_lengths(row) for row in chosen])
    share = np.bincount(np.minimum(lengths, 3), minlength=4)[1:] / len(lengths)
    assert len(lengths) > 10_000 and np.abs(share - ngram_shares(3)).max() < 0.02


def run_lengths(row):
    """How long each run of True is."""
    padded = np.concatenate([[False], row, [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return changes[1::2] - changes[::2]


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

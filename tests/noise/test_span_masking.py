"""SpanBERT's masking: the released rule, its statistics, and the boundaries of what it masks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.masking import mask_tokens
from plmjax.noise.span_masking import boundaries, choose_spans, run_span_ids, span_budgets, span_shares

DRAWS = 10_000
SHARES = span_shares(0.2, 10)
# [CLS] 24 words of one to three pieces [SEP], two paddings.
PIECES = [1, 2, 1, 1, 3, 1, 2, 1, 1, 1, 2, 1, 1, 1, 3, 1, 1, 2, 1, 1, 2, 1, 1, 1]
STARTS = np.array([False, *[i == 0 for pieces in PIECES for i in range(pieces)], False, False, False])
CANDIDATES = np.array([False, *[True] * sum(PIECES), False, False, False])
LENGTH = len(STARTS)
WORDS = np.where(CANDIDATES, np.cumsum(STARTS) - 1, -1)


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None))
def draw(key, budget):
    return choose_spans(key, jnp.asarray(CANDIDATES), jnp.asarray(STARTS), budget, SHARES)


def test_lengths_are_geometric_and_renormalised():
    lengths = np.arange(1, 11)
    assert SHARES.sum() == pytest.approx(1) and SHARES[1] / SHARES[0] == pytest.approx(0.8)
    assert (SHARES * lengths).sum() == pytest.approx(3.797, abs=5e-4)


def test_budget_is_rounded_up():
    np.testing.assert_array_equal(span_budgets(512, 0.15)[[0, 1, 7, 20, 100, 510]], [0, 1, 2, 3, 15, 77])


def test_a_span_in_a_long_text_has_the_papers_mean():
    """The lengths that the spans themselves show: budgets far apart from the ends, in a text where few touch."""
    ones = np.r_[False, np.ones(4000, bool), False]

    @jax.jit
    @jax.vmap
    def long(key):
        return choose_spans(key, jnp.asarray(ones), jnp.asarray(ones), 120, SHARES)

    chosen = np.asarray(long(jax.random.split(jax.random.key(0), 400)))
    padded = np.pad(chosen, ((0, 0), (1, 1)))
    runs = [np.flatnonzero(np.diff(row.astype(int))).reshape(-1, 2) for row in padded]
    lengths = np.concatenate([np.diff(pairs, axis=1)[:, 0] for pairs in runs])
    assert len(lengths) > DRAWS
    # Touching spans are one run (about 3% more), the last of each text is cut (about 1.5% less).
    assert abs(lengths.mean() / 3.797 - 1) < 0.03
    assert (chosen.sum(1) == 120).all()


def test_whole_words_but_for_the_cut_at_the_budget():
    chosen = np.asarray(draw(jax.random.split(jax.random.key(1), 2000), 6))
    assert (chosen.sum(1) == 6).all() and not chosen[:, ~CANDIDATES].any()
    inside = CANDIDATES[1:] & ~STARTS[1:]
    broken = (chosen[:, 1:] != chosen[:, :-1])[:, inside].sum(1)
    assert broken.max() <= 1 and (chosen[:, 1:] & ~chosen[:, :-1])[:, inside].sum() == 0  # never begins inside a word


def by_the_released_rule(rng, budget):
    """The released loop in plain Python."""
    mask: set[int] = set()
    places = np.flatnonzero(CANDIDATES)
    while len(mask) < budget:
        words = 1 + rng.choice(10, p=SHARES)
        anchor = rng.choice(places)
        if anchor in mask:
            continue
        first = WORDS[anchor]
        for place in np.flatnonzero((first <= WORDS) & (first + words > WORDS)):
            if len(mask) >= budget:
                break
            mask.add(int(place))
    return mask


def test_the_same_distribution_as_the_released_loop():
    rng = np.random.default_rng(0)
    theirs = np.zeros((4000, LENGTH))
    for row in theirs:
        row[list(by_the_released_rule(rng, 6))] = 1
    ours = np.asarray(draw(jax.random.split(jax.random.key(2), DRAWS), 6)).astype(float)
    for statistic in (lambda x: x, lambda x: x[:, 1:] * x[:, :-1], lambda x: x[:, 4:] * x[:, :-4]):
        a, b = statistic(theirs), statistic(ours)
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b)) + 1e-4
        assert (np.abs(a.mean(0) - b.mean(0)) / error).max() < 4.5


def test_one_draw_a_span_and_random_tokens_of_their_own():
    tokens = jnp.arange(10, 10 + LENGTH)

    @jax.jit
    @jax.vmap
    def masked(key):
        choice, replacement = jax.random.split(key)
        span_ids = run_span_ids(choose_spans(choice, jnp.asarray(CANDIDATES), jnp.asarray(STARTS), 6, SHARES))
        made = mask_tokens(replacement, tokens, span_ids, predictions=6, mask=1, non_special_R=np.arange(100, 200))
        return span_ids, made.tokens

    span_ids, made = (np.asarray(x) for x in masked(jax.random.split(jax.random.key(3), DRAWS)))
    kind = np.where(made == 1, 0, np.where(made >= 100, 1, 2))  # mask, random, kept
    same = (span_ids[:, 1:] > 0) & (span_ids[:, 1:] == span_ids[:, :-1])
    assert (kind[:, 1:] == kind[:, :-1])[same].all()
    both_random = same & (kind[:, 1:] == 1)
    assert (made[:, 1:] != made[:, :-1])[both_random].mean() > 0.95
    first = (span_ids == np.arange(1, LENGTH + 1)) & (span_ids > 0)
    shares = np.bincount(kind[first], minlength=3) / first.sum()
    assert (np.abs(shares - [0.8, 0.1, 0.1]) < 3 * np.sqrt([0.16, 0.09, 0.09]) / np.sqrt(first.sum())).all()


def test_boundaries_of_a_worked_example():
    """[CLS] a b C D e F [SEP], capitals masked: C and D lie between b and e, F touches the end."""
    chosen = jnp.array([0, 0, 0, 1, 1, 0, 1, 0], bool)
    candidates = jnp.array([0, 1, 1, 1, 1, 1, 1, 0], bool)
    span_ids = run_span_ids(chosen)
    np.testing.assert_array_equal(span_ids, [0, 0, 0, 4, 4, 0, 7, 0])
    positions, weights = jnp.array([3, 4, 6, 0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    found = boundaries(span_ids, candidates, positions, weights, max_offset=15)
    np.testing.assert_array_equal(found.weights, [1, 1, 0, 0])
    np.testing.assert_array_equal(found.left[:2], [2, 2])
    np.testing.assert_array_equal(found.right[:2], [5, 5])
    np.testing.assert_array_equal(found.offsets[:2], [0, 1])
    np.testing.assert_array_equal(
        boundaries(span_ids, candidates, positions, weights, max_offset=1).weights, [1, 0, 0, 0]
    )

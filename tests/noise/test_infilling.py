"""Masking, deletion and infilling, by example and against an independent account of the released loop."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.infilling import (
    PaddedText,
    compact,
    draw_spans,
    hide_spans,
    insert_masks,
    poisson_shares,
    single_words,
)
from tests.noise.test_masking import DRAWS, chi_square, within

MASK = 6
ORDINARY = np.arange(1000, 1100)
REAL, LENGTH = 50, 60
# Words of 1, 2 and 3 tokens in turn: 25 words in 50 tokens. Tokens count up from 100.
STARTS = np.isin(np.arange(LENGTH) % 6, (0, 1, 3)) & (np.arange(LENGTH) < REAL)
WORDS = int(STARTS.sum())
SHARE, LAMBDA = 0.3, 3.0
BUDGET = math.ceil(SHARE * WORDS)
SHARES = poisson_shares(LAMBDA)


def text_of(real=REAL, length=LENGTH):
    place = jnp.arange(length)
    return PaddedText(jnp.where(place < real, 100 + place, -1), jnp.asarray(real))


@functools.partial(jax.jit, static_argnames=("replace_length", "random_share"))
def hidden(keys, starts, lengths, replace_length=1, random_share=0.0):
    """The noisy texts of spans of given lengths, and their true lengths."""
    return jax.vmap(
        lambda key: hide_spans(
            key,
            text_of(),
            jnp.arange(LENGTH) < REAL,
            starts,
            lengths,
            mask=MASK,
            non_special_R=ORDINARY,
            replace_length=replace_length,
            random_share=random_share,
        )
    )(keys)


@jax.jit
def infilled(keys):
    """(noisy texts before insertion, inserts, noisy texts after it) of a budget of 30% of the words."""

    def one(key):
        lengths_key, places_key, insert_key = jax.random.split(key, 3)
        drawn = draw_spans(lengths_key, jnp.asarray(BUDGET), SHARES, BUDGET)
        words = jnp.arange(LENGTH) < REAL
        parts = {"mask": MASK, "non_special_R": ORDINARY, "random_share": 0.1}
        text = hide_spans(places_key, text_of(), words, jnp.asarray(STARTS), drawn.lengths, **parts)
        return drawn, text, insert_masks(insert_key, text, drawn.inserts, **parts)

    return jax.vmap(one)(keys)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


@pytest.fixture(scope="module")
def drawn(keys):
    return jax.tree.map(np.asarray, infilled(keys))


def released(rng):
    """One text by the released loop's rules, in plain Python: (tokens, spans, inserts, words hidden).

    The loop counts in steps over all spans at once; here each span is laid down by itself, over a text whose words are
    numbered, and what is covered twice is covered once.
    """
    lengths = []
    while sum(lengths) < BUDGET:
        lengths.append(int(rng.choice(len(SHARES), p=SHARES)))
    lengths[-1] -= sum(lengths) - BUDGET
    inserts = lengths.count(0)
    lengths = [length for length in lengths if length]
    word_of = np.cumsum(STARTS[:REAL]) - 1
    firsts = rng.permutation(WORDS)[: len(lengths)]
    covered, masked = set(), set()
    for first, length in zip(firsts, lengths, strict=True):
        masked.add(int(first))
        covered |= set(range(first, min(first + length, WORDS)))
    for first, length in zip(firsts, lengths, strict=True):  # a later part of another span deletes the mask
        masked -= set(range(first + 1, first + length))
    tokens = []
    for place in range(REAL):
        word = int(word_of[place])
        if word not in covered:
            tokens.append(100 + place)
        elif word in masked and STARTS[place]:
            tokens.append(MASK if rng.random() >= 0.1 else int(rng.choice(ORDINARY)))
    count = len(tokens)
    randoms = math.ceil(inserts * 0.1)
    new = [int(rng.choice(ORDINARY)) for _ in range(randoms)] + [MASK] * (inserts - randoms)
    places = rng.permutation(count + inserts)[:inserts]
    result, rest = [None] * (count + inserts), iter(tokens)
    for place, token in zip(places, new, strict=True):
        result[place] = token
    return [next(rest) if token is None else token for token in result], len(lengths), inserts, len(covered)


def test_shares_are_those_of_poisson():
    for mean in (0.5, 3.0, 3.5, 20.0):
        shares = poisson_shares(mean)
        expected = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(len(shares))]
        np.testing.assert_allclose(shares, expected, rtol=1e-4)
        assert abs((shares * np.arange(len(shares))).sum() - mean) < 1e-4
    assert len(poisson_shares(3.0)) == 18  # the first term under 1e-7 is the last


def test_lengths_spend_the_budget_exactly(drawn):
    spans, _, _ = drawn
    assert (spans.lengths.sum(1) == BUDGET).all()
    assert ((spans.lengths > 0).argmin(1) == (spans.lengths > 0).sum(1) % BUDGET).all()  # zeros come last


def test_lengths_and_inserts_have_poissons_shares(drawn):
    spans, _, _ = drawn
    # The first span that has words, unless the budget cut it.
    first = spans.lengths[:, 0]
    positive = SHARES[1:] / SHARES[1:].sum()
    expected = np.append(positive[: BUDGET - 1], positive[BUDGET - 1 :].sum()) * DRAWS
    counts = np.bincount(first, minlength=BUDGET + 1)[1:]
    assert abs(chi_square(counts, expected)) < 3
    # Before each span with words there are zeros, e^-3 / (1 - e^-3) of them on average.
    odds = SHARES[0] / (1 - SHARES[0])
    count = (spans.lengths > 0).sum(1)
    assert within((spans.inserts - count * odds).mean(), 0, DRAWS, np.sqrt((count * odds / (1 - SHARES[0])).mean()))


def test_a_budget_of_nothing_hides_nothing():
    spans = draw_spans(jax.random.key(0), jnp.asarray(0), SHARES, 5)
    assert not spans.lengths.any() and spans.inserts == 0


def test_infilling_is_the_released_loop(drawn):
    """Means, spreads and shares of texts, spans and masks agree with those of the loop."""
    spans, _, after = drawn
    rng = np.random.default_rng(0)
    loop = [released(rng) for _ in range(DRAWS)]
    is_mask = (after.tokens == MASK).sum(1)
    is_random = (after.tokens >= 1000).sum(1)
    kept = ((after.tokens >= 100) & (after.tokens < 1000)).sum(1)
    ours = np.stack([after.real, (spans.lengths > 0).sum(1), spans.inserts, is_mask, is_random, kept])
    theirs = np.array(
        [
            [
                len(tokens),
                count,
                inserts,
                sum(t == MASK for t in tokens),
                sum(t >= 1000 for t in tokens),
                sum(100 <= t < 1000 for t in tokens),
            ]
            for tokens, count, inserts, _ in loop
        ]
    ).T
    for mine, other in zip(ours, theirs, strict=True):
        assert abs(mine.mean() - other.mean()) < 3 * np.sqrt((mine.var() + other.var()) / DRAWS)
        assert abs(mine.std() / other.std() - 1) < 0.05
    # Each token is kept as often as in the loop.
    kept_at = np.stack([(after.tokens == 100 + place).any(1).mean() for place in range(REAL)])
    kept_there = np.stack([np.mean([100 + place in tokens for tokens, *_ in loop]) for place in range(REAL)])
    errors = np.sqrt((kept_at * (1 - kept_at) + kept_there * (1 - kept_there)) / DRAWS)
    assert np.mean(np.abs(kept_at - kept_there) / errors) < 1.2 and np.max(np.abs(kept_at - kept_there) / errors) < 4


def test_what_is_kept_keeps_its_order_and_is_filled_up(drawn):
    _, text, after = drawn
    for tokens, real in ((text.tokens, text.real), (after.tokens, after.real)):
        assert (real <= LENGTH).all()
        np.testing.assert_array_equal(tokens >= 0, np.arange(LENGTH) < real[:, None])
        for row in tokens[:300]:
            kept = row[(row >= 100) & (row < 1000)]
            assert (np.diff(kept) > 0).all()
    word = np.cumsum(STARTS) - 1
    whole = np.bincount(word[:REAL])
    for row in text.tokens[:300]:  # words are there whole or not at all
        kept = row[(row >= 100) & (row < 1000)] - 100
        counts = np.bincount(word[kept], minlength=WORDS)
        assert ((counts == 0) | (counts == whole)).all()


EVERY = jnp.asarray(np.arange(LENGTH) < REAL)  # words of one token


@pytest.mark.parametrize(("lengths", "replace_length"), [([50], 1), ([50, 50], 1), ([50], 0), ([50], -1)])
def test_spans_over_the_end_and_over_each_other(keys, lengths, replace_length):
    """A span ends with the text; of spans that share a word one mask is left, or one for each token, or none."""
    for row in np.asarray(hidden(keys[:300], EVERY, jnp.asarray(lengths), replace_length)[0]):
        kept, masks = row[row >= 100] - 100, (row == MASK).sum()
        np.testing.assert_array_equal(kept, np.arange(len(kept)))  # all is hidden from the first start on
        assert masks == {1: 1, 0: 0, -1: REAL - len(kept)}[replace_length]


def test_a_text_may_begin_within_a_word(keys):
    """What comes before the first start is never hidden."""
    starts = STARTS.copy()
    starts[:3] = False
    for row in np.asarray(hidden(keys[:100], jnp.asarray(starts), jnp.full(WORDS, 25))[0]):
        assert row[:4].tolist() == [100, 101, 102, MASK]


def test_touching_spans_keep_their_masks(keys):
    tokens, real = hidden(keys[:400], jnp.asarray(STARTS), jnp.ones(WORDS, int))
    assert (np.asarray(real) == WORDS).all() and (np.asarray(tokens)[:, :WORDS] == MASK).all()


def test_a_span_stops_at_what_may_not_be_hidden(keys):
    """Two sentences with a separator between: a span of the first leaves the second alone."""
    words = np.arange(LENGTH) < REAL
    words[24] = False  # token 124 parts them
    starts = np.zeros(LENGTH, bool)
    starts[[0, 25]] = True
    starts[0::6] = True
    hide = jax.jit(
        jax.vmap(
            lambda key: hide_spans(
                key,
                text_of(),
                jnp.asarray(words),
                jnp.asarray(starts & words),
                jnp.array([50]),
                mask=MASK,
                non_special_R=ORDINARY,
            )
        )
    )
    for row in np.asarray(hide(keys[:100]).tokens):
        assert (row == 124).sum() == 1
        at = list(row).index(MASK)
        before = row[:at]
        if 124 in before:  # it began in the second
            assert set(range(100, 125)) <= set(before)
        else:
            assert set(range(124, 150)) <= set(row)


def test_each_start_is_as_likely_and_a_tenth_is_random(keys):
    tokens, _ = hidden(keys, jnp.asarray(STARTS), jnp.asarray([1]), 1, 0.1)
    tokens = np.asarray(tokens)
    replaced = (tokens == MASK) | (tokens >= 1000)
    np.testing.assert_array_equal(replaced.sum(1), 1)
    hidden_words = np.bincount((np.cumsum(STARTS) - 1)[replaced.argmax(1)], minlength=WORDS)
    # Places before the mask are those of the clean text, so that the place tells the word.
    assert abs(chi_square(hidden_words, DRAWS / WORDS)) < 3
    assert within((tokens >= 1000).any(1).mean(), 0.1, DRAWS, 0.3)
    assert set(tokens[tokens >= 1000]) == set(ORDINARY)


def test_token_masking_and_deletion(keys):
    lengths = single_words(jnp.asarray(8), 12).lengths
    assert lengths.tolist() == [1] * 8 + [0] * 4
    masked, real = (np.asarray(x) for x in hidden(keys, EVERY, lengths))
    assert (real == REAL).all() and ((masked == MASK).sum(1) == 8).all()
    clean = np.arange(100, 100 + REAL)
    assert ((masked[:, :REAL] == clean) | (masked[:, :REAL] == MASK)).all()
    assert abs(chi_square((masked[:, :REAL] == MASK).sum(0), DRAWS * 8 / REAL)) < 3
    deleted, real = (np.asarray(x) for x in hidden(keys[:300], EVERY, lengths, 0))
    assert (real == REAL - 8).all() and (deleted != MASK).all()
    assert all((np.diff(row[: REAL - 8]) > 0).all() for row in deleted)


@functools.partial(jax.jit, static_argnames="random_share")
def inserted(keys, count, random_share=0.0):
    text = text_of(5, 8)
    return jax.vmap(
        lambda key: insert_masks(key, text, count, mask=MASK, non_special_R=ORDINARY, random_share=random_share)
    )(keys)


def test_insertion_goes_anywhere_as_likely(keys):
    tokens, real = (np.asarray(x) for x in inserted(keys, 2))
    assert (real == 7).all()
    kinds, counts = np.unique(tokens == MASK, axis=0, return_counts=True)
    assert len(kinds) == 21  # 7 choose 2
    assert abs(chi_square(counts, DRAWS / 21)) < 3
    for row in tokens[:50]:
        assert row[(row != MASK) & (row >= 0)].tolist() == [100, 101, 102, 103, 104]


def test_insertion_never_passes_the_length(keys):
    tokens, real = (np.asarray(x) for x in inserted(keys[:50], 20))
    assert (real == 8).all() and ((tokens == MASK).sum(1) == 3).all()
    tokens, real = (np.asarray(x) for x in inserted(keys[:50], 0))
    assert (real == 5).all() and (tokens != MASK).all()


def test_a_share_of_the_inserted_is_random_rounded_up(keys):
    tokens, _ = inserted(keys[:200], 3, 0.1)
    assert ((np.asarray(tokens) >= 1000).sum(1) == 1).all() and ((np.asarray(tokens) == MASK).sum(1) == 2).all()


def test_compact():
    text = compact(jnp.arange(10), jnp.asarray([1, 0, 1, 1, 0, 0, 1, 1, 1, 1], bool), jnp.asarray(8))
    assert text.tokens.tolist() == [0, 2, 3, 6, 7, -1, -1, -1, -1, -1] and text.real == 5

"""XLNet's spans and order: statistics, and who sees whom against a worked example and the released rule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise import permutation
from tests.noise.test_masking import DRAWS, chi_square, within

LENGTH = 128
KEYS = jax.random.split(jax.random.key(0), DRAWS)
ODDS = 1 / np.arange(1, 6) / sum(1 / n for n in range(1, 6))


@functools.partial(jax.jit, static_argnames="whole_words")
def spans_of(keys, starts_L, whole_words):
    unit = jnp.ones(()) if not whole_words else LENGTH / jnp.sum(starts_L)

    def draw(key):
        drawn = permutation.draw_spans(key, LENGTH, 5, 6.0)
        return permutation.place_spans(*drawn, starts_L, LENGTH, unit, 6.0, whole_words)

    return jax.vmap(draw)(keys)


@functools.partial(jax.jit, static_argnames=("budget", "whole_words", "backward"))
def chosen_of(keys, candidates_L, starts_L, budget, whole_words=True, backward=False):
    return jax.vmap(
        lambda key: permutation.choose_spans(
            key, candidates_L, starts_L, budget, whole_words=whole_words, backward=jnp.asarray(backward)
        )
    )(keys)


def runs(row):
    """[(start, end)] of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.fixture(scope="module")
def token_spans():
    mask = np.asarray(spans_of(KEYS, jnp.ones(LENGTH, bool), False))
    return mask, [runs(row) for row in mask]


def test_a_span_of_n_has_odds_of_one_in_n(token_spans):
    # The first three always fit: 3 * 7 * 5 = 105 tokens at most.
    lengths = np.array([[end - start for start, end in spans[:3]] for spans in token_spans[1]])
    for place in range(3):
        counts = np.bincount(lengths[:, place], minlength=6)[1:]
        assert abs(chi_square(counts, DRAWS * ODDS)) < 3
    mean = (np.arange(1, 6) * ODDS).sum()
    spread = np.sqrt((np.arange(1, 6) ** 2 * ODDS).sum() - mean**2)
    assert within(lengths.mean(), mean, lengths.size, spread)


def test_the_context_is_split_uniformly(token_spans):
    first = np.array([spans[0] for spans in token_spans[1]])
    for n in range(1, 6):
        before = first[first[:, 1] - first[:, 0] == n, 0]
        counts = np.bincount(before, minlength=6 * n)
        assert len(counts) == 6 * n and abs(chi_square(counts, len(before) / (6 * n))) < 3.5
    # Between two spans lie what is left of the first's context, 1 to 6 n tokens, and the second's share, mean 3 n - .5.
    for n in range(1, 6):
        gaps = [spans[1][0] - spans[0][1] for spans in token_spans[1] if spans[0][1] - spans[0][0] == n]
        later = (np.arange(1, 6) * 3 * ODDS).sum() - 0.5
        assert min(gaps) >= 1
        assert within(np.mean(gaps), 3 * n + 0.5 + later, len(gaps), np.std(gaps))


def test_one_token_of_seven_is_in_a_span_of_tokens(token_spans):
    assert abs(token_spans[0][:, : LENGTH - 40].mean() - 1 / 7) < 0.004


@pytest.mark.parametrize(
    ("budget", "spans"),
    [(0, []), (2, [(2, 4)]), (3, [(3, 6)]), (4, [(3, 6), (22, 23)]), (9, [(3, 6), (24, 27)])],
)
def test_the_last_span_is_cut_to_what_is_left_and_its_context_with_it(budget, spans):
    """Spans of 3, 3, 1 and 2 tokens, each after a fifth of its context of 18, 18, 6 and 12 (data_utils.py 350-355)."""
    placed = permutation.place_spans(
        jnp.asarray([3, 3, 1, 2]), jnp.full(4, 0.2), jnp.ones(40, bool), budget, 1.0, 6.0, False
    )
    assert runs(np.asarray(placed)) == spans


def test_spans_hold_whole_words():
    rng = np.random.default_rng(1)
    starts = np.zeros(LENGTH, bool)
    starts[np.cumsum(rng.integers(1, 5, 40))] = True
    number = np.cumsum(starts)
    counts = np.zeros(6)
    for row in np.asarray(spans_of(KEYS[:2000], jnp.asarray(starts), True)):
        for place, (start, end) in enumerate(runs(row)):
            assert starts[start] and starts[end]
            words = number[end - 1] - number[start] + 1
            assert 1 <= words <= 5
            counts[words] += place == 0
    assert abs(chi_square(counts[1:], 2000 * ODDS)) < 3


def test_as_released_a_span_has_n_tokens_from_a_word_start():
    starts = np.arange(LENGTH) % 3 == 0
    for row in np.asarray(spans_of(KEYS[:500], jnp.asarray(starts), False)):
        for start, end in runs(row):
            assert starts[start] and 1 <= end - start <= 5


@pytest.mark.parametrize("whole_words", [True, False])
def test_one_token_of_k_is_predicted_wherever_it_stands(whole_words):
    length, k = 127, 6
    rng = np.random.default_rng(2)
    candidates = np.ones(length, bool)
    candidates[[0, 60, 120, *range(121, 127)]] = False
    budget = int(candidates.sum()) // k
    shares = np.zeros(10)
    for part in range(10):  # of the draws, each on a text of its own
        starts = jnp.asarray(~candidates | (rng.random(length) < 0.7))
        keys = KEYS[part * 1000 : (part + 1) * 1000]
        chosen = np.asarray(chosen_of(keys, jnp.asarray(candidates), starts, budget, whole_words))
        assert (chosen.sum(1) == budget).all() and not chosen[:, ~candidates].any()
        shares += [tenth.mean() / 10 for tenth in np.array_split(chosen[:, candidates], 10, axis=1)]
    # Every tenth of the text has its share: neither the budget's end nor the window's leaves a part unread.
    assert abs(np.mean(shares) - budget / candidates.sum()) < 1e-3
    assert 0.8 / k < min(shares) and max(shares) < 1.2 / k, shares


def test_backward_text_is_read_in_its_own_direction():
    rng = np.random.default_rng(3)
    candidates, starts = rng.random(41) < 0.9, rng.random(41) < 0.5
    one = chosen_of(KEYS[:50], jnp.asarray(candidates), jnp.asarray(starts), 6, True, False)
    other = chosen_of(KEYS[:50], jnp.asarray(candidates[::-1]), jnp.asarray(starts[::-1]), 6, True, True)
    np.testing.assert_array_equal(one, np.asarray(other)[:, ::-1])


def test_few_candidates_are_all_predicted():
    candidates = jnp.arange(LENGTH) < 3
    chosen = chosen_of(KEYS[:20], candidates, jnp.ones(LENGTH, bool), 10)
    np.testing.assert_array_equal(np.asarray(chosen), np.tile(candidates, (20, 1)))


@functools.partial(jax.jit, static_argnames=("length", "block"))
def orders_of(keys, length, block):
    return jax.vmap(lambda key: permutation.local_order(key, length, block))(keys)


@pytest.mark.parametrize(("length", "block"), [(4, 4), (11, 4), (7, 3), (5, 9), (1, 1)])
def test_the_order_is_uniform_within_blocks_and_never_crosses_them(length, block):
    orders = np.asarray(orders_of(KEYS, length, block))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(length), (DRAWS, 1)))
    np.testing.assert_array_equal(orders // block, np.tile(np.arange(length) // block, (DRAWS, 1)))
    for start in range(0, length, block):
        part = orders[:, start : start + block] - start
        width = part.shape[1]
        kinds, counts = np.unique(part, axis=0, return_counts=True)
        possible = {1: 1, 3: 6, 4: 24, 5: 120}[width]
        assert len(kinds) == possible
        assert possible == 1 or abs(chi_square(counts, DRAWS / possible)) < 3.5


def test_worked_example():
    """a b c [SEP] d, in the order d b [SEP] c a, where b and d are predicted."""
    order = permutation.hide_by_order(
        jnp.asarray([4, 1, 3, 2, 0]),
        jnp.asarray([False, True, False, False, True]),
        jnp.asarray([False, False, False, True, False]),
        3,
    )
    hidden = [
        # a b c S d
        [0, 1, 0, 1, 1],  # a, given: sees what is given alone
        [0, 1, 0, 1, 0],  # b, second: what is given, and d; not itself
        [0, 1, 0, 1, 1],  # c
        [0, 0, 0, 0, 0],  # [SEP], third: d and b, and itself
        [0, 1, 0, 1, 1],  # d, first: what is given alone; not itself
    ]
    np.testing.assert_array_equal(order.perm_mask, np.array(hidden, bool))
    np.testing.assert_array_equal(order.positions, [1, 4, 0])
    np.testing.assert_array_equal(order.weights, [1, 1, 0])


def released_rule(index, is_masked, functional):
    """The released `_local_perm` once the order is drawn, in numpy."""
    plain = ~is_masked & ~functional
    rev_index = np.where(plain, -1, index)
    target = ~plain & ~functional
    self_index = np.where(target, rev_index, rev_index + 1)
    return (self_index[:, None] <= rev_index[None, :]) & ~plain[None, :], target


@pytest.mark.parametrize("length", [1, 6, 13])
def test_the_mask_is_the_released_one_entry_by_entry(length):
    rng = np.random.default_rng(length)
    hide = jax.jit(permutation.hide_by_order, static_argnums=3)
    for _ in range(50):
        index = rng.permutation(length)
        masked, functional = rng.random(length) < 0.4, rng.random(length) < 0.2
        got = hide(jnp.asarray(index), jnp.asarray(masked), jnp.asarray(functional), length)
        mask, target = released_rule(index, masked, functional)
        np.testing.assert_array_equal(got.perm_mask, mask)
        places = np.flatnonzero(target)
        np.testing.assert_array_equal(np.asarray(got.positions)[: len(places)], places)
        np.testing.assert_array_equal(got.weights, np.arange(length) < len(places))


def test_the_same_key_gives_the_same_order():
    np.testing.assert_array_equal(orders_of(KEYS[:3], 9, 4), orders_of(KEYS[:3], 9, 4))
    assert not np.array_equal(orders_of(KEYS[:3], 9, 4), orders_of(KEYS[3:6], 9, 4))

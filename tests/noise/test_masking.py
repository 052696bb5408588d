"""BERT's masking: properties, worked examples and statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise import masking

MASK, CLS, SEP, PAD = 4, 2, 3, 0
ORDINARY = np.arange(5, 55, dtype=np.int32)
DRAWS = 10_000


def within(observed, expected, draws, deviation):
    """Whether a mean over `draws` lies within three standard errors."""
    return abs(observed - expected) < 3 * deviation / np.sqrt(draws)


def chi_square(counts, expected):
    """(statistic - degrees of freedom) / its standard deviation: roughly standard normal."""
    degrees = len(counts) - 1
    return (np.sum((counts - expected) ** 2 / expected) - degrees) / np.sqrt(2 * degrees)


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, None, None, None, None))
def draw(key, tokens, candidates, budget, mask_share, random_share):
    """Room for 6 predictions. Every test gives it as many keys and tokens, so that it compiles once."""
    choice, replacement = jax.random.split(key)
    chosen = masking.token_span_ids(masking.choose_tokens(choice, candidates, budget))
    return masking.mask_tokens(
        replacement,
        tokens,
        chosen,
        predictions=6,
        mask=MASK,
        non_special_R=ORDINARY,
        mask_share=mask_share,
        random_share=random_share,
    )


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def draw_words(key, candidates, starts, budget):
    return masking.choose_words(key, candidates, starts, budget)


@pytest.fixture(scope="module")
def text():
    """(tokens, candidates): [CLS] 17 words [SEP] 9 words [SEP], four paddings."""
    tokens = np.array([CLS, *range(10, 27), SEP, *range(30, 39), SEP, *[PAD] * 4], np.int32)
    return jnp.asarray(tokens), jnp.asarray(tokens >= 5)


@pytest.fixture(scope="module")
def draws(text):
    """10,000 masked examples with a budget of 5 of room for 6."""
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return jax.tree.map(np.asarray, draw(keys, *text, 5, 0.8, 0.1))


@pytest.mark.parametrize(
    ("length", "count"), [(1, 1), (3, 1), (10, 2), (30, 4), (50, 8), (64, 10), (70, 10), (128, 19), (512, 77)]
)
def test_counts_are_those_of_the_released_code(length, count):
    assert masking.prediction_counts(512, 0.15)[length] == count
    assert masking.max_predictions(length, 0.15) == count


def test_an_empty_example_has_no_prediction():
    assert masking.prediction_counts(8, 0.15)[0] == 0


def test_positions_are_candidates_ascending_and_no_two_alike(text, draws):
    positions, weights = draws.masked_positions, draws.weights
    np.testing.assert_array_equal(weights, np.tile([1, 1, 1, 1, 1, 0], (DRAWS, 1)))
    assert (np.diff(positions[:, :5]) > 0).all()
    assert np.asarray(text[1])[positions[:, :5]].all()
    assert (positions[:, 5] == 0).all() and (draws.targets[:, 5] == 0).all()


def test_tokens_and_targets_give_the_original(text, draws):
    tokens = np.asarray(text[0])
    restored = draws.tokens.copy()
    np.put_along_axis(restored, draws.masked_positions[:, :5], draws.targets[:, :5], axis=1)
    np.testing.assert_array_equal(restored, np.tile(tokens, (DRAWS, 1)))


def test_every_position_is_as_likely(text, draws):
    counts = np.bincount(draws.masked_positions[:, :5].ravel(), minlength=len(text[0]))[np.asarray(text[1])]
    expected = DRAWS * 5 / 26
    # Drawn without replacement, counts vary less than multinomial ones: by the factor 1 - 4/25 of the covariance.
    assert abs(chi_square(counts, expected)) < 3
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected)


def test_every_pair_of_positions_is_as_likely(text):
    five = text[1] & (jnp.arange(len(text[1])) < 6)
    drawn = draw(jax.random.split(jax.random.key(7), DRAWS), text[0], five, 2, 0.8, 0.1)
    positions = np.asarray(drawn.masked_positions)
    counts = np.bincount(positions[:, 0] * 8 + positions[:, 1], minlength=64)
    counts = counts[counts > 0]
    assert len(counts) == 10 and abs(chi_square(counts, DRAWS / 10)) < 3


@pytest.mark.parametrize("shares", [(0.8, 0.1), (1.0, 0.0), (0.0, 0.8), (0.2, 0.3)])
def test_shares_of_replacements(text, shares):
    drawn = draw(jax.random.split(jax.random.key(1), DRAWS), *text, 5, *shares)
    replaced = np.take_along_axis(np.asarray(drawn.tokens), np.asarray(drawn.masked_positions)[:, :5], axis=1)
    same = replaced == np.asarray(drawn.targets)[:, :5]
    mask_share, random_share = shares
    # A random token is the same one once in 50 draws.
    keep_share = 1 - mask_share - random_share + random_share / len(ORDINARY)
    for observed, share in ((replaced == MASK, mask_share), (same, keep_share)):
        assert within(observed.mean(), share, 5 * DRAWS, np.sqrt(share * (1 - share)) + 1e-6)


def test_random_tokens_are_uniform_over_ordinary_ones(text):
    drawn = draw(jax.random.split(jax.random.key(2), DRAWS), *text, 5, 0.0, 1.0)
    replaced = np.take_along_axis(np.asarray(drawn.tokens), np.asarray(drawn.masked_positions)[:, :5], axis=1)
    counts = np.bincount(replaced.ravel(), minlength=60)
    assert counts.sum() == counts[ORDINARY].sum()
    assert abs(chi_square(counts[ORDINARY], 5 * DRAWS / len(ORDINARY))) < 3


def test_the_same_key_gives_the_same_and_another_key_another(text, draws):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    again = draw(keys, *text, 5, 0.8, 0.1)
    for ours, theirs in zip(again, draws, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(draws.masked_positions, axis=0)) > 0.9 * DRAWS  # of 65,780 subsets


def test_fewer_candidates_than_the_budget_are_all_taken(text):
    tokens, _ = text
    two = (jnp.arange(len(tokens)) == 3) | (jnp.arange(len(tokens)) == 8)
    drawn = draw(jax.random.split(jax.random.key(0), DRAWS), tokens, two, 4, 1.0, 0.0)
    np.testing.assert_array_equal(drawn.tokens[0], jnp.where(two, MASK, tokens))
    np.testing.assert_array_equal(drawn.masked_positions[0], [3, 8, 0, 0, 0, 0])
    np.testing.assert_array_equal(drawn.targets[0], [12, 17, 0, 0, 0, 0])
    np.testing.assert_array_equal(drawn.weights[0], [1, 1, 0, 0, 0, 0])


def test_a_worked_example_as_in_the_paper():
    """'my dog is hairy': the fourth token is chosen, and masked, kept or replaced (Devlin et al., A.1)."""
    tokens, chosen = jnp.array([11, 12, 13, 14]), jnp.array([False, False, False, True])
    for mask_share, random_share, fourth in ((1.0, 0.0, MASK), (0.0, 0.0, 14), (0.0, 1.0, 42)):
        masked = masking.mask_tokens(
            jax.random.key(0),
            tokens,
            masking.token_span_ids(chosen),
            predictions=1,
            mask=MASK,
            non_special_R=np.array([42]),
            mask_share=mask_share,
            random_share=random_share,
        )
        np.testing.assert_array_equal(masked.tokens, [11, 12, 13, fourth])
        assert (masked.masked_positions, masked.targets, masked.weights) == (3, 14, 1)


def greedy(sizes, budget):
    """The loop of BERT's whole-word code."""
    taken, used = [], 0
    for size in sizes:
        fits = size > 0 and used + size <= budget
        taken.append(fits)
        used += size * fits
    return taken


def test_words_are_taken_as_the_loop_takes_them():
    rng = np.random.default_rng(0)
    sizes = rng.choice([1, 1, 2, 3, 4, 7], (500, 20)) * (np.arange(20) < rng.integers(0, 21, (500, 1)))
    budgets = rng.integers(0, 25, 500)
    taken = jax.jit(jax.vmap(masking._take_while_fitting))(jnp.asarray(sizes), jnp.asarray(budgets))
    np.testing.assert_array_equal(taken, [greedy(*case) for case in zip(sizes, budgets, strict=True)])


# CLS w0 w0 w1 SEP w2 w3 w3 w3 w4 PAD PAD; w2 has no start of its own, but follows no word.
WORDS = np.array([-1, 0, 0, 1, -1, 2, 3, 3, 3, 4, -1, -1])
CANDIDATES = jnp.asarray(WORDS >= 0)
STARTS = jnp.array([0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0], bool)


@pytest.mark.parametrize(("budget", "taken"), [(0, {0}), (1, {1}), (3, {3}), (4, {3, 4}), (20, {8})])
def test_words_are_chosen_whole(budget, taken):
    chosen = np.asarray(draw_words(jax.random.split(jax.random.key(3), DRAWS), CANDIDATES, STARTS, budget))
    assert not chosen[:, WORDS < 0].any()
    for word in range(5):
        pieces = chosen[:, word == WORDS]
        assert (pieces.all(1) == pieces.any(1)).all()
    # A budget of 4 stays open where the three short words come first: neither of the others fits the one place left.
    assert set(chosen.sum(1)) == taken


def test_words_of_one_size_are_as_likely():
    starts = jnp.array([1, 0] * 6, bool)
    chosen = np.asarray(draw_words(jax.random.split(jax.random.key(4), DRAWS), jnp.ones(12, bool), starts, 5))
    np.testing.assert_array_equal(chosen.sum(1), 4)  # two words; no third fits
    assert abs(chi_square(chosen[:, ::2].sum(0), DRAWS / 3)) < 3


def test_pieces_of_a_word_draw_their_own_replacement(text):
    two = (jnp.arange(len(text[0])) == 3) | (jnp.arange(len(text[0])) == 4)
    drawn = draw(jax.random.split(jax.random.key(5), DRAWS), text[0], two, 2, 0.5, 0.0)
    masked = np.asarray(drawn.tokens)[:, 3:5] == MASK
    assert within(masked.all(1).mean(), 0.25, DRAWS, np.sqrt(0.25 * 0.75))

"""T5's noise: lengths, masks and sequences, against the tables of its code and an independent implementation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise import spans
from tests.noise.test_masking import DRAWS, chi_square, within

EOS = 1
SENTINELS = jnp.arange(999, 899, -1)


# T5's released code, random_spans_helper; the rows of its configurations.
TABLE = [
    (512, 0.15, 2, 552, 126),
    (512, 0.15, 3, 568, 114),
    (512, 0.15, 5, 581, 105),
    (512, 0.15, 10, 591, 99),
    (256, 0.15, 2, 276, 62),
    (256, 0.15, 3, 284, 58),
    (256, 0.15, 5, 290, 54),
    (256, 0.15, 10, 295, 49),
    (128, 0.15, 2, 138, 32),
    (128, 0.15, 3, 141, 29),
    (128, 0.15, 5, 145, 27),
    (128, 0.15, 10, 147, 25),
    (512, 0.10, 3, 548, 74),
    (512, 0.25, 3, 614, 206),
    (512, 0.50, 3, 766, 512),
]


@pytest.mark.parametrize(("inputs", "density", "mean_span", "raw", "targets"), TABLE)
def test_lengths_are_those_of_the_released_helper(inputs, density, mean_span, raw, targets):
    assert spans.span_lengths(inputs, density, mean_span) == (raw, targets)


@pytest.mark.parametrize(("density", "mean_span"), [(0.15, 3.0), (0.15, 1.0), (0.3, 2.0), (0.55, 1.0), (0.9, 5.0)])
def test_inputs_fill_the_length_to_the_token(density, mean_span):
    for length in range(4, 200):
        raw, targets = spans.span_lengths(length, density, mean_span)
        noise, count = spans.span_counts(raw, density, mean_span)
        # Where clean tokens come rarely, one more may cost two places.
        assert length - (density > 0.5) <= raw - noise + count + 1 <= length
        assert targets == noise + count + 1
        assert 1 <= count <= min(noise, raw - noise)


def test_counts_at_568():
    assert spans.span_counts(568, 0.15, 3.0) == (85, 28)


def test_iid_targets_have_192_places_at_512():
    assert spans.iid_targets_length(512, 0.15) == 192
    assert spans.iid_targets_length(512, 0.5) == 512


@pytest.mark.parametrize("length", [48, 128, 512])
def test_iid_targets_seldom_need_more_than_their_room(length):
    mask = np.random.default_rng(0).random((DRAWS, length - 1)) < 0.15
    needed = mask.sum(1) + run_starts(~mask).sum(1) + 1
    assert (needed > spans.iid_targets_length(length, 0.15)).mean() < 0.005
    # The formula for their spread, of which the room is three.
    assert abs(needed.mean() - ((length - 1) * (0.15 + 0.1275) + 2)) < 1


@functools.partial(jax.jit, static_argnames=("items", "count"))
def parts_of(keys, items, count):
    """Splits with more room than needed, as a text shorter than the window has."""
    return jax.vmap(lambda key: spans.random_parts(key, items, count, length=items + 3, parts=count + 2))(keys)


def test_every_split_is_as_likely():
    parts = np.asarray(parts_of(jax.random.split(jax.random.key(0), DRAWS), 8, 3))
    assert (parts[:, :3] >= 1).all() and (parts[:, 3:] == 0).all() and (parts.sum(1) == 8).all()
    kinds, counts = np.unique(parts, axis=0, return_counts=True)
    assert len(kinds) == 21  # (8 - 1) choose (3 - 1)
    assert abs(chi_square(counts, DRAWS / 21)) < 3


@functools.partial(jax.jit, static_argnames=("length", "density", "mean_span", "random_roll"))
def masks(keys, real, length=568, density=0.15, mean_span=3.0, random_roll=False):
    return jax.vmap(
        lambda key: spans.spans_mask(
            key, real, length=length, density=density, mean_span=mean_span, random_roll=random_roll
        )
    )(keys)


def run_starts(mask):
    return mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]


@pytest.fixture(scope="module")
def drawn():
    """10,000 masks of 568 tokens."""
    return np.asarray(masks(jax.random.split(jax.random.key(1), DRAWS), 568))


def test_masks_have_exactly_the_counts(drawn):
    np.testing.assert_array_equal(drawn.sum(1), 85)
    np.testing.assert_array_equal(run_starts(drawn).sum(1), 28)
    assert not drawn[:, 0].any() and drawn[:, -1].all()


def test_spans_have_the_lengths_of_uniform_splits(drawn):
    # The first of s parts of n is 1 with probability (s - 1) / (n - 1), and n / s on average.
    first = drawn.argmax(1)
    length = np.array([(~row[start:]).argmax() for row, start in zip(drawn, first, strict=True)])
    assert within((length == 1).mean(), 27 / 84, DRAWS, np.sqrt(27 / 84 * 57 / 84))
    assert within(length.mean(), 85 / 28, DRAWS, length.std())
    assert within(first.mean(), (568 - 85) / 28, DRAWS, first.std())


def test_a_rolled_mask_lies_anywhere_as_likely():
    rolled = np.asarray(masks(jax.random.split(jax.random.key(2), DRAWS), 20, length=24, random_roll=True))
    np.testing.assert_array_equal(rolled.sum(1), 3)
    assert not rolled[:, 20:].any()
    counts = rolled[:, :20].sum(0)
    # One span of 3: a roll takes each of 20 places, which every token shares with two neighbours.
    assert np.abs(counts - DRAWS * 3 / 20).max() < 4 * np.sqrt(DRAWS * 0.15 * 0.85)


@pytest.mark.parametrize("real", [0, 1, 2, 3, 7, 20, 33, 40])
def test_short_texts_have_the_counts_of_their_length(real):
    mask = np.asarray(masks(jax.random.split(jax.random.key(3), 50), real, length=40, mean_span=2.0))
    assert not mask[:, real:].any()
    noise, count = spans.span_counts(real, 0.15, 2.0) if real > 1 else (0, 0)
    np.testing.assert_array_equal(mask.sum(1), noise)
    np.testing.assert_array_equal(run_starts(mask).sum(1), count)


def test_one_span_lies_at_the_end():
    mask = np.asarray(masks(jax.random.split(jax.random.key(4), 50), 10, length=40, mean_span=2.0))
    np.testing.assert_array_equal(mask[:, :10], np.tile(np.arange(10) >= 8, (50, 1)))


def test_density_above_one_half_with_short_spans_does_not_fail():
    mask = np.asarray(masks(jax.random.split(jax.random.key(5), 20), 20, length=20, density=0.55, mean_span=1.0))
    np.testing.assert_array_equal(mask.sum(1), 11)
    np.testing.assert_array_equal(run_starts(mask).sum(1), 9)


def test_iid_masks_have_their_rate():
    mask = jax.jit(jax.vmap(lambda key: spans.iid_mask(key, 100, 0.15)))(jax.random.split(jax.random.key(6), DRAWS))
    assert within(mask.mean(), 0.15, mask.size, np.sqrt(0.15 * 0.85))
    counts = np.asarray(mask.sum(0))
    assert abs(chi_square(counts, DRAWS * 0.15)) < 3


def corrupt(tokens, mask, length):
    """The rule in plain Python: (a run of masked tokens -> its sentinel), EOS, filling."""
    out, runs = [], 0
    for place, (token, hidden) in enumerate(zip(tokens, mask, strict=True)):
        if not hidden:
            out.append(token)
        elif place == 0 or not mask[place - 1]:
            out.append(999 - runs)
            runs += 1
    out = [*out[: length - 1], EOS]
    return out + [-1] * (length - len(out))


@functools.partial(jax.jit, static_argnames="length")
@functools.partial(jax.vmap, in_axes=(0, 0, 0, None))
def merge(tokens, mask, real, length):
    return spans.merge_runs(tokens, mask, real, SENTINELS, eos=EOS, length=length)


@pytest.mark.parametrize("length", [45, 20])
def test_sequences_are_those_of_the_plain_rule(length):
    rng = np.random.default_rng(0)
    tokens = rng.integers(2, 900, (200, 40))
    mask = rng.random((200, 40)) < rng.random((200, 1))
    real = rng.integers(1, 41, 200)
    merged = np.asarray(merge(tokens, mask, real, length))
    for row in range(200):
        expected = corrupt(tokens[row, : real[row]], mask[row, : real[row]], length)
        np.testing.assert_array_equal(merged[row], expected)


def test_an_empty_text_is_all_filling():
    assert (merge(np.ones((1, 5), int), np.ones((1, 5), bool), np.zeros(1, int), 4) == -1).all()


# Thank you for inviting me to your party last week .
WORDS = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]


def spell(ids):
    names = {999: "<X>", 998: "<Y>", 997: "<Z>", EOS: "EOS"}
    return " ".join(names.get(i) or WORDS[i - 10] for i in ids if i != -1)


@pytest.mark.parametrize(
    ("hidden", "inputs", "targets"),
    [
        # The paper's figure spells the clean run at the end "<Z>"; so does the released code.
        ("for inviting last", "Thank you <X> me to your party <Y> week .", "<X> for inviting <Y> last <Z>"),
        (
            "for inviting me your party last",
            "Thank you <X> to <Y> week .",
            "<X> for inviting me <Y> your party last <Z>",
        ),
        # A text that ends in noise has no closing sentinel.
        ("week .", "Thank you for inviting me to your party last <X>", "<X> week ."),
        # A text that starts with noise opens the targets unannounced: they are one sentinel ahead.
        ("Thank last", "<X> you for inviting me to your party <Y> week .", "Thank <X> last <Y>"),
    ],
)
def test_the_examples_of_table_3(hidden, inputs, targets):
    mask = np.array([[word in hidden.split() for word in WORDS]])
    tokens, real = np.tile(np.arange(10, 21), (2, 1)), np.array([11, 11])
    merged = np.asarray(merge(tokens, np.concatenate([mask, ~mask]), real, 13))
    assert [spell(row) for row in merged] == [inputs + " EOS", targets + " EOS"]


def test_runs_past_the_limit_stay_clean():
    mask = jnp.array([0, 1, 1, 0, 1, 0, 1, 1], bool)
    np.testing.assert_array_equal(spans.limit_runs(mask, 2), jnp.array([0, 1, 1, 0, 1, 0, 0, 0], bool))


def test_the_same_key_gives_the_same():
    keys = jax.random.split(jax.random.key(3), 50)
    first, second = (masks(keys, 33, length=40, mean_span=2.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first, axis=0)) > 40

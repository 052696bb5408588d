"""The next token's draw: filters on hand-worked rows, frequencies against the distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.decode import sampling as s

PROBABILITIES_V = np.array([0.05, 0.4, 0.02, 0.25, 0.2, 0.08], np.float32)
LOGITS_1V = jnp.log(PROBABILITIES_V)[None] + 3.0  # logits are known up to a constant


def kept(logits_1V: jax.Array) -> list[int]:
    return np.flatnonzero(np.isfinite(np.asarray(logits_1V)[0])).tolist()


def frequencies(settings: s.Sampling, logits_1V: jax.Array, allowed_V: np.ndarray, draws: int = 20_000) -> np.ndarray:
    rows = jnp.broadcast_to(logits_1V, (draws, logits_1V.shape[-1]))
    keys = jax.random.split(jax.random.key(7), draws)
    tokens = jax.jit(lambda keys, rows: s.sample(keys, jnp.where(allowed_V[None], rows, -jnp.inf), settings))(
        keys, rows
    )
    assert tokens.dtype == jnp.int32
    return np.bincount(np.asarray(tokens), minlength=logits_1V.shape[-1])


@pytest.mark.parametrize(
    ("settings", "expected_V"),
    [
        (s.Sampling(), PROBABILITIES_V),
        (s.Sampling(temperature=0.5), PROBABILITIES_V**2),
        (s.Sampling(temperature=2.0), PROBABILITIES_V**0.5),
        (s.Sampling(top_k=3), PROBABILITIES_V * [0, 1, 0, 1, 1, 0]),
        (s.Sampling(top_p=0.7), PROBABILITIES_V * [0, 1, 0, 1, 1, 0]),
        (s.Sampling(top_k=4, top_p=0.9), PROBABILITIES_V * [0, 1, 0, 1, 1, 0]),
        # squared, the two likeliest hold 0.82 of the mass: temperature comes before top-p
        (s.Sampling(temperature=0.5, top_p=0.8), PROBABILITIES_V**2 * [0, 1, 0, 1, 0, 0]),
    ],
)
def test_frequencies_follow_the_distribution(settings: s.Sampling, expected_V: np.ndarray) -> None:
    draws = 20_000
    counts_V = frequencies(settings, LOGITS_1V, np.ones(6, bool))
    expected_V = draws * expected_V / expected_V.sum()
    possible_V = expected_V > 0
    assert counts_V[~possible_V].sum() == 0
    chi_square = np.sum((counts_V - expected_V)[possible_V] ** 2 / expected_V[possible_V])
    # 0.999 quantile of chi-square for 1..5 degrees of freedom
    assert chi_square < {1: 10.83, 2: 13.82, 5: 20.52}[possible_V.sum() - 1]


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    # sorted masses: 0.4, 0.65, 0.85, 0.93, 0.98, 1
    for p, expected in [
        (0.01, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.64, [1, 3]),
        (0.66, [1, 3, 4]),
        (0.97, [0, 1, 3, 4, 5]),
    ]:
        assert kept(s.keep_top_p(LOGITS_1V, p)) == expected, p
    assert kept(s.keep_top_p(LOGITS_1V, 1.0)) == list(range(6))


def test_top_p_takes_the_lower_ids_among_equals() -> None:
    assert kept(s.keep_top_p(jnp.zeros((1, 8)), 0.3)) == [0, 1, 2]


def test_top_p_leaves_logits_and_rows_alone() -> None:
    two_2V = jnp.concatenate([LOGITS_1V, LOGITS_1V[:, ::-1]])
    filtered_2V = np.asarray(s.keep_top_p(two_2V, 0.6))
    np.testing.assert_array_equal(filtered_2V[1], filtered_2V[0][::-1])
    np.testing.assert_array_equal(filtered_2V[0, [1, 3]], np.asarray(LOGITS_1V)[0, [1, 3]])


def test_top_k_keeps_ties_with_the_kth() -> None:
    logits_1V = jnp.asarray([[0.0, 2.0, 1.0, 1.0, 3.0, 1.0]])
    assert kept(s.keep_top_k(logits_1V, 1)) == [4]
    assert kept(s.keep_top_k(logits_1V, 2)) == [1, 4]
    assert kept(s.keep_top_k(logits_1V, 3)) == [1, 2, 3, 4, 5]
    assert kept(s.keep_top_k(logits_1V, 100)) == list(range(6))


def test_forbidden_and_padding_ids_are_never_drawn() -> None:
    allowed_V = s.allowed_tokens(rows=6, size=5, forbidden=[1, 3])
    assert allowed_V.tolist() == [True, False, True, False, True, False]
    counts_V = frequencies(s.Sampling(temperature=50.0), LOGITS_1V, allowed_V)
    assert (counts_V > 0).tolist() == allowed_V.tolist()
    # top-k and top-p count what may be drawn only
    counts_V = frequencies(s.Sampling(top_k=2), LOGITS_1V, allowed_V)
    assert np.flatnonzero(counts_V).tolist() == [0, 4]
    assert frequencies(s.GREEDY, LOGITS_1V, allowed_V).tolist() == [0, 0, 0, 0, 20_000, 0]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert frequencies(s.Sampling(temperature=0.0, top_k=4), LOGITS_1V, np.ones(6, bool)).tolist()[1] == 20_000


def test_of_equally_likely_tokens_the_first_is_taken() -> None:
    logits_BV = jnp.asarray([[-2.0, 1.0, 1.0, 0.0], [-jnp.inf, -jnp.inf, -jnp.inf, -3.0], [5.0, 5.0, 5.0, 5.0]])
    assert s.sample(jax.random.split(jax.random.key(0), 3), logits_BV, s.GREEDY).tolist() == [1, 3, 0]


def test_a_row_is_drawn_the_same_whatever_its_neighbours() -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    logits_BV = jax.random.normal(jax.random.key(1), (4, 50))
    settings = s.Sampling(top_k=20, top_p=0.9)
    draw = jax.jit(lambda keys, logits_BV: s.sample(keys, logits_BV, settings))
    together = draw(keys, logits_BV)
    alone = [int(draw(keys[i : i + 1], logits_BV[i : i + 1])[0]) for i in range(4)]
    assert together.tolist() == alone


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": -1.0}, "temperature is -1"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        s.Sampling(**fields)


def test_nothing_left_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="forbidden"):
        s.allowed_tokens(4, 2, forbidden=[0, 1])
    with pytest.raises(ValueError, match="does not fit"):
        s.allowed_tokens(4, 5)

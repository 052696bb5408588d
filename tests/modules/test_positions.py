import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules.layers import normal
from plmjax.modules.positions import LearnedPositions, RelativeBias, Rotary, along_diagonals, relative_buckets


@pytest.mark.parametrize(
    ("bidirectional", "distances", "expected"),
    [
        (True, [0, -1, -7, -8, -12, -16, -32, -64, -127], [0, 1, 7, 8, 9, 10, 12, 14, 15]),
        (True, [1, 7, 8, 127], [17, 23, 24, 31]),
        (False, [-15, -16, -20, -32, -64, -128], [15, 16, 17, 21, 26, 31]),
        (False, [0, 1, 5, 200], [0, 0, 0, 0]),
        (True, [-128, -5000, 128, 5000], [15, 15, 31, 31]),
    ],
)
def test_buckets_have_the_papers_values(bidirectional, distances, expected):
    got = relative_buckets(jnp.asarray(distances), 32, 128, bidirectional)
    assert got.tolist() == expected


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (16, 100), (10, 37)])
def test_buckets_follow_the_formula(buckets, max_distance):
    exact = buckets // 2
    n = np.arange(3 * max_distance)
    with np.errstate(divide="ignore"):
        # A hair over, so that whole powers, where a logarithm may come out one digit short, are not in doubt.
        log = np.log(n / exact) / math.log(max_distance / exact) * (buckets - exact) + 1e-9
    formula = np.where(n < exact, n, np.minimum(exact + np.floor(np.maximum(log, 0)), buckets - 1))
    np.testing.assert_array_equal(relative_buckets(jnp.asarray(-n), buckets, max_distance, False), formula)


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 6), (5, 1), (3, 7), (6, 6)])
def test_along_diagonals(queries, keys):
    values = np.random.default_rng(0).normal(size=(2, queries + keys - 1))
    got = along_diagonals(jnp.asarray(values, jnp.float32), queries, keys)
    want = [[[values[h, t - row + queries - 1] for t in range(keys)] for row in range(queries)] for h in range(2)]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_relative_bias_starts_anywhere(bidirectional):
    bias = RelativeBias(4, 32, 128, bidirectional, normal(1.0))
    variables = bias.init(jax.random.key(0), 1, 1)
    whole = bias.apply(variables, 40, 40)
    part = jax.jit(lambda start: bias.apply(variables, 3, 40, start))(jnp.asarray(20))
    assert whole.shape == (4, 40, 40) and float(jnp.std(whole)) > 0.1
    np.testing.assert_array_equal(part, whole[:, 20:23])


def test_learned_positions_read_the_row_at_their_offset():
    positions = LearnedPositions(6, 4, normal(1.0), offset=2)
    variables = positions.init(jax.random.key(0), None, 1)
    table = variables["params"]["embedding"]
    assert table.shape == (8, 4)
    np.testing.assert_array_equal(positions.apply(variables, None, 3)[0], table[2:5])
    np.testing.assert_array_equal(
        positions.apply(variables, jnp.asarray([[-1, 0, 5]]), 3)[0], table[jnp.array([1, 2, 7])]
    )
    assert bool(jnp.isnan(positions.apply(variables, jnp.asarray([[6]]), 1)).all())
    with pytest.raises(ValueError, match="7 tokens is longer than the network's 6 positions"):
        positions.apply(variables, None, 7)


def test_rotary_products_depend_on_the_distance_alone():
    rng = np.random.default_rng(0)
    q, k = (jnp.asarray(rng.normal(size=(1, 1, 2, 6)), jnp.float32) for _ in range(2))

    def product(query_at, key_at):
        at = lambda position: Rotary.at(jnp.full((1, 1), position), 6, 100.0)  # noqa: E731
        return jnp.sum(at(query_at).rotate(q) * at(key_at).rotate(k), -1)

    np.testing.assert_allclose(product(7, 3), product(14, 10), atol=1e-5)
    assert not np.allclose(product(7, 3), product(3, 7), atol=1e-2)
    np.testing.assert_allclose(product(5, 5), jnp.sum(q * k, -1), atol=1e-5)


def test_rotary_angles_are_the_papers():
    """Pair i of a head's columns turns by m * theta ** (-2 i / K) (Su et al. 2021, Eq. 15)."""
    turned = Rotary.at(jnp.asarray([[3]]), 4, 100.0).rotate(jnp.asarray([[[[1.0, 1.0, 0.0, 0.0]]]]))
    np.testing.assert_allclose(turned[0, 0, 0], [math.cos(3), math.cos(0.3), math.sin(3), math.sin(0.3)], atol=1e-6)


def test_rotary_positions_need_pairs_of_columns():
    with pytest.raises(ValueError, match="a head is 5 wide; make it even"):
        Rotary.at(jnp.zeros((1, 1), jnp.int32), 5, 100.0)

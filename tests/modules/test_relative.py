"""Distances, sinusoids and the shift against their definitions written out with loops."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules.relative import RelativeBiases, distances, relative_logits, relative_shift, sinusoids

SIZES = [(1, 1), (1, 4), (3, 3), (4, 9), (5, 8)]


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_the_shift_brings_each_distance_to_its_pair(queries, keys, causal):
    of_column = np.asarray(distances(queries, keys, causal=causal))
    assert of_column[0] == keys - 1 and of_column[-1] == (0 if causal else 1 - queries)
    # The entry says its query and its distance, so a shift across rows would be seen.
    by_distance = 100.0 * np.arange(queries)[:, None] + of_column[None]
    shifted = np.asarray(relative_shift(jnp.asarray(np.stack([by_distance, -by_distance])), keys))
    assert shifted.shape == (2, queries, keys)
    for row in range(queries):
        for key in range(keys):
            distance = keys - queries + row - key
            if distance >= 0 or not causal:
                assert shifted[0, row, key] == 100 * row + distance == -shifted[1, row, key]


def test_sinusoids_are_sines_then_cosines_and_clamp():
    got = np.asarray(sinusoids(jnp.asarray([3, 0, -2], jnp.int32), 6))
    for i, distance in enumerate((3, 0, -2)):
        angles = [distance / 10000 ** (2 * j / 6) for j in range(3)]
        want = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        np.testing.assert_allclose(got[i], want, atol=1e-6)
    clamped = np.asarray(sinusoids(jnp.asarray([9, 2, -1, -9], jnp.int32), 6, clamp=2))
    np.testing.assert_array_equal(clamped, np.asarray(sinusoids(jnp.asarray([2, 2, -1, -2], jnp.int32), 6)))
    assert sinusoids(jnp.asarray([1], jnp.int32), 5).shape == (1, 5)


@pytest.mark.parametrize(("queries", "keys"), [(3, 3), (4, 7)])
@pytest.mark.parametrize("batch_of_distances", [1, 2])
def test_logits_add_content_and_distance(queries, keys, batch_of_distances):
    rng = np.random.default_rng(0)
    heads, width, count = 2, 5, keys + queries - 1
    q, k = (rng.normal(size=(2, n, heads, width)).astype(np.float32) for n in (queries, keys))
    r = rng.normal(size=(batch_of_distances, count, heads, width)).astype(np.float32)
    u, v = rng.normal(size=(2, heads, width)).astype(np.float32)
    got = relative_logits(*map(jnp.asarray, (q, k, r)), RelativeBiases(jnp.asarray(u), jnp.asarray(v)), 0.5)
    column = {int(d): i for i, d in enumerate(distances(queries, keys))}
    for b in range(2):
        for row in range(queries):
            for key in range(keys):
                place = r[b % batch_of_distances, column[keys - queries + row - key]]
                want = 0.5 * (((q[b, row] + u) * k[b, key]).sum(-1) + ((q[b, row] + v) * place).sum(-1))
                np.testing.assert_allclose(got[b, :, row, key], want, atol=1e-4)
    with pytest.raises(ValueError, match="distances"):
        relative_logits(jnp.asarray(q), jnp.asarray(k), jnp.asarray(r)[:, 1:], RelativeBiases(u, v), 0.5)

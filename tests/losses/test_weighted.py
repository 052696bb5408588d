"""The mergeable mean."""

import jax.numpy as jnp
import numpy as np

from plmjax.losses.weighted import Weighted


def test_parts_merge_to_the_whole():
    rng = np.random.default_rng(0)
    values, weights = jnp.asarray(rng.normal(size=(6, 5))), jnp.asarray(rng.integers(0, 2, (6, 5)), jnp.float32)
    whole = Weighted.of(values, weights)
    merged = Weighted.of(values[:1], weights[:1]) + Weighted.of(values[1:4], weights[1:4])
    merged += Weighted.of(values[4:], weights[4:])
    np.testing.assert_allclose(merged.mean(), whole.mean(), rtol=1e-6)
    np.testing.assert_allclose(whole.mean(), np.average(values, weights=weights), rtol=1e-6)
    assert merged.weight == weights.sum()


def test_the_mean_of_nothing_is_zero():
    assert Weighted.of(jnp.ones(3), jnp.zeros(3)).mean() == 0


def test_a_value_without_weight_may_be_nan():
    assert Weighted.of(jnp.array([jnp.nan, 2.0]), jnp.array([0.0, 1.0])).mean() == 2

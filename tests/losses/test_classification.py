"""Cross-entropy over a few classes."""

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.losses.classification import softmax_cross_entropy


def test_value_accuracy_and_gradient():
    logits = jnp.array([[2.0, 0.0], [0.0, 1.0], [3.0, 3.5]])
    targets, weights = jnp.array([0, 0, 7]), jnp.array([1.0, 0.5, 0.0])
    result = jax.jit(softmax_cross_entropy)(logits, targets, weights)
    expected = np.log1p(np.exp([-2.0, 1.0]))
    np.testing.assert_allclose(result.loss[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(result.total.mean(), (expected[0] + 0.5 * expected[1]) / 1.5, rtol=1e-6)
    np.testing.assert_array_equal(result.correct, [1, 0, 0])
    gradient = jax.jit(jax.grad(lambda x: softmax_cross_entropy(x, targets, weights).total.sum))(logits)
    probability = jax.nn.softmax(logits)
    expected = weights[:, None] * (probability - jnp.array([[1.0, 0], [1, 0], [0, 0]]))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)

"""The adaptive softmax's loss against PyTorch's rule written out with all logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.losses.adaptive import adaptive_cross_entropy
from plmjax.losses.cross_entropy import cross_entropy

B, L, SIZE = 3, 19, 57
BOUNDS = ((0, 12), (12, 30), (30, 60))  # the last three rows stand for no token
WIDTHS = (8, 4, 2)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)

    def array(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    rows = (12 + 2, 18, 30)
    clusters = [
        (array(B, L, width), array(count, width), array(count)) for width, count in zip(WIDTHS, rows, strict=True)
    ]
    targets = jnp.asarray(rng.integers(0, SIZE, (B, L)), jnp.int32)
    weights = jnp.asarray(rng.uniform(size=(B, L)) * (rng.random((B, L)) < 0.7), jnp.float32)
    return clusters, targets, weights


def plain(clusters, targets):
    """-log p of each target: float32 [B, L]."""
    (head, *tails) = [jnp.einsum("ble,ve->blv", h, table) + bias for h, table, bias in clusters]
    head = jax.nn.log_softmax(head)
    log_p = [head[..., :12]]
    for number, logits in enumerate(tails):
        logits = logits[..., : SIZE - BOUNDS[number + 1][0]]
        log_p.append(head[..., 12 + number, None] + jax.nn.log_softmax(logits))
    return -jnp.take_along_axis(jnp.concatenate(log_p, -1), targets[..., None], -1)[..., 0]


def test_loss_and_gradients_are_those_of_the_definition(case):
    clusters, targets, weights = case

    def ours(clusters):
        return adaptive_cross_entropy(clusters, targets, weights, size=SIZE).total.sum

    def theirs(clusters):
        return jnp.sum(weights * plain(clusters, targets))

    (value, grads), (expected, expected_grads) = (jax.value_and_grad(f)(clusters) for f in (ours, theirs))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), grads, expected_grads)
    loss = adaptive_cross_entropy(clusters, targets, weights, size=SIZE)
    seen = weights > 0
    np.testing.assert_allclose(loss.loss[seen], plain(clusters, targets)[seen], rtol=1e-4, atol=1e-4)
    assert float(loss.total.weight) == pytest.approx(float(weights.sum()))


def test_correct_is_the_likeliest_cluster_and_token(case):
    clusters, _, weights = case
    weights = jnp.ones_like(weights)
    head, first, second = (jnp.einsum("ble,ve->blv", h, table) + bias for h, table, bias in clusters)
    best = head.argmax(-1)
    token = jnp.where(best < 12, best, 0)
    token = jnp.where(best == 12, 12 + first.argmax(-1), token)
    token = jnp.where(best == 13, 30 + second[..., : SIZE - 30].argmax(-1), token)
    found = adaptive_cross_entropy(clusters, token, weights, size=SIZE).correct
    assert found.all()
    assert not adaptive_cross_entropy(clusters, (token + 1) % SIZE, weights, size=SIZE).correct.any()


def test_one_cluster_is_the_plain_softmax(case):
    clusters, targets, weights = case
    h, table, bias = clusters[0]
    one = adaptive_cross_entropy(clusters[:1], targets % 13, weights, size=13)
    other = cross_entropy(h, table, bias, targets % 13, weights, size=13)
    np.testing.assert_array_equal(one.loss, other.loss)


def test_chunks_without_targets_are_left_out(case):
    """A NaN in the states of positions that are no target of a tail never reaches the sum."""
    (_, tail, _), targets, weights = case
    is_own = (targets >= 12) & (targets < 30) & (weights > 0)
    broken = jnp.where(is_own[..., None], tail[0], jnp.nan)
    few = jnp.where(jnp.arange(L) < 2, weights, 0.0) * is_own
    order = jnp.argsort(few == 0, axis=-1, stable=True)
    h = jnp.take_along_axis(broken, order[..., None], axis=-2)
    sorted_weights = jnp.take_along_axis(few, order, axis=-1)
    sorted_targets = jnp.take_along_axis(jnp.where(is_own, targets - 12, 0), order, axis=-1)
    loss = cross_entropy(h, tail[1], tail[2], sorted_targets, sorted_weights, size=18, chunk=2, sparse=True)
    assert np.isfinite(loss.loss[:, 2:]).all() and not loss.loss[:, 2:].any()
    assert not loss.correct[:, 2:].any()


def test_clusters_beyond_the_vocabulary_are_refused(case):
    clusters, targets, weights = case
    with pytest.raises(ValueError, match="do not fit a vocabulary of 30 tokens"):
        adaptive_cross_entropy(clusters, targets, weights, size=30)

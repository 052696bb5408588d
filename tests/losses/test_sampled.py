"""Sampled softmax: its candidates' law, its corrections, and the full softmax as its limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.losses.cross_entropy import cross_entropy
from plmjax.losses.sampled import Candidates, draw_candidates, log_uniform, sampled_cross_entropy

B, L, E, V, S = 3, 5, 4, 30, 8


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    h, table, bias = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((B, L, E), (V + 2, E), (V + 2,)))
    targets = jnp.asarray(rng.integers(0, V, (B, L)), jnp.int32)
    return h, table, bias, targets, jnp.asarray(rng.integers(0, 2, (B, L)), jnp.float32)


def everything(order):
    return Candidates(jnp.asarray(order, jnp.int32), jnp.zeros(V))


def test_the_law_is_log_uniform():
    p = np.asarray(log_uniform(V))
    np.testing.assert_allclose(p, [np.log((k + 2) / (k + 1)) / np.log(V + 1) for k in range(V)], rtol=1e-5)
    assert p.sum() == pytest.approx(1, abs=1e-6)


def test_every_word_expected_once_is_the_full_softmax(parts):
    h, table, bias, targets, weights = parts
    all_words = everything(np.random.default_rng(1).permutation(V))
    sampled = lambda h, table, bias: sampled_cross_entropy(h, table, bias, targets, weights, all_words).total.sum  # noqa: E731
    full = lambda h, table, bias: cross_entropy(h, table, bias, targets, weights, size=V).total.sum  # noqa: E731
    one, two = (jax.value_and_grad(f, argnums=(0, 1, 2))(h, table, bias) for f in (sampled, full))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, two)
    np.testing.assert_array_equal(
        sampled_cross_entropy(*parts, all_words).correct, cross_entropy(*parts, size=V).correct
    )


def test_candidates_are_those_of_drawing_on_until_enough():
    """Inclusion frequencies and the number of draws against a rejection sampler in numpy, and expected counts."""
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.vmap(lambda key: draw_candidates(key, S, V))(keys)
    ids = np.asarray(drawn.ids)
    assert all(len(set(row)) == S for row in ids)
    rng, p = np.random.default_rng(0), np.asarray(log_uniform(V), np.float64)
    tries, included = [], np.zeros(V)
    for _ in range(4000):
        found: set[int] = set()
        count = 0
        while len(found) < S:
            found.add(int(rng.choice(V, p=p / p.sum())))
            count += 1
        tries.append(count)
        included[list(found)] += 1
    ours = np.bincount(ids.ravel(), minlength=V) / 4000
    theirs = included / 4000
    error = np.sqrt(theirs * (1 - theirs) / 4000 * 2) + 1e-9
    assert (np.abs(ours - theirs) < 4 * error).all()
    draws = np.log1p(-np.exp(np.asarray(drawn.log_expected)[:, 0].astype(np.float64))) / np.log1p(-p[0])
    assert draws.mean() == pytest.approx(np.mean(tries), abs=4 * np.std(tries) * np.sqrt(2 / 4000))
    assert draws.std() == pytest.approx(np.std(tries), rel=0.1)


def test_the_correction_makes_the_partition_function_right_on_average(parts):
    """Over many draws, the sum of exp(score - log expected count) is that of all words, as near as the counts are."""
    h, table, bias, *_ = parts
    scores = h[0, 0] @ table[:V].T + bias[:V]
    keys = jax.random.split(jax.random.key(1), 4000)

    def estimate(key, corrected):
        drawn = draw_candidates(key, S, V)
        return jnp.sum(jnp.exp(scores[drawn.ids] - corrected * drawn.log_expected[drawn.ids]))

    mean = {flag: float(jnp.mean(jax.vmap(lambda key, f=flag: estimate(key, f))(keys))) for flag in (1.0, 0.0)}
    whole = float(jnp.sum(jnp.exp(scores)))
    assert mean[1.0] == pytest.approx(whole, rel=0.08)
    assert abs(mean[0.0] - whole) > 0.3 * whole


def test_a_candidate_that_is_the_target_is_left_out(parts):
    h, table, bias, targets, weights = parts
    ids = jnp.asarray([int(targets[0, 0]), int(targets[0, 0] + 1) % V], jnp.int32)
    loss = sampled_cross_entropy(h, table, bias, targets, weights, Candidates(ids, jnp.zeros(V))).loss[0, 0]
    scores = h[0, 0] @ table[ids].T + bias[ids]
    assert float(loss) == pytest.approx(float(jax.nn.logsumexp(scores) - scores[0]), rel=1e-5)


def test_more_candidates_than_words_are_refused():
    with pytest.raises(ValueError, match="31 different candidates can't be drawn from 30 words"):
        draw_candidates(jax.random.key(0), V + 1, V)

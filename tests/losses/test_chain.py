"""The chain of tags beside the sum over all rows of tags."""

from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.losses.chain import Chain, likeliest, log_likelihood, log_sum, marginals

TAGS = 3
IS_WORD_BL = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 0, 0, 0, 0]], bool)


@pytest.fixture(scope="module")
def drawn() -> tuple[Chain, np.ndarray, np.ndarray]:
    """A chain, scores of places and tags."""
    rng = np.random.default_rng(0)
    chain = Chain(*(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((TAGS, TAGS), (TAGS,), (TAGS,))))
    scores_BLC = 2 * rng.normal(size=(*IS_WORD_BL.shape, TAGS)).astype(np.float32)
    return chain, scores_BLC, rng.integers(0, TAGS, IS_WORD_BL.shape).astype(np.int32)


def score(chain: Chain, scores_LC: np.ndarray, tags: tuple[int, ...]) -> float:
    """Of the tags of words that follow one another."""
    own = sum(scores_LC[place, tag] for place, tag in enumerate(tags))
    steps = sum(chain.steps[one, other] for one, other in pairwise(tags))
    return float(own + steps + chain.first[tags[0]] + chain.last[tags[-1]])


def test_every_row_of_tags_is_counted(drawn: tuple[Chain, np.ndarray, np.ndarray]) -> None:
    chain, scores_BLC, tags_BL = drawn
    found = [
        np.asarray(jax.jit(rule)(chain, scores_BLC, *rest))
        for rule, rest in (
            (log_sum, (IS_WORD_BL,)),
            (log_likelihood, (tags_BL, IS_WORD_BL)),
            (likeliest, (IS_WORD_BL,)),
            (marginals, (IS_WORD_BL,)),
        )
    ]
    for row, is_word_L in enumerate(IS_WORD_BL):
        words_LC, tags = scores_BLC[row][is_word_L], tuple(tags_BL[row][is_word_L].tolist())
        rows = list(product(range(TAGS), repeat=len(words_LC)))
        scores = np.array([score(chain, words_LC, one) for one in rows])
        total = np.logaddexp.reduce(scores)
        shares = np.exp(scores - total)
        assert found[0][row] == pytest.approx(total, abs=1e-5)
        assert found[1][row] == pytest.approx(score(chain, words_LC, tags) - total, abs=1e-5)
        assert tuple(found[2][row][is_word_L].tolist()) == rows[int(scores.argmax())]
        expected_LC = sum(share * np.eye(TAGS)[list(one)] for one, share in zip(rows, shares, strict=True))
        np.testing.assert_allclose(found[3][row][is_word_L], expected_LC, atol=1e-5)
        assert not found[3][row][~is_word_L].any()


def test_a_row_without_words_is_finite(drawn: tuple[Chain, np.ndarray, np.ndarray]) -> None:
    """A batch is filled up with such rows, whose weight is 0."""
    chain, scores_BLC, tags_BL = drawn
    nothing_BL = np.zeros_like(IS_WORD_BL)
    grads = jax.grad(lambda chain: log_likelihood(chain, scores_BLC, tags_BL, nothing_BL).sum())(chain)
    assert np.isfinite(log_likelihood(chain, scores_BLC, tags_BL, nothing_BL)).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_steps_forbid_what_they_should(drawn: tuple[Chain, np.ndarray, np.ndarray]) -> None:
    """A step that costs too much is never taken, whatever the words say."""
    chain, scores_BLC, _ = drawn
    steps = np.where(np.eye(TAGS, dtype=bool), 0.0, -1e4).astype(np.float32)
    tags_BL = likeliest(chain._replace(steps=steps), scores_BLC, IS_WORD_BL)
    for tags_L, is_word_L in zip(np.asarray(tags_BL), IS_WORD_BL, strict=True):
        assert len(set(tags_L[is_word_L].tolist())) == 1

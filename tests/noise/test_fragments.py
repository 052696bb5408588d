"""MASS's fragments."""

import functools

import jax
import numpy as np
import pytest

from plmjax.noise.fragments import fragment_lengths, fragments_mask, max_hidden
from tests.noise.test_masking import DRAWS, chi_square


@functools.partial(jax.jit, static_argnames=("length", "share", "block", "opening", "start"))
def masks(keys, real, length, share, block=0, opening=0, start="uniform"):
    settings = {"length": length, "share": share, "block": block, "opening": opening, "start": start}
    return jax.vmap(lambda key: fragments_mask(key, real, **settings))(keys)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


def test_lengths():
    assert fragment_lengths(7, 0.5).tolist() == [0, 1, 1, 2, 2, 2, 3, 4]  # half to even, at least 1
    assert fragment_lengths(4, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert fragment_lengths(100, 0.001).tolist() == [0] + [1] * 100
    assert max_hidden(20, 0.5) == 10 and max_hidden(20, 0.5, block=8) == 4 + 4 + 2
    assert max_hidden(20, 0.5, block=8, opening=1) == 4 + 4 + 2 and max_hidden(17, 0.5, block=8, opening=1) == 8
    assert max_hidden(21, 0.5, opening=1) == 10 and max_hidden(9, 1.0, opening=1) == 8


def test_every_start_is_as_likely(keys):
    drawn = np.asarray(masks(keys, 11, 16, 0.4))
    assert (drawn.sum(1) == 4).all() and not drawn[:, 11:].any()
    starts = drawn.argmax(1)
    assert (drawn == (np.arange(16) >= starts[:, None]) & (np.arange(16) < starts[:, None] + 4)).all()
    assert abs(chi_square(np.bincount(starts, minlength=8), DRAWS / 8)) < 3


def test_a_share_of_all_and_of_next_to_nothing(keys):
    assert (np.asarray(masks(keys[:9], 11, 16, 1.0)) == (np.arange(16) < 11)).all()
    assert (np.asarray(masks(keys[:9], 11, 16, 0.001)).sum(1) == 1).all()
    assert not np.asarray(masks(keys[:9], 0, 16, 0.5)).any()


def test_blocks_have_a_fragment_each(keys):
    drawn = np.asarray(masks(keys, 19, 24, 0.5, 8))
    assert (drawn[:, :8].sum(1) == 4).all() and (drawn[:, 8:16].sum(1) == 4).all()
    assert (drawn[:, 16:19].sum(1) == 2).all() and not drawn[:, 19:].any()
    for first, length, size in ((0, 4, 8), (8, 4, 8), (16, 2, 3)):
        starts = drawn[:, first : first + 8].argmax(1)
        assert abs(chi_square(np.bincount(starts, minlength=size - length + 1), DRAWS / (size - length + 1))) < 3


def test_a_fifth_of_the_fragments_at_either_end(keys):
    """As in MASS-unsupNMT (src/trainer.py:765-786), where the middle's draws may lie at an end too."""
    drawn = np.asarray(masks(keys, 12, 16, 0.4, 0, 1, "ends"))
    assert (drawn.sum(1) == 5).all() and not drawn[:, 0].any() and not drawn[:, 12:].any()
    counts = np.bincount(drawn.argmax(1) - 1, minlength=7)
    expected = DRAWS * (0.6 / 7 + 0.2 * np.array([1, 0, 0, 0, 0, 0, 1]))
    assert len(counts) == 7 and abs(chi_square(counts, expected)) < 3


def test_an_opening_is_never_hidden(keys):
    """It counts in the share of the whole text (trainer.py:808-811), and is in no block (masked_dataset.py:52)."""
    whole = np.asarray(masks(keys[:99], 11, 16, 1.0, 0, 1))
    assert (whole == (np.arange(16) > 0) & (np.arange(16) < 11)).all()
    blocks = np.asarray(masks(keys[:99], 19, 24, 0.5, 8, 1))
    assert not blocks[:, 0].any() and (blocks[:, 1:9].sum(1) == 4).all() and (blocks[:, 9:17].sum(1) == 4).all()
    assert (blocks[:, 17:19].sum(1) == 1).all() and not blocks[:, 19:].any()
    assert not np.asarray(masks(keys[:9], 1, 16, 0.5, 0, 1)).any()

"""MASS's fragments."""

import functools

import jax
import numpy as np
import pytest

from plmjax.noise.fragments import fragment_lengths, fragments_mask, max_hidden
from tests.noise.test_masking import DRAWS, chi_square


@functools.partial(jax.jit, static_argnames=("length", "share", "block"))
def masks(keys, real, length, share, block=0):
    return jax.vmap(lambda key: fragments_mask(key, real, length=length, share=share, block=block))(keys)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), DRAWS)


def test_lengths():
    assert fragment_lengths(7, 0.5).tolist() == [0, 1, 1, 2, 2, 2, 3, 4]  # half to even, at least 1
    assert fragment_lengths(4, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert fragment_lengths(100, 0.001).tolist() == [0] + [1] * 100
    assert max_hidden(20, 0.5) == 10 and max_hidden(20, 0.5, block=8) == 4 + 4 + 2


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

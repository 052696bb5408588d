"""UniLM's attention masks on a text of five tokens and two of padding."""

import jax
import numpy as np
import pytest

from plmjax.noise.directions import BOTH_WAYS, LEFT_TO_RIGHT, PREFIX, RIGHT_TO_LEFT, hidden_by

SHOWN = {
    LEFT_TO_RIGHT: ["1......", "11.....", "111....", "1111...", "11111..", "111111.", "1111111"],
    RIGHT_TO_LEFT: ["1111111", ".111111", "..11111", "...1111", "....111", ".....11", "......1"],
    BOTH_WAYS: ["1111111"] * 7,
    PREFIX: ["11.....", "11.....", "111....", "1111...", "11111..", "111111.", "1111111"],
}


@pytest.mark.parametrize("direction", SHOWN)
def test_who_sees_whom(direction):
    hidden = np.asarray(hidden_by(direction, 5, length=7, prefix=0.5))
    np.testing.assert_array_equal(~hidden, [[cell == "1" for cell in row] for row in SHOWN[direction]])


def test_the_prefix_is_its_share_rounded_down():
    sizes = jax.vmap(lambda real: hidden_by(PREFIX, real, length=20, prefix=0.3)[0])(np.arange(21))
    shown = (~np.asarray(sizes)).sum(1)
    np.testing.assert_array_equal(shown, np.maximum([int(n * 3 // 10) for n in range(21)], 1))

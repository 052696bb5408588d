"""The windows that a long context is read in."""

import numpy as np
import pytest

from plmjax.finetune.task_models.question_answering import most_central, windows


@pytest.mark.parametrize(
    ("length", "room", "stride"), [(10, 10, 3), (11, 10, 3), (25, 10, 4), (25, 10, 50), (1, 10, 4)]
)
def test_windows_cover_the_context(length: int, room: int, stride: int) -> None:
    cuts = windows(length, room, stride)
    assert {token for first, last in cuts for token in range(first, last)} == set(range(length))
    assert all(last - first <= room for first, last in cuts)
    assert [first for first, _ in cuts] == [number * min(stride, room) for number in range(len(cuts))]
    central = most_central(cuts, length)
    owners = np.zeros(length, int)
    for (first, last), mine in zip(cuts, central, strict=True):
        owners[first:last] += mine
    assert owners.tolist() == [1] * length  # each token is the affair of one window


def test_the_window_with_more_around_a_token() -> None:
    central = most_central([(0, 6), (4, 10)], 10)
    # Token 4 has one token after it in the first window and none before it in the second.
    assert central[0].tolist() == [True] * 5 + [False]
    assert central[1].tolist() == [False] + [True] * 5

"""The lengths that rows are padded to, which rows make a batch, and in what order."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from plmjax.data.buckets import bucket, bucket_lengths, bucket_of, epoch_plan, sorted_plan

LENGTHS = np.random.default_rng(0).integers(3, 60, 203)


def test_every_row_once_in_each_epoch() -> None:
    for pool in (1, 4, 1000):
        plan = epoch_plan(LENGTHS, 8, pool, seed=1, epoch=0)
        assert sorted(np.concatenate(plan).tolist()) == list(range(203))
        assert sorted(map(len, plan)) == [3] + [8] * 25
        assert len(plan) == -(-203 // 8)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_plan(LENGTHS, 8, 4, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_pools_save_padding() -> None:
    def padded(pool: int) -> int:
        return sum(int(LENGTHS[rows].max()) * len(rows) for rows in epoch_plan(LENGTHS, 8, pool, 0, 0))

    assert padded(8) < 0.8 * padded(1)
    assert sum(int(LENGTHS[rows].max()) * len(rows) for rows in sorted_plan(LENGTHS, 8)) <= padded(1000)


def test_lengths_of_buckets() -> None:
    buckets = bucket_lengths(LENGTHS.tolist(), 77, 4)
    assert len(buckets) <= 4
    assert all(length % 8 == 0 for length in buckets)
    assert buckets[-1] == 80
    assert bucket_of(3, buckets) == buckets[0]
    assert bucket_of(buckets[0] + 1, buckets) == buckets[1]
    assert bucket_of(77, buckets) == 80
    assert bucket_lengths([5, 5, 5], 5, 4) == (8,)
    assert bucket_lengths([5, 5, 5], 5, 1) == (8,)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_other_buckets_leave_less_padding(count: int) -> None:
    lengths = np.minimum(np.random.default_rng(1).geometric(0.05, 300), 90).tolist()
    sizes = sorted({-(-length // 8) * 8 for length in [*lengths, 93]})

    def padded(buckets: Sequence[int]) -> int:
        return sum(bucket_of(length, buckets) for length in lengths)

    found = bucket_lengths(lengths, 93, count)
    assert len(found) <= count
    others = [(*some, sizes[-1]) for some in combinations(sizes[:-1], count - 1)]
    assert padded(found) == min(map(padded, others))


def test_lengths_of_unknown_rows() -> None:
    assert [bucket(length) for length in (0, 1, 16, 17, 32, 33, 100)] == [16, 16, 16, 32, 32, 64, 128]
    assert [bucket(length, smallest=1) for length in (0, 1, 2, 3, 5)] == [1, 1, 2, 4, 8]
    assert [bucket(length, smallest=8, steps=2) for length in (1, 8, 9, 12, 13, 17, 24, 25, 49)] == [
        8, 8, 12, 12, 16, 24, 24, 32, 64,
    ]  # fmt: skip
    assert (bucket(100, most=120), bucket(100, most=0), bucket(100, most=None)) == (120, 128, 128)

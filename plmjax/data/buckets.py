"""Lengths that rows are padded to, so that few programs are compiled, and batches of rows of like length.

`bucket` gives the length for rows that are not known in advance (generation, scoring). Where all rows are known,
`bucket_lengths` finds the lengths that leave the least padding, and the plans say which rows make a batch, in an order
that is a function of (seed, epoch).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

import numpy as np

MULTIPLE = 8  # the lengths that `bucket_lengths` gives are multiples of it


def bucket(length: int, *, smallest: int = 16, steps: int = 1, most: int | None = None) -> int:
    """The length that a row of `length` tokens is padded to.

    Args:
        length: at least 0.
        smallest: the shortest length, a power of two; what is shorter shares a program.
        steps: 1: powers of two (16, 32, 64, ...); 2: those and one between each two (16, 24, 32, 48, 64, ...).
        most: the longest length, such as the network's positions; None or 0: there is none.
    """
    power = max(smallest, 1 << max(length - 1, 0).bit_length())
    between = power * 3 // 4
    found = between if steps == 2 and power > smallest and length <= between else power
    return min(found, most) if most else found


def round_up(length: int) -> int:
    """The next multiple of MULTIPLE."""
    return -(-length // MULTIPLE) * MULTIPLE


def bucket_lengths(lengths: Sequence[int], longest: int, count: int) -> tuple[int, ...]:
    """At most `count` lengths to which batches are filled up, the last of them `longest` at least.

    Of all choices it is the one under which the training rows, each in its bucket, are filled up least.

    Args:
        lengths: of the training rows.
        longest: row of all splits.
        count: of buckets, at least 1.
    """
    sizes, rows = np.unique([*map(round_up, lengths), round_up(longest)], return_counts=True)
    rows[-1] -= 1  # the longest row of all was added, it need not be one to train on
    before = np.concatenate([[0], np.cumsum(rows)])
    # least[i]: (tokens, buckets) where the buckets found so far hold all rows up to sizes[i], the last being sizes[i].
    least: list[tuple[int, tuple[int, ...]]] = [
        (int(before[i + 1] * size), (int(size),)) for i, size in enumerate(sizes)
    ]
    best = least[-1]
    for _ in range(count - 1):
        least = [
            min(
                [
                    least[i],
                    *(
                        (least[p][0] + int((before[i + 1] - before[p + 1]) * size), (*least[p][1], int(size)))
                        for p in range(i)
                    ),
                ]
            )
            for i, size in enumerate(sizes)
        ]
        best = min(best, least[-1])
    return best[1]


def bucket_of(length: int, buckets: Sequence[int]) -> int:
    """The shortest bucket that holds a row."""
    return buckets[bisect.bisect_left(buckets, length)]


def epoch_plan(
    lengths: np.ndarray,
    batch_size: int,
    pool: int,
    seed: int,
    epoch: int,
    draw: Callable[[np.random.Generator], np.ndarray] | None = None,
) -> list[np.ndarray]:
    """The rows of each batch of one pass, int64 indices; the last batch drawn may have fewer.

    The rows are shuffled, or come as `draw` gives them, and are cut into pools of `pool` batches. A pool's rows are
    sorted by length and cut into batches, and the batches of the whole pass are shuffled again. With pool=1 the batches
    are those of the plain order.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths)) if draw is None else draw(rng)
    batches: list[np.ndarray] = []
    size = pool * batch_size
    for start in range(0, len(order), size):
        part = order[start : start + size]
        if pool > 1:
            part = part[np.argsort(lengths[part], kind="stable")]
        # Where a pool is no whole number of batches, the short one has its shortest rows.
        first = len(part) % batch_size
        cuts = range(first, len(part), batch_size)
        batches += [part[:first]] if first else []
        batches += [part[at : at + batch_size] for at in cuts]
    return [batches[index] for index in rng.permutation(len(batches))] if pool > 1 else batches


def sorted_plan(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The rows of each batch where their order means nothing: from the shortest to the longest."""
    order = np.argsort(lengths, kind="stable")
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]

"""Examples as arrays, and batches of them with static shapes.

Legend: B batch, L length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Batch = dict[str, np.ndarray]

NO_EXAMPLE = -1  # the example id of a row that only fills a batch up


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of a batch.

    Attributes:
        example: index of its example; an example may have several rows.
        length: tokens of its longest sequence.
        sequences: arrays whose last axis is filled up to the batch's length.
        values: arrays of the same shape in every row.
        origin: what the host needs to read off a prediction.
    """

    example: int
    length: int
    sequences: Mapping[str, np.ndarray]
    values: Mapping[str, Any] = field(default_factory=dict)
    origin: Any = None


def make_batch(features: Sequence[Feature], rows: int, length: int, padding: Mapping[str, int]) -> Batch:
    """{field: [rows, ...]} of at most `rows` features, filled up to `length` and with empty rows.

    Args:
        features: at least one.
        rows: of the batch.
        length: of the sequences.
        padding: what sequences are filled up with, by field; 0 where it is not named.

    Returns:
        the features' fields, `row_weights` float32 [rows] (0 for rows that only fill up) and `example_ids`, `epochs`
        int32 [rows].
    """
    batch: Batch = {}
    for name, first in features[0].sequences.items():
        out = np.full((rows, *first.shape[:-1], length), padding.get(name, 0), first.dtype)
        for row, feature in enumerate(features):
            value = feature.sequences[name]
            out[row, ..., : value.shape[-1]] = value
        batch[name] = out
    for name, first in features[0].values.items():
        first = np.asarray(first)
        out = np.zeros((rows, *first.shape), first.dtype)
        out[: len(features)] = np.stack([np.asarray(feature.values[name]) for feature in features])
        batch[name] = out
    ids = np.full(rows, NO_EXAMPLE, np.int32)
    ids[: len(features)] = [feature.example for feature in features]
    is_real = (ids != NO_EXAMPLE).astype(np.float32)
    return batch | {"row_weights": is_real, "example_ids": ids, "epochs": np.zeros(rows, np.int32)}

"""Small networks, such as those of docs/results: a higher rate and more epochs than the papers' large ones.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/mini.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | rate 5e-4, up to 10 epochs of 32 rows, early stopping, dropout 0.1 | not measured | not measured |
"""

from collections.abc import Iterator
from typing import Any

from experiments.cells.sweep import grid
from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.train.config import OptimizerConfig


def base() -> FineTune:
    return FineTune(
        name="mini",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.1, patience=3),
        optimizer=OptimizerConfig(learning_rate=5e-4, eps=1e-6, weight_decay=0.01, clip_norm=1.0),
        dropout=0.1,
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base}, variant)


def sweep(variant: str = "base") -> Iterator[dict[str, Any]]:
    """Rates."""
    return grid(optimizer__learning_rate=(2e-4, 5e-4, 1e-3))

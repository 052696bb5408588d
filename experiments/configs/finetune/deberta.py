"""DeBERTa (He et al. 2021, App. A.2): rates and batch sizes chosen for each task, early stopping.

    python -m experiments.finetune --from=DIR --task=mnli --config=experiments/configs/finetune/deberta.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | rate 2e-5, up to 10 epochs of 32 rows | not measured | not measured |
| large | rate 1e-5 | not measured | not measured |
"""

from collections.abc import Iterator
from typing import Any

from experiments.cells.sweep import grid
from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.train.config import OptimizerConfig

RATES = {"base": (1.5e-5, 2e-5, 3e-5, 4e-5), "large": (5e-6, 8e-6, 9e-6, 1e-5)}


def sized(size: str, learning_rate: float) -> FineTune:
    return FineTune(
        name=f"deberta_{size}",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.1, patience=3),
        optimizer=OptimizerConfig(learning_rate=learning_rate, eps=1e-6, weight_decay=0.01, clip_norm=1.0),
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": lambda: sized("base", 2e-5), "large": lambda: sized("large", 1e-5)}, variant)


def sweep(variant: str = "base") -> Iterator[dict[str, Any]]:
    """The paper's grid."""
    return grid(optimizer__learning_rate=RATES[variant], train__batch_size=(16, 32, 48, 64))

"""RoBERTa (Liu et al. 2019, App. C).

    python -m experiments.finetune --from=DIR --task=rte --config=experiments/configs/finetune/roberta.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | up to 10 epochs, warm-up over 6% of the steps, then linear; early stopping | not measured | not measured |
| squad | windows of 384 tokens | not measured | not measured |

Biases and norms decay too, as in fairseq's code.
"""

from collections.abc import Iterator
from typing import Any

from experiments.cells.sweep import grid
from experiments.configs.common import pick
from experiments.configs.finetune.common import in_windows
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.train.config import OptimizerConfig


def base() -> FineTune:
    return FineTune(
        name="roberta",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.06, patience=3),
        optimizer=OptimizerConfig(
            learning_rate=2e-5, b2=0.98, eps=1e-6, weight_decay=0.1, exclude_from_weight_decay="nothing"
        ),
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "squad": lambda: in_windows(base(), 1.5e-5, 2.0, 48)}, variant)


def sweep(variant: str = "base") -> Iterator[dict[str, Any]]:
    """The paper's grid."""
    return grid(optimizer__learning_rate=(1e-5, 2e-5, 3e-5), train__batch_size=(16, 32))

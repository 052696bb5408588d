"""T5 fine-tuned in part (Raffel et al. 2020, Sec. 3.5.1 and Table 10): adapters, and layers that are freed one by one.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/t5_parts.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| all_parameters | Adafactor at 0.001, 2^18 steps of 128 rows, the best of 52 | not measured | not measured |
| adapters_32 | adapters of width 32, the norms and fresh heads move | not measured | not measured |
| adapters_128 | of width 128 | not measured | not measured |
| adapters_512 | of width 512 | not measured | not measured |
| adapters_2048 | of width 2048 | not measured | not measured |
| gradual_unfreezing | from the top layer down, a layer more in each N-th of the steps | not measured | not measured |

The rate and steps serve all of them, as in the paper; those of a small network are in mini.py, to which
--config.train and --config.optimizer can set these too.
"""

from functools import partial
from typing import Any

from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.update_strategies import Adapters, AllParameters, GradualUnfreezing
from plmjax.train.config import OptimizerConfig

WIDTHS = (32, 128, 512, 2048)


def moving(name: str, updates: Any) -> FineTune:
    return FineTune(
        name=f"t5_{name}",
        train=FineTuneTrainConfig(steps=2**18, batch_size=128, warmup_ratio=0.0, eval_every=5_000),
        optimizer=OptimizerConfig(name="adafactor", learning_rate=0.001, schedule="constant"),
        update_strategy=updates,
        dropout=0.1,
    )


def get_config(variant: str = "all_parameters") -> FineTune:
    """The recipe of a variant in the table above."""
    updates: dict[str, Any] = {"all_parameters": AllParameters()}
    updates |= {f"adapters_{width}": Adapters(width) for width in WIDTHS}
    updates |= {"gradual_unfreezing": GradualUnfreezing()}
    return pick({name: partial(moving, name, rule) for name, rule in updates.items()}, variant)

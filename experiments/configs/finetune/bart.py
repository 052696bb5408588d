"""BART (Lewis et al. 2019, Sec. 3.1 and 3.2; rates, batches and the rest from the released commands for GLUE).

    python -m experiments.finetune --from=DIR --task=rte --config=experiments/configs/finetune/bart.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | QNLI, QQP, RTE: rate 1e-5, 10 epochs of 32 rows, warm-up over 6%, then linear | not measured | not measured |
| mnli | rate 5e-6, 128 rows | not measured | not measured |
| sst2 | rate 5e-6, 128 rows | not measured | not measured |
| mrpc | rate 2e-5, 64 rows | not measured | not measured |
| cola | rate 2e-5, 64 rows | not measured | not measured |
| stsb | rate 2e-5, 32 rows | not measured | not measured |
| squad | windows of 384 tokens; RoBERTa's rate, batch and epochs: BART's are not told | not measured | not measured |

As released, the best of the 10 epochs is kept, gradients are not clipped, and biases and norms decay too.
"""

from experiments.configs.common import pick
from experiments.configs.finetune.common import in_windows
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.train.config import OptimizerConfig

# The rates and batches of the released table, by task.
GLUE = {"mnli": (5e-6, 128), "sst2": (5e-6, 128), "mrpc": (2e-5, 64), "cola": (2e-5, 64), "stsb": (2e-5, 32)}


def sized(name: str = "bart", learning_rate: float = 1e-5, batch_size: int = 32) -> FineTune:
    return FineTune(
        name=name,
        train=FineTuneTrainConfig(epochs=10.0, batch_size=batch_size, warmup_ratio=0.06),
        optimizer=OptimizerConfig(
            learning_rate=learning_rate, b2=0.98, eps=1e-8, weight_decay=0.01, exclude_from_weight_decay="nothing"
        ),
        dropout=0.1,
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    glue = {task: lambda task=task, numbers=numbers: sized(f"bart_{task}", *numbers) for task, numbers in GLUE.items()}
    return pick({"base": sized, **glue, "squad": lambda: in_windows(sized(), 1.5e-5, 2.0, 48)}, variant)

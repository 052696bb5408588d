"""GPT-1 (Radford et al. 2018, Sec. 4.1): the language model's loss is trained beside the task's.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/gpt.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | 3 epochs of 32 rows, warm-up over 0.2% of the steps, then linear; lambda 0.5 | not measured | not measured |
| no_lm | the paper's ablation (Table 5): the task's loss alone | not measured | not measured |
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.train.config import OptimizerConfig


def base() -> FineTune:
    return FineTune(
        name="gpt",
        train=FineTuneTrainConfig(epochs=3.0, batch_size=32, warmup_ratio=0.002),
        optimizer=OptimizerConfig(learning_rate=6.25e-5, weight_decay=0.01, clip_norm=1.0),
        lm_weight=0.5,
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "no_lm": lambda: replace(base(), name="gpt_no_lm", lm_weight=0.0)}, variant)

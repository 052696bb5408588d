"""Recipes of fine-tuning, for `experiments.finetune --config=experiments/configs/finetune.py:VARIANT`."""

from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, TrainConfig
from plmjax.train.config import OptimizerConfig


def bert() -> FineTune:
    return FineTune(
        name="bert",
        train=TrainConfig(epochs=3.0, batch_size=32, warmup_share=0.1),
        optimizer=OptimizerConfig(learning_rate=5e-5, eps=1e-6, weight_decay=0.01, bias_correction=True, clip_norm=1.0),
    )


def get_config(variant: str = "bert") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"bert": bert}, variant)

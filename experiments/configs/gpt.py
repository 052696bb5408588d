"""GPT-1 (Radford et al. 2018): causal LM with norms behind the layers.

    python -m experiments.pretrain --config=experiments/configs/gpt.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny    | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| base    | the paper's 117M, batches of 64 x 512 | 8 P600 for a month (paper); not measured | not measured |

The paper trains for 100 epochs of BooksCorpus; set `train.steps` to 100 epochs of your store (the progress line shows
the epoch). Its "modified L2" of 0.01 is AdamW's decoupled decay on matrices.
"""

from dataclasses import replace

from experiments.configs.common import builtin, pick
from plmjax.modules.gpt import VARIANTS
from plmjax.objectives.causal_lm import CausalLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="cosine", weight_decay=0.01)


def base() -> Config:
    return Config(
        name="gpt1",
        model=replace(VARIANTS["gpt1"], dtype="bfloat16"),
        objective=CausalLM(),
        train=TrainConfig(steps=3_000_000, batch_size=64, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=2.5e-4, warmup_steps=2_000),
    )


def tiny() -> Config:
    return Config(
        name="gpt1_tiny",
        model=replace(VARIANTS["gpt1_tiny"]),
        objective=CausalLM(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def get_config(variant: str = "base") -> Config:
    """The run of a variant in the table above."""
    return pick({"tiny": tiny, "base": base}, variant)

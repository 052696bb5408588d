"""GPT-2 (Radford et al. 2019): causal LM with norms before the layers.

    python -m experiments.pretrain                                  # the main job: this file's `builtin`
    python -m experiments.pretrain --config=experiments/configs/gpt2.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| builtin | the main job: the built-in corpus, nothing to download | 2 CPU cores, shared; 4 minutes | 4.529 |
| tiny    | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini    | 3 M words of English, see docs/results | 2 CPU cores, shared; 10 minutes | 4.941 |
| mini_512 | mini that reads 512 tokens, for experiments.evaluate | 2 CPU cores, shared; 12 minutes | 4.816 |
| small   | 124M | 8 A100 or TPU v3-32; not measured | not measured |
| medium  | 355M | TPU v3-64; not measured | not measured |
| large   | 774M | TPU v3-128; not measured | not measured |
| xl      | 1.5B | TPU v3-256; not measured | not measured |

The paper gives sizes, batch (512 x 1024 tokens) and data, but neither learning rates nor the number of steps: small to
xl use GPT-3's for the same sizes (Brown et al. 2020, Table 2.1 and App. B: cosine to 10%, warm-up 375 M tokens, 300 B
tokens).
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.checkpoints.config import CheckpointConfig
from plmjax.modules.gpt import VARIANTS
from plmjax.objectives.causal_lm import CausalLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw", schedule="cosine", final_scale=0.1, b1=0.9, b2=0.95, weight_decay=0.1, clip_norm=1.0
)


def paper(size: str, learning_rate: float, microbatches: int) -> Config:
    return Config(
        name=f"gpt2_{size}",
        model=replace(VARIANTS[f"gpt2_{size}"], dtype="bfloat16", remat=size != "small"),
        objective=CausalLM(),
        train=TrainConfig(
            steps=572_000, batch_size=512, length=1024, microbatches=microbatches, log_every=100, eval_every=2_000
        ),
        optimizer=replace(ADAM, learning_rate=learning_rate, warmup_steps=715, decay_steps=496_000),
    )


def main_job() -> Config:
    return Config(
        name="gpt2_builtin",
        model=replace(
            VARIANTS["mini"],
            num_layers=2,
            num_heads=4,
            d_model=128,
            d_ff=512,
            max_positions=128,
            dropout=0.0,
            attention_dropout=0.0,
        ),
        objective=CausalLM(),
        data=builtin(),
        train=TrainConfig(steps=1_000, batch_size=8, length=128, log_every=50, eval_every=250),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=100),
        checkpoint=CheckpointConfig(every_steps=250),
    )


def tiny() -> Config:
    return Config(
        name="gpt2_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=CausalLM(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="gpt2_mini",
        model=replace(
            VARIANTS["mini"],
            num_layers=4,
            num_heads=4,
            d_model=128,
            d_ff=512,
            max_positions=256,
            dropout=0.0,
            attention_dropout=0.0,
        ),
        objective=CausalLM(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=2_500, batch_size=8, length=128, log_every=50, eval_every=500),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=200),
    )


def mini_512() -> Config:
    config = mini()
    config.name = "gpt2_mini_512"
    config.model = replace(config.model, max_positions=512)
    config.train = replace(config.train, steps=3_500, batch_size=4, length=512)
    return config


def get_config(variant: str = "builtin") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "builtin": main_job,
        "tiny": tiny,
        "mini": mini,
        "mini_512": mini_512,
        "small": lambda: paper("small", 6e-4, 1),
        "medium": lambda: paper("medium", 3e-4, 2),
        "large": lambda: paper("large", 2.5e-4, 4),
        "xl": lambda: paper("xl", 2e-4, 8),
    }
    return pick(variants, variant)

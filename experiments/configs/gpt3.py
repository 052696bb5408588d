"""GPT-3 (Brown et al. 2020): GPT-2 with dense and locally banded layers in turn, a batch that grows, a longer context.

    python -m experiments.pretrain --config=experiments/configs/gpt3.py:mini
    python -m experiments.pretrain --config=experiments/configs/gpt3.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini   | 3 M words of English, see docs/results; bands of 32 tokens | 2 CPU cores, shared; 6 minutes | 4.991 |
| small  | 125M, 0.5M tokens a step | TPU v3-64; not measured | not measured |
| medium | 350M, 0.5M tokens | TPU v3-128; not measured | not measured |
| large  | 760M, 0.5M tokens | TPU v3-256; not measured | not measured |
| xl     | 1.3B, 1M tokens | TPU v4-256; not measured | not measured |
| 2.7b   | 2.7B, 1M tokens | TPU v4-512; not measured | not measured |
| 6.7b   | 6.7B, 2M tokens | TPU v4-1024; not measured | not measured |
| 13b    | 13B, 2M tokens | TPU v4-1024; not measured | not measured |
| 175b   | 175B, 3.2M tokens | TPU v4-4096; not measured | not measured |

Rates and batches are Table 2.1's, the rest App. B's: Adam with b2 .95, clipping at 1, decay .1, a warm-up of 375M
tokens, a cosine to a tenth over 260B, 300B in all, and a batch that grows from 32k tokens over the first 4 to 12
billion (here 4 for the smallest four, 8 for the next two, 12 for the last; the paper does not say which). Documents
follow each other with an end token between and no mask. The width of the bands is not in the paper: 256 is GPT-Neo's.
From xl on the parameters need splitting: --config.mesh.fsdp=16, for one.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, pick
from plmjax.checkpoints.config import CheckpointConfig
from plmjax.modules.gpt3 import VARIANTS
from plmjax.objectives.causal_lm import CausalLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig
from plmjax.train.ramp import make_ramp

ADAM = OptimizerConfig(
    name="adamw", schedule="cosine", final_scale=0.1, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, clip_norm=1.0
)
LENGTH = 2048
WARMUP, DECAY, TOTAL = 375_000_000, 260_000_000_000, 300_000_000_000  # tokens
FIRST_BATCH = 32 * 1024  # tokens


def paper(size: str, batch: float, learning_rate: float, ramp: float) -> Config:
    """A row of Table 2.1; `batch` and `ramp` in tokens."""
    first = FIRST_BATCH // LENGTH
    rows = round(batch / LENGTH / first) * first  # a multiple of the first batch
    tokens = rows * LENGTH
    train = TrainConfig(
        batch_size=rows, length=LENGTH, ramp_batch_size=first, ramp_tokens=int(ramp), log_every=100, eval_every=2_000,
        eval_batch_size=first * 4,
    )  # fmt: skip
    last = make_ramp(train).stages[-1]
    train.steps = last.first_step + (TOTAL // LENGTH - last.first_example) // rows
    return Config(
        name=f"gpt3_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16", remat=True),
        objective=CausalLM(),
        train=train,
        optimizer=replace(
            ADAM, learning_rate=learning_rate, warmup_steps=WARMUP // tokens, decay_steps=DECAY // tokens
        ),
        checkpoint=CheckpointConfig(every_steps=2_000),
    )


def mini() -> Config:
    return Config(
        name="gpt3_mini",
        model=replace(VARIANTS["mini"]),
        objective=CausalLM(),
        data=replace(ENGLISH),
        train=TrainConfig(
            steps=2_600, batch_size=8, length=128, ramp_batch_size=2, ramp_tokens=200_000, log_every=50, eval_every=500
        ),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=200),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "mini": mini,
        "small": lambda: paper("small", 0.5e6, 6e-4, 4e9),
        "medium": lambda: paper("medium", 0.5e6, 3e-4, 4e9),
        "large": lambda: paper("large", 0.5e6, 2.5e-4, 4e9),
        "xl": lambda: paper("xl", 1e6, 2e-4, 4e9),
        "2.7b": lambda: paper("2.7b", 1e6, 1.6e-4, 8e9),
        "6.7b": lambda: paper("6.7b", 2e6, 1.2e-4, 8e9),
        "13b": lambda: paper("13b", 2e6, 1e-4, 12e9),
        "175b": lambda: paper("175b", 3.2e6, 0.6e-4, 12e9),
    }
    return pick(variants, variant)

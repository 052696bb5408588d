"""BERT (Devlin et al. 2018): masked LM and next-sentence prediction on pairs of segments.

    python -m experiments.pretrain --config=experiments/configs/bert.py:VARIANT --config.data.store=STORE

| variant   | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny      | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini      | 3 M words of English, see docs/results | 2 CPU cores, shared; 15 minutes | masked LM 5.933 (NSP 0.523) |
|           | with train.steps=14000, train.batch_size=16 | 1 CPU core, 22 minutes | masked LM 5.248 (NSP 0.444) |
| base      | the paper's first phase: 900,000 steps of 256 x 128 | TPU v3-32; not measured | not measured |
| base_512  | the second: 100,000 steps at 512, `--init_from` the first | as base; not measured | not measured |
| large     | as base, 24 layers of 1024 | TPU v3-128; not measured | not measured |
| large_512 | as base_512 | as large; not measured | not measured |

The paper trains 90% of the steps at length 128 and 10% at 512, under one learning rate that falls linearly to 0 at step
1,000,000; the second phase goes on with that line, and with the optimizer's moments (`train.carry_optimizer`), as the
released code does in one folder. AdamW without bias correction, decay 0.01, clipping at 1 (released code). The released
data repeated ten prepared pairings and masks (`window.duplicates=10`, `static=True`); here pairs are prepared ten times
as well, and masks are drawn anew in each epoch.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.data.windows import SegmentPair
from plmjax.modules.bert import VARIANTS
from plmjax.objectives.bert import BertPretraining
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw",
    schedule="linear",
    eps=1e-6,
    weight_decay=0.01,
    bias_correction=False,
    clip_norm=1.0,
)


def paper(size: str, length: int) -> Config:
    """One phase of the paper's run."""
    first = length == 128
    return Config(
        name=f"bert_{size}" if first else f"bert_{size}_512",
        model=replace(VARIANTS[size], dtype="bfloat16"),
        objective=BertPretraining(window=SegmentPair(duplicates=10)),
        train=TrainConfig(
            steps=900_000 if first else 100_000,
            batch_size=256,
            length=length,
            carry_optimizer=not first,
            log_every=100,
            eval_every=10_000,
        ),
        optimizer=replace(
            ADAM,
            learning_rate=1e-4 if first else 1e-5,
            warmup_steps=10_000 if first else 0,
            decay_steps=1_000_000 if first else 100_000,
        ),
    )


def tiny() -> Config:
    return Config(
        name="bert_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=BertPretraining(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="bert_mini",
        model=replace(
            VARIANTS["base"],
            num_layers=2,
            num_heads=2,
            d_model=128,
            d_ff=512,
            max_positions=128,
            dropout=0.0,
            attention_dropout=0.0,
            init_std=0.05,  # base's 0.02 times sqrt(768 / 128): queries and keys start as large as base's
        ),
        objective=BertPretraining(window=SegmentPair(duplicates=4)),
        data=replace(ENGLISH),
        train=TrainConfig(steps=2_000, batch_size=32, length=64, log_every=50, eval_every=250),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=200, b2=0.98, bias_correction=True),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": mini,
        "base": lambda: paper("base", 128),
        "base_512": lambda: paper("base", 512),
        "large": lambda: paper("large", 128),
        "large_512": lambda: paper("large", 512),
    }
    return pick(variants, variant)

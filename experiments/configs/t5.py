"""T5 1.0 (Raffel et al. 2020): span corruption on an encoder-decoder.

    python -m experiments.pretrain --config=experiments/configs/t5.py:VARIANT --config.data.store=STORE

| variant  | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny     | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini     | 3 M words of English, see the README | 2 CPU cores, shared; 17 minutes | 4.658 |
| baseline | Sec. 3.1: base, i.i.d. noise, 524,288 steps of 128 x 512 | TPU v3-32; not measured | not measured |
| small, base, large, 3b, 11b | 1,000,000 steps of 2,048 x 512, spans | TPU v3-64 to 1024; not measured | not measured |

Adafactor with the learning rate 1/sqrt(max(step, 10^4)), z-loss 1e-4, dropout 0.1. The released models saw supervised
tasks in the same batches; these configs pre-train on the unlabelled text alone.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.t5 import VARIANTS
from plmjax.objectives.span_corruption import SpanCorruption
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAFACTOR = OptimizerConfig(name="adafactor", schedule="rsqrt", learning_rate=0.01, warmup_steps=10_000)


def paper(size: str) -> Config:
    return Config(
        name=f"t5_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16", remat=size in ("large", "3b", "11b")),
        objective=SpanCorruption(),
        train=TrainConfig(steps=1_000_000, batch_size=2048, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAFACTOR),
    )


def baseline() -> Config:
    config = paper("base")
    config.name = "t5_baseline"
    config.objective = SpanCorruption(noise="iid")
    config.train = replace(config.train, steps=2**19, batch_size=128)
    return config


def tiny() -> Config:
    return Config(
        name="t5_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=SpanCorruption(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAFACTOR, warmup_steps=1000),
    )


def mini() -> Config:
    return Config(
        name="t5_mini",
        model=replace(
            VARIANTS["small"],
            num_layers=2,
            num_decoder_layers=2,
            num_heads=4,
            d_model=128,
            d_kv=32,
            d_ff=512,
            dropout=0.0,
        ),
        objective=SpanCorruption(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_500, batch_size=16, length=128, log_every=50, eval_every=250),
        optimizer=replace(ADAFACTOR, warmup_steps=1000),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    sizes = {size: (lambda size=size: paper(size)) for size in ("small", "base", "large", "3b", "11b")}
    return pick({"tiny": tiny, "mini": mini, "baseline": baseline, **sizes}, variant)

"""ALBERT (Lan et al. 2020): shared layers, narrow embeddings, n-grams masked and the order of two segments.

    python -m experiments.pretrain --config=experiments/configs/albert.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, four shared layers | 2 CPU cores, shared; 4 minutes | 6.077 (sentence order 0.664) |
| base, large, xlarge, xxlarge | 125,000 steps of 4,096 x 512 | TPU v3-64 to v3-1024; not measured | not measured |
| base_v2, large_v2, xlarge_v2 | the same without dropout, as released later | as base; not measured | not measured |

LAMB with rate 0.00176, linear decay, 3,125 steps of warm-up, decay 0.01, clipping at 1, as in the released code: no
correction of the moments' bias, no trust ratio for biases and norms (the paper names LAMB, whose own Algorithm 2 has
both: --config.optimizer.bias_correction --config.optimizer.exclude_from_layer_adaptation=nothing). mini has AdamW, as
LAMB of either rule leaves it at the unigram entropy (docs/results/encoders.md). What the layers share is
`model.sharing` (none, attention, feed_forward, all; the paper's Table 4), the embeddings' width `model.embedding_width`
(Table 3). The released data repeated 40 preparations of the text (`window.duplicates`), and have a random text as the
wrong order where a segment has one sentence (`window.lone_sentence=random`).
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.data.windows import SentenceOrderPair
from plmjax.modules.albert import VARIANTS
from plmjax.objectives.albert import AlbertPretraining
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

LAMB = OptimizerConfig(
    name="lamb",
    schedule="linear",
    learning_rate=0.00176,
    warmup_steps=3_125,
    eps=1e-6,
    bias_correction=False,
    weight_decay=0.01,
    clip_norm=1.0,
)
ADAM = replace(LAMB, name="adamw", learning_rate=1.5e-3, warmup_steps=200, b2=0.98, bias_correction=True)


def paper(size: str) -> Config:
    return Config(
        name=f"albert_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16"),
        objective=AlbertPretraining(window=SentenceOrderPair(duplicates=40)),
        train=TrainConfig(steps=125_000, batch_size=4_096, length=512, log_every=100, eval_every=5_000),
        optimizer=replace(LAMB),
    )


def tiny() -> Config:
    return Config(
        name="albert_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=AlbertPretraining(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="albert_mini",
        model=replace(
            VARIANTS["base"],
            num_layers=4,
            num_heads=2,
            d_model=128,
            d_ff=512,
            embedding_width=64,
            max_positions=128,
            dropout=0.0,
            attention_dropout=0.0,
            init_std=0.05,
        ),
        objective=AlbertPretraining(window=SentenceOrderPair(duplicates=4)),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_200, batch_size=32, length=64, log_every=100, eval_every=250),
        optimizer=replace(ADAM, warmup_steps=100),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    sizes = ("base", "large", "xlarge", "xxlarge", "base_v2", "large_v2", "xlarge_v2")
    return pick({"tiny": tiny, "mini": mini} | {size: lambda size=size: paper(size) for size in sizes}, variant)

"""DeBERTa (He et al. 2021): attention to content and distance apart, absolute positions at the end.

    python -m experiments.pretrain --config=experiments/configs/deberta.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, see docs/results | a third of a CPU core; 20 minutes | 5.448 |
| mini_no_emd, mini_no_c2p, mini_no_p2c | the ablations of the paper's Table 4 | as mini | not measured |
| base, large | 1M steps of 2,048 x 512, 78 GB of text | 64 and 96 V100 in the paper; not measured | not measured |
| v2_xlarge, v2_xxlarge | version 2's sizes under the same recipe | not measured | not measured |

AdamW, rate 2e-4, linear decay after 10,000 steps, decay 0.01, epsilon 1e-6, clipping at 1 (paper, Table 9). Masking is
the released code's: one run of up to three words in each window of words, cut from the left at 15%
(`masking.strategy=ngram_windows`); the paper says SpanBERT's spans of up to three
(`masking.strategy=spans`, `masking.strategies.spans.longest=3`). The enhanced mask decoder runs the last layer twice
(paper and code). Hugging Face's classes have no enhanced mask decoder: a network with one is exported without its token
head, and with it under `model.enhanced_mask_decoder=False`.
"""

from dataclasses import replace
from typing import Any

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.deberta import VARIANTS
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw",
    schedule="linear",
    learning_rate=2e-4,
    warmup_steps=10_000,
    eps=1e-6,
    weight_decay=0.01,
    clip_norm=1.0,
)
SMALL: dict[str, Any] = {
    "num_layers": 2, "num_heads": 2, "d_model": 128, "d_ff": 512, "max_positions": 128, "relative_span": 128,
    "dropout": 0.0, "attention_dropout": 0.0, "init_std": 0.05,
}  # fmt: skip


def objective() -> MaskedLM:
    return MaskedLM(masking=Masking(strategy="ngram_windows"))


def paper(size: str) -> Config:
    return Config(
        name=f"deberta_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16"),
        objective=objective(),
        train=TrainConfig(steps=1_000_000, batch_size=2_048, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM),
    )


def tiny() -> Config:
    return Config(
        name="deberta_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=objective(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini(name: str = "deberta_mini", **changes: Any) -> Config:
    return Config(
        name=name,
        model=replace(VARIANTS["base"], **(SMALL | changes)),
        objective=objective(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_200, batch_size=16, length=64, log_every=100, eval_every=300),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, b2=0.98),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    sizes = ("base", "large", "v2_xlarge", "v2_xxlarge")
    variants = {
        "tiny": tiny,
        "mini": mini,
        "mini_no_emd": lambda: mini("deberta_mini_no_emd", enhanced_mask_decoder=False),
        "mini_no_c2p": lambda: mini("deberta_mini_no_c2p", position_terms=("p2c",)),
        "mini_no_p2c": lambda: mini("deberta_mini_no_p2c", position_terms=("c2p",)),
    }
    return pick(variants | {size: lambda size=size: paper(size) for size in sizes}, variant)

"""T5 1.0 (Raffel et al. 2020): span corruption on an encoder-decoder.

    python -m experiments.pretrain --config=experiments/configs/t5.py:VARIANT --config.data.store=STORE

| variant  | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny     | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini     | 3 M words of English, see docs/results | 2 CPU cores, shared; 17 minutes | 4.658 |
| baseline | Sec. 3.1: base, i.i.d. noise, 524,288 steps of 128 x 512 | TPU v3-32; not measured | not measured |
| mini_bert_style | as mini, Table 4's and 5's BERT-style noise | 300 steps: 46 s of CPU | 5.742 after 300 (6.229) |
| mini_mass_style | Table 5's simpler one | 300 steps: 43 s of CPU | 5.745 after 300 (6.229) |
| mini_deshuffling | Table 4's deshuffling | 300 steps: 42 s of CPU | 5.670 after 300 (6.229) |
| mini_drop | Table 5's dropped tokens | 300 steps: 33 s of CPU | 6.235 after 300 (5.574) |
| mini_prefix_lm | Table 4's prefix LM | 2 CPU cores, shared; not measured | not measured |
| mini_iid | i.i.d. noise, the baseline of the tables | 2 CPU cores, shared; not measured | not measured |
| mini_rate_10, mini_rate_25, mini_rate_50 | Table 6's rates | 2 CPU cores, shared; not measured | not measured |
| mini_span_2, mini_span_3, mini_span_5, mini_span_10 | Table 7's spans | 2 CPU cores; not measured | not measured |
| baseline_bert_style, baseline_mass_style | Tables 4 and 5 at full size | TPU v3-32; not measured | not measured |
| baseline_deshuffling, baseline_drop, baseline_prefix_lm | the same | TPU v3-32; not measured | not measured |
| baseline_rate_10, baseline_rate_25, baseline_rate_50 | Table 6 | TPU v3-32; not measured | not measured |
| baseline_span_2, baseline_span_3 | Table 7 | TPU v3-32; not measured | not measured |
| baseline_span_5, baseline_span_10 | Table 7 | TPU v3-32; not measured | not measured |
| small, base, large, 3b, 11b | 1,000,000 steps of 2,048 x 512, spans | TPU v3-64 to 1024; not measured | not measured |

Adafactor with the learning rate 1/sqrt(max(step, 10^4)), z-loss 1e-4, dropout 0.1. The released models saw supervised
tasks in the same batches; these configs pre-train on the unlabelled text alone. The baselines have the room for
targets that the released configurations give them, though 103 tokens at a rate of 10% cut many examples. At 50%, 512
tokens have more runs of noise than T5 has sentinels, and the released code takes ordinary pieces for the others: here
baseline_rate_50 needs a tokenizer with 130 (experiments.prepare --sentinels=130).

"300 steps": with --config.train.steps=300 --config.train.length=64 --config.train.batch_size=8
--config.optimizer.warmup_steps=300, the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.t5 import VARIANTS
from plmjax.objectives.prefix_lm import PrefixLM
from plmjax.objectives.span_corruption import SpanCorruption
from plmjax.objectives.t5_styles import BertStyle, Deshuffling, DropTokens, MassStyle
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAFACTOR = OptimizerConfig(name="adafactor", schedule="rsqrt", learning_rate=0.01, warmup_steps=10_000)


# What Tables 4 to 7 compare, by name; the second number of a rate is the released room for targets at 512 tokens.
STYLES: dict[str, Callable[[], Any]] = {
    "bert_style": BertStyle,
    "mass_style": MassStyle,
    "deshuffling": Deshuffling,
    "drop": DropTokens,
    "prefix_lm": PrefixLM,
}
RATES = {10: 103, 25: 256, 50: 512}
SPANS = (2, 3, 5, 10)


def paper(size: str) -> Config:
    return Config(
        name=f"t5_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16", remat=size in ("large", "3b", "11b")),
        objective=SpanCorruption(),
        train=TrainConfig(steps=1_000_000, batch_size=2048, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAFACTOR),
    )


def baseline(name: str = "baseline", objective: Any = None) -> Config:
    config = paper("base")
    config.name = f"t5_{name}"
    config.objective = objective or SpanCorruption(noise="iid")
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


def mini(name: str = "mini", objective: Any = None) -> Config:
    return Config(
        name=f"t5_{name}",
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
        objective=objective or SpanCorruption(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_500, batch_size=16, length=128, log_every=50, eval_every=250),
        optimizer=replace(ADAFACTOR, warmup_steps=1000),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    sizes = {size: (lambda size=size: paper(size)) for size in ("small", "base", "large", "3b", "11b")}
    return pick({"tiny": tiny, "mini": mini, "baseline": baseline, **compared(), **sizes}, variant)


def compared() -> dict[str, Callable[[], Config]]:
    """The runs of Tables 4 to 7, small and at the size of the paper."""
    runs: dict[str, Callable[[], Config]] = {"mini_iid": lambda: mini("mini_iid", SpanCorruption(noise="iid"))}
    for size, run in (("mini", mini), ("baseline", baseline)):
        for name, make in STYLES.items():
            runs[f"{size}_{name}"] = partial(_compared, run, f"{size}_{name}", make)
        for rate, room in RATES.items():
            make = partial(
                SpanCorruption,
                noise="iid",
                density=rate / 100,
                targets_length=room if size == "baseline" else None,
            )
            runs[f"{size}_rate_{rate}"] = partial(_compared, run, f"{size}_rate_{rate}", make)
        for length in SPANS:
            make = partial(SpanCorruption, mean_span=float(length))
            runs[f"{size}_span_{length}"] = partial(_compared, run, f"{size}_span_{length}", make)
    return runs


def _compared(run: Callable[[str, Any], Config], name: str, make: Callable[[], Any]) -> Config:
    objective = make()
    if name == "baseline_drop":
        objective.targets_length = 104
    return run(name, objective)

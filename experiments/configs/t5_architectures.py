"""T5's architectures (Raffel et al. 2020, Sec. 3.2, Table 2): five networks under denoising and the LM objective.

    python -m experiments.pretrain --config=experiments/configs/t5_architectures.py:VARIANT --config.data.store=STORE

P: the parameters of a stack of 12 layers; M: the FLOPs of 12 + 12 layers on an example. `python -m
experiments.architectures` counts both. mini_ instead of base_ has 2 layers for 12, at 128 for 768.

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| base_encoder_decoder_denoising, base_encoder_decoder_lm | 12 + 12 layers: 2P, M | not measured | not measured |
| base_shared_denoising, base_shared_lm | one stack of 12 reads both sides: P, M | not measured | not measured |
| base_half_denoising, base_half_lm | 6 + 6 layers: P, M/2 | not measured | not measured |
| base_decoder_denoising, base_decoder_lm | a language model of 12 layers: P, M | not measured | not measured |
| base_prefix_decoder_denoising, base_prefix_decoder_lm | a prefix LM of 12 layers: P, M | not measured | not measured |
| mini_encoder_decoder_denoising | as base_'s, 3 M words of English | 2 CPU cores | not measured |
| mini_shared_denoising | | 2 CPU cores | not measured |
| mini_half_denoising | | 2 CPU cores | not measured |
| mini_decoder_denoising | | 2 CPU cores | not measured |
| mini_prefix_decoder_denoising | | 2 CPU cores | not measured |
| mini_encoder_decoder_lm | | 2 CPU cores | not measured |
| mini_shared_lm | | 2 CPU cores | not measured |
| mini_half_lm | | 2 CPU cores | not measured |
| mini_decoder_lm | | 2 CPU cores | not measured |
| mini_prefix_decoder_lm | | 2 CPU cores | not measured |

Denoising is the baseline's: i.i.d. noise on 15% of the tokens, runs of it replaced by sentinels. A decoder reads inputs
and targets in one row and learns the targets alone. The LM objective cuts a text in two and learns the second part from
the first; the language model learns the whole text. The paper trains for 2^19 steps of 128 x 512 tokens, then
fine-tunes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from experiments.configs import t5
from experiments.configs.common import ENGLISH, pick
from plmjax.modules import t5_lm, t5_shared
from plmjax.modules.t5 import T5Config
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.prefix_lm import PrefixLM
from plmjax.objectives.span_corruption import SpanCorruption
from plmjax.train.config import Config, TrainConfig

Z_LOSS = 1e-4  # T5's, on the language model too


def _halved(config: T5Config) -> T5Config:
    return replace(config, num_layers=config.num_layers // 2, num_decoder_layers=config.num_decoder_layers // 2)


# The networks of a size, in the order of Table 2.
NETWORKS: dict[str, Callable[[str], Any]] = {
    "encoder_decoder": lambda size: t5.mini().model if size == "mini" else replace(t5.VARIANTS[size]),
    "shared": lambda size: replace(t5_shared.VARIANTS[size]),
    "half": lambda size: _halved(NETWORKS["encoder_decoder"](size)),
    "decoder": lambda size: replace(t5_lm.VARIANTS[size]),
    "prefix_decoder": lambda size: replace(t5_lm.PREFIX_VARIANTS[size]),
}
OBJECTIVES: dict[str, Callable[[str], Any]] = {
    "denoising": lambda network: SpanCorruption(noise="iid"),
    "lm": lambda network: CausalLM(z_loss=Z_LOSS) if network == "decoder" else PrefixLM(z_loss=Z_LOSS),
}


def run(size: str, network: str, objective: str) -> Config:
    """One row of Table 2."""
    is_mini = size == "mini"
    model = NETWORKS[network](size)
    model.dropout, model.dtype = (0.0, "float32") if is_mini else (model.dropout, "bfloat16")
    mini = TrainConfig(steps=400, batch_size=8, length=64, log_every=50, eval_every=200, eval_batches=60)
    base = TrainConfig(steps=2**19, batch_size=128, length=512, log_every=100, eval_every=10_000)
    config = Config(
        name=f"t5_{size}_{network}_{objective}",
        model=model,
        objective=OBJECTIVES[objective](network),
        train=mini if is_mini else base,
        optimizer=replace(t5.ADAFACTOR, warmup_steps=1_000 if is_mini else 10_000),
    )
    if is_mini:
        config.data = replace(ENGLISH)
    return config


def get_config(variant: str = "mini_prefix_decoder_denoising") -> Config:
    """The run of a variant in the table above."""
    variants: dict[str, Callable[[], Config]] = {
        f"{size}_{network}_{objective}": partial(run, size, network, objective)
        for size in ("mini", "base")
        for objective in OBJECTIVES
        for network in NETWORKS
    }
    return pick(variants, variant)

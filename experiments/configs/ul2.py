"""UL2 (Tay et al. 2022): a mixture of denoisers with mode tokens, on an encoder-decoder or a decoder.

    python -m experiments.prepare --input=TEXT --output=STORE --extra_tokens='[R],[S],[X]'
    python -m experiments.pretrain --config=experiments/configs/ul2.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny         | T5 on the built-in corpus, to see it run | 300 steps: 47 s of CPU | 6.174 after 300 (6.025) |
| tiny_decoder | a decoder that sees its prefix whole, the same | 2 CPU cores, shared | 6.310 after 100 (6.025) |
| mini         | T5 on 3 M words of English, prepared so: runs/english_ul2 | 2 CPU cores | not measured |
| mini_decoder | the same on a decoder | 2 CPU cores | not measured |
| base         | T5 1.1 base, 500,000 steps of 128 x 512 | TPU v3-32; not measured | not measured |
| base_decoder | the same on a decoder of base's size | TPU v3-32; not measured | not measured |

The seven denoisers are as likely; --config.objective.denoisers[2].weight=6 draws the prefix LM half of the time, which
the paper tries too. At 512 tokens, half of them hidden in spans of 3, a text has 127 spans: prepare the store with
--sentinels=128. Validation gives the loss of each denoiser.

"300 steps": with --config.train.steps=300 (100: likewise), the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from experiments.configs import t5
from experiments.configs.common import builtin, pick
from plmjax.modules import t5_lm
from plmjax.modules.t5 import VARIANTS
from plmjax.objectives.mixture_of_denoisers import MixtureOfDenoisers
from plmjax.train.config import Config, DataConfig

MODES = ("[R]", "[S]", "[X]")
ENGLISH_WITH_MODES = DataConfig(store="runs/english_ul2")


def base(name: str, model: Any) -> Config:
    config = t5.paper("base")
    config.name, config.model, config.objective = f"ul2_{name}", model, MixtureOfDenoisers()
    config.train = replace(config.train, steps=500_000, batch_size=128)
    return config


def mini(name: str, model: Any) -> Config:
    config = t5.mini()
    config.name, config.model, config.objective = f"ul2_{name}", model, MixtureOfDenoisers()
    config.data = replace(ENGLISH_WITH_MODES)
    return config


def tiny(name: str, model: Any) -> Config:
    config = t5.tiny()
    config.name, config.model, config.objective = f"ul2_{name}", model, MixtureOfDenoisers()
    config.data = builtin(extra_tokens=MODES)
    return config


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    decoder = t5_lm.PREFIX_VARIANTS
    variants: dict[str, Callable[[], Config]] = {
        "tiny": lambda: tiny("tiny", replace(VARIANTS["tiny"])),
        "tiny_decoder": lambda: tiny("tiny_decoder", replace(decoder["tiny"])),
        "mini": lambda: mini("mini", t5.mini().model),
        "mini_decoder": lambda: mini("mini_decoder", replace(decoder["mini"], dropout=0.0)),
        "base": lambda: base("base", replace(VARIANTS["base_v1_1"], dtype="bfloat16")),
        "base_decoder": lambda: base("base_decoder", replace(decoder["base"], dtype="bfloat16")),
    }
    return pick(variants, variant)

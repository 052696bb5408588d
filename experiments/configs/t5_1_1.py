"""T5 1.1: gated GELU, an untied head, no dropout in pre-training, unlabelled text alone.

    python -m experiments.pretrain --config=experiments/configs/t5_1_1.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny    | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| small, base, large, xl, xxl | 1,000,000 steps of 2,048 x 512, spans | TPU v3-64 to 1024; not measured | not measured |
"""

from dataclasses import replace

from experiments.configs import t5
from experiments.configs.common import pick
from plmjax.modules.t5 import VARIANTS
from plmjax.train.config import Config


def paper(size: str) -> Config:
    model = VARIANTS[f"{size}_v1_1"]
    return replace(
        t5.paper("base"),
        name=f"t5_1_1_{size}",
        model=replace(model, dtype="bfloat16", remat=size in ("large", "xl", "xxl")),
    )


def tiny() -> Config:
    return replace(t5.tiny(), name="t5_1_1_tiny", model=replace(VARIANTS["tiny_v1_1"]))


def get_config(variant: str = "base") -> Config:
    """The run of a variant in the table above."""
    sizes = {size: (lambda size=size: paper(size)) for size in ("small", "base", "large", "xl", "xxl")}
    return pick({"tiny": tiny, **sizes}, variant)

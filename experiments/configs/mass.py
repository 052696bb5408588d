"""MASS (Song et al. 2019): a decoder writes the fragment that the encoder's text lacks.

    python -m experiments.pretrain --config=experiments/configs/mass.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, half of each text hidden | 300 steps: 45 s of CPU | 6.386 after 300 (6.069) |
| mini_10, mini_20, mini_30, mini_40, mini_50 | 10% to 50% hidden (Fig. 5) | 2 CPU cores; not measured | not measured |
| mini_60, mini_70, mini_80, mini_90 | 60% to 90% | 2 CPU cores; not measured | not measured |
| base | for summarisation: 6 + 6 layers of 768, a fragment in each 64 tokens | 8 V100; not measured | not measured |
| nmt  | for translation: 6 + 6 layers of 1,024, half of each text hidden | 8 V100; not measured | not measured |

base and nmt take the objective's settings from the code (microsoft/MASS): base those of MASS-summarization, nmt those
of MASS-unsupNMT; the docstring of plmjax/objectives/mass.py has files and lines. The others follow the paper: a
fragment anywhere, which begins with the mask, and a decoder that attends to all of the source.

The network is BART's with GELU, as the released code has learned positions and norms after the layers; the language
embeddings of its models for translation, which have no network here, are left out. base and nmt take Adam at 1e-4 and
batches of about 3,000 tokens a GPU over 8 of them, as released.

"300 steps": with --config.train.steps=300, the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.bart import VARIANTS
from plmjax.objectives.mass import Mass
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="rsqrt", b2=0.98, eps=1e-6)
RELEASED = Mass(first="previous", decoder_positions="read", opening="token")
NMT = replace(RELEASED, opening="eos", start="ends", masks_seen_by="encoder")


def paper(name: str, width: int, heads: int, length: int, objective: Mass) -> Config:
    return Config(
        name=f"mass_{name}",
        model=replace(VARIANTS["base"], d_model=width, d_ff=4 * width, num_heads=heads, dtype="bfloat16"),
        objective=objective,
        train=TrainConfig(steps=500_000, batch_size=24_576 // length, length=length, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=1e-4, warmup_steps=10_000),
    )


def tiny() -> Config:
    return Config(
        name="mass_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=Mass(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, schedule="linear", learning_rate=2e-3, warmup_steps=50, clip_norm=1.0),
    )


def mini(name: str = "mini", share: float = 0.5) -> Config:
    return Config(
        name=f"mass_{name}",
        model=replace(VARIANTS["mini"], dropout=0.0, attention_dropout=0.0, init_std=0.05),
        objective=Mass(share=share),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_000, batch_size=8, length=64, log_every=50, eval_every=250, eval_batches=50),
        optimizer=replace(ADAM, schedule="linear", learning_rate=1.5e-3, warmup_steps=100, clip_norm=1.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    shares = {f"mini_{share}": partial(mini, f"mini_{share}", share / 100) for share in range(10, 100, 10)}
    variants: dict[str, Callable[[], Config]] = {
        "tiny": tiny,
        "mini": mini,
        **shares,
        "base": lambda: paper("base", 768, 12, 512, replace(RELEASED, block=64)),
        "nmt": lambda: paper("nmt", 1024, 8, 256, NMT),
    }
    return pick(variants, variant)

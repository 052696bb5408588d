"""MASS (Song et al. 2019): a decoder writes the fragment that the encoder's text lacks.

    python -m experiments.pretrain --config=experiments/configs/mass.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, half of each text hidden | 300 steps: 45 s of CPU | 6.386 after 300 (6.069) |
| mini_10, mini_20, mini_30, mini_40, mini_50 | 10% to 50% hidden (Fig. 5) | 2 CPU cores; not measured | not measured |
| mini_60, mini_70, mini_80, mini_90 | 60% to 90% | 2 CPU cores; not measured | not measured |
| base | for summarisation: 6 + 6 layers of 768, a fragment in each 64 tokens | 32 V100; not measured | not measured |
| nmt  | for translation: 6 + 6 layers of 1,024, half of each text hidden | 8 V100; not measured | not measured |

base and nmt take the objective's settings from the code (microsoft/MASS): base those of MASS-summarization, nmt those
of MASS-unsupNMT; the docstring of plmjax/objectives/mass.py has files and lines. The others follow the paper: a
fragment anywhere, which begins with the mask, and a decoder that attends to all of the source.

The network is BART's with GELU, as the released code has learned positions and norms after the layers; the language
embeddings of its models for translation, which have no network here, are left out. Both follow the released code.
base (MASS-summarization/README.md, "Pre-Training"): 125,000 steps of 4,096 texts of 512 tokens (8 x 16 on each of 32
GPUs), 10,000 of them a rise to 5e-4, then a line to 0, decay .01 of every parameter. nmt (README.md and
MASS-unsupNMT/src/utils.py:138-164): a rise from 1e-7 to 1e-4 over 4,000 steps, then the inverse root of the step,
3,000 tokens on each of 8 GPUs (paper, Sec. 4.1), clipping at 5; the released command counts sentences, and the steps
are ours.

"300 steps": with --config.train.steps=300, the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.bart import VARIANTS
from plmjax.objectives.mass import Mass
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", b2=0.98, eps=1e-6)
RELEASED = Mass(first="previous", decoder_positions="read", opening="token")
NMT = replace(RELEASED, opening="eos", start="ends", masks_seen_by="encoder")


def base() -> Config:
    return Config(
        name="mass_base",
        model=replace(VARIANTS["base"], d_model=768, d_ff=3072, num_heads=12, activation_dropout=0.1, dtype="bfloat16"),
        objective=replace(RELEASED, block=64),
        train=TrainConfig(steps=125_000, batch_size=4_096, length=512, log_every=100, eval_every=5_000),
        optimizer=replace(
            ADAM,
            learning_rate=5e-4,
            warmup_steps=10_000,
            weight_decay=0.01,
            exclude_from_weight_decay="nothing",
        ),
    )


def nmt() -> Config:
    length = 256
    return Config(
        name="mass_nmt",
        model=replace(VARIANTS["base"], d_model=1024, d_ff=4096, num_heads=8, dtype="bfloat16"),
        objective=replace(NMT),
        train=TrainConfig(steps=500_000, batch_size=24_576 // length, length=length, log_every=100, eval_every=10_000),
        optimizer=replace(
            ADAM,
            schedule="inverse_sqrt",
            learning_rate=1e-4,
            warmup_steps=4_000,
            warmup_init_lr=1e-7,
            eps=1e-8,
            clip_norm=5.0,
        ),
    )


def tiny() -> Config:
    return Config(
        name="mass_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=Mass(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=50, clip_norm=1.0),
    )


def mini(name: str = "mini", share: float = 0.5) -> Config:
    return Config(
        name=f"mass_{name}",
        model=replace(VARIANTS["mini"], dropout=0.0, attention_dropout=0.0, init_std=0.05),
        objective=Mass(share=share),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_000, batch_size=8, length=64, log_every=50, eval_every=250, eval_batches=50),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, clip_norm=1.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    shares = {f"mini_{share}": partial(mini, f"mini_{share}", share / 100) for share in range(10, 100, 10)}
    variants: dict[str, Callable[[], Config]] = {
        "tiny": tiny,
        "mini": mini,
        **shares,
        "base": base,
        "nmt": nmt,
    }
    return pick(variants, variant)

"""Marian (Junczys-Dowmunt et al. 2018): translation from scratch.

    python -m experiments.pretrain --config=experiments/configs/marian.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | 29,000 captions from English to German, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | the same captions | 300 steps: 79 s of CPU | 4.410 after 300 (5.547) |
| mini_both | from English to German and back | 2 CPU cores, shared; not measured | not measured |
| base | transformer-base, 6 + 6 layers of 512, as OPUS-MT's models | 4 V100; not measured | not measured |

The store is made from translations (experiments.prepare --input=en-de=FILE,FILE; with --language_tokens for directions
into several languages; tiny and mini: multi30k's captions in runs/multi30k_en_de), and the directions are chosen by
--config.objective.window.directions. base: Adam (.9, .98, 1e-9), a rise to 3e-4 over 16,000 steps and then the inverse
root of the step, clipping at 5, label smoothing .1, dropout .1, as in the recipe for transformer-base of Marian's
examples (marian-examples, transformer/run-me.sh), whose batches are as large as fit; 16,000 words are ours. After
training, `experiments.generate --from=runs/marian_mini --prompt=...` translates.

"300 steps": with --config.train.steps=300, the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace

from experiments.configs.common import pick
from plmjax.data.windows import Translations
from plmjax.modules.bart import MARIAN_VARIANTS
from plmjax.objectives.translation import Translation
from plmjax.train.config import Config, DataConfig, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", b2=0.98, eps=1e-9)
CAPTIONS = DataConfig(store="runs/multi30k_en_de")


def base() -> Config:
    return Config(
        name="marian_base",
        model=replace(MARIAN_VARIANTS["base"], dtype="bfloat16"),
        objective=Translation(),
        train=TrainConfig(steps=300_000, batch_size=512, length=128, log_every=100, eval_every=5_000),
        optimizer=replace(ADAM, schedule="inverse_sqrt", learning_rate=3e-4, warmup_steps=16_000, clip_norm=5.0),
    )


def tiny() -> Config:
    return Config(
        name="marian_tiny",
        model=replace(MARIAN_VARIANTS["tiny"]),
        objective=Translation(),
        data=replace(CAPTIONS),
        train=TrainConfig(steps=200, batch_size=8, length=48, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=50, clip_norm=1.0),
    )


def mini(name: str = "mini", directions: tuple[str, ...] = ("en-de",)) -> Config:
    return Config(
        name=f"marian_{name}",
        model=replace(MARIAN_VARIANTS["mini"], dropout=0.0),
        objective=Translation(window=Translations(directions=directions)),
        data=replace(CAPTIONS),
        train=TrainConfig(steps=1_500, batch_size=16, length=48, log_every=50, eval_every=500),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, clip_norm=1.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants: dict[str, Callable[[], Config]] = {
        "tiny": tiny,
        "mini": mini,
        "mini_both": lambda: mini("mini_both", ("en-de", "de-en")),
        "base": base,
    }
    return pick(variants, variant)

"""Meena (Adiwardana et al. 2020): an encoder-decoder that writes what follows, on T5's blocks.

    python -m experiments.pretrain --config=experiments/configs/meena.py:mini
    python -m experiments.pretrain --config=experiments/configs/meena.py:meena --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini  | 1 encoder and 4 decoder layers, 3 M words of English | 2 CPU cores; not measured | not measured |
| meena | 1 encoder and 13 decoder layers of 2,560 | 30 days of 2,048 TPU v3 cores in the paper | not measured |

The paper's blocks are the Evolved Transformer's, larger than T5's: 2.6B parameters where this has 1.46B. It was trained
on turns of dialogues, up to 7 and then the answer, 128 tokens on either side; here a document is cut in two anywhere.
The optimizer is the paper's, Adafactor at .01 for 10,000 steps and then by the inverse root, which is T5's; steps and
batch are from memory. It answers by sampling 20 times at temperature 0.88 and taking the likeliest.
"""

from dataclasses import replace

from experiments.configs import t5
from experiments.configs.common import ENGLISH, pick
from plmjax.modules.t5 import VARIANTS
from plmjax.objectives.prefix_lm import PrefixLM
from plmjax.train.config import Config, TrainConfig


def mini() -> Config:
    return Config(
        name="meena_mini",
        model=replace(t5.mini().model, num_layers=1, num_decoder_layers=4),
        objective=PrefixLM(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_500, batch_size=16, length=128, log_every=50, eval_every=250),
        optimizer=replace(t5.ADAFACTOR, warmup_steps=1000),
    )


def paper() -> Config:
    return Config(
        name="meena",
        model=replace(VARIANTS["meena"], dtype="bfloat16", remat=True),
        objective=PrefixLM(),
        train=TrainConfig(steps=738_000, batch_size=2048, length=128, log_every=100, eval_every=5_000),
        optimizer=replace(t5.ADAFACTOR),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    return pick({"mini": mini, "meena": paper}, variant)

"""LaMDA (Thoppilan et al. 2022): a decoder of T5's blocks.

    python -m experiments.pretrain --config=experiments/configs/lamda.py:mini

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini | 3 M words of English, see docs/results | 2 CPU cores, shared; 13 minutes | 5.000 |
| 137b | 137B without the token table | 1,024 TPU v3, 57.7 days in the paper; not measured | not measured |

The paper gives the network's sizes, 2.81T tokens and 256k tokens a step (from memory), and no optimizer: the rates of
137b are GPT-3 175B's; split it by --config.mesh.fsdp=64 --config.mesh.tensor=8, for one. What the paper fine-tunes
afterwards (quality, safety, groundedness) is not here.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, pick
from experiments.configs.gpt2 import ADAM
from plmjax.modules.lamda import VARIANTS
from plmjax.objectives.causal_lm import CausalLM
from plmjax.train.config import Config, TrainConfig


def mini() -> Config:
    return Config(
        name="lamda_mini",
        model=replace(VARIANTS["mini"]),
        objective=CausalLM(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=2_500, batch_size=8, length=128, log_every=50, eval_every=500),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=200),
    )


def paper() -> Config:
    return Config(
        name="lamda_137b",
        model=replace(VARIANTS["137b"], dtype="bfloat16", remat=True),
        objective=CausalLM(),
        train=TrainConfig(
            steps=10_700_000, batch_size=256, length=1024, log_every=100, eval_every=5_000, eval_batches=20
        ),
        optimizer=replace(ADAM, learning_rate=6e-5, warmup_steps=1_400),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    return pick({"mini": mini, "137b": paper}, variant)

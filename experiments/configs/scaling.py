"""Families of small GPT-2s for `experiments.scaling_laws` (Kaplan et al. 2020).

    python -m experiments.scaling_laws --config=experiments/configs/scaling.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| english | 6 sizes by 4 budgets on the English store | 2 CPU cores, shared; 23 minutes of CPU | see below |
| tiny | 4 sizes by 3 budgets on the built-in corpus, to see it run | not measured | not measured |

`english` took 69 minutes beside much other work, 23 minutes of CPU time on both cores together. Its exponents: 0.009 of
L(N) at 1 M tokens, 0.099 of L(D), 0.022 of L(C) (0.034 with C counted), 0.020 and 0.103 of L(N, D); N ~ C^0.76. After
125,000 and 250,000 tokens a larger size is not better than a small one yet, so that alpha_N says little here.

Batches of 512 tokens are far below the critical batch that Kaplan et al. give for such losses (2e8 / L^(1/0.21), some
30 to 70 thousand tokens), so that few tokens make many steps, and compute is near their Cmin.

One rule gives all sizes their learning rate: it falls with the root of the width. It comes from a probe of 244 steps of
1,024 tokens. With 4 layers of 64, rates of 2e-3, 4e-3 and 8e-3 gave losses of 6.282, 6.280 and 6.235; with 2 layers of
16, 4e-3 and 16e-3 gave 6.401 and 6.312. A step of half as many tokens then takes 8e-3 / sqrt(2), about 6e-3, at width
64.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin
from experiments.configs.gpt2 import ADAM
from experiments.scaling.family import Family
from plmjax.checkpoints.config import CheckpointConfig
from plmjax.errors import UserError
from plmjax.modules.gpt import VARIANTS
from plmjax.objectives.causal_lm import CausalLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

# Kaplan et al. (Sec. 2.2) warm up, then let a cosine end at 0.
OPTIMIZER: OptimizerConfig = replace(ADAM, learning_rate=6e-3, final_scale=0.0)


def family_member() -> Config:
    """What the runs of both variants have in common."""
    return Config(
        model=replace(VARIANTS["mini"], max_positions=128, dropout=0.0, attention_dropout=0.0),
        objective=CausalLM(),
        train=TrainConfig(
            batch_size=4,
            length=128,
            log_every=200,
            eval_every=1_000_000,  # at the start and at the end alone
            eval_batch_size=32,
            tensorboard=False,
        ),
        optimizer=replace(OPTIMIZER),
        checkpoint=CheckpointConfig(every_steps=0, every_minutes=2.0, keep=1),
    )


def english() -> Family:
    return Family(
        name="scaling",
        run=replace(family_member(), data=replace(ENGLISH)),
        layers=(2, 2, 3, 4, 4, 4),
        widths=(16, 32, 48, 64, 96, 128),
        tokens=(125_000, 250_000, 500_000, 1_000_000),
    )


def tiny() -> Family:
    return Family(
        name="scaling_tiny",
        run=replace(family_member(), data=builtin()),
        layers=(2, 2, 2, 2),
        widths=(8, 16, 32, 64),
        tokens=(50_000, 100_000, 200_000),
    )


def get_config(variant: str = "english") -> Family:
    """The family of a variant in the table above."""
    variants = {"english": english, "tiny": tiny}
    if variant not in variants:
        raise UserError(f"The config has no variant {variant!r}: choose one of {', '.join(variants)}.")
    return variants[variant]()

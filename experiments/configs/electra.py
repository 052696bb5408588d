"""ELECTRA (Clark et al. 2020): a generator's samples told from the original tokens, and the paper's controls.

    python -m experiments.pretrain --config=experiments/configs/electra.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, see docs/results | 1 CPU core, shared; 10 minutes | 5.505 (detection 0.386) |
| mini_15, mini_replace_mlm, mini_all_tokens | the controls of the paper's Table 5 | as mini | docs/results/electra.md |
| mini_bert | masked LM on mini's discriminator alone, for as many FLOPs | as mini | docs/results/electra.md |
| small | 1M steps of 128 x 128 | one GPU, 4 days in the paper; not measured | not measured |
| base | 766k steps of 256 x 512 | TPU v3-16; not measured | not measured |
| large | 400k steps of 2,048 x 512, 25% masked | TPU v3-128; not measured | not measured |

Windows are the released code's (paper: nothing): `[CLS] A [SEP] B [SEP]` of one document, a tenth of them A alone.
Masking is the code's: 15% are chosen (25% for large), of which 85% become the mask and the others stay. Lambda is 50
(both). All embeddings are tied, norm and token types too (code; the paper ties the tables of tokens and positions:
`model.sharing=tables`). Positions are drawn without replacement (paper); `objective.masking.duplicates=reference` draws
them as the code does.

AdamW without bias correction, epsilon 1e-6, decay 0.01, clipping at 1, linear decay after 10,000 steps of warm-up. The
generator is 1/4, 1/3 and 1/4 as wide as the discriminator.
"""

from dataclasses import replace
from typing import Any

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.data.windows import ElectraSegments
from plmjax.modules.electra import PAIRS, ElectraConfig, pair
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.objectives.replaced_tokens import AllTokensMLM, GeneratorMasking, ReplacedTokens, ReplaceMLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw",
    schedule="linear",
    eps=1e-6,
    weight_decay=0.01,
    bias_correction=False,
    clip_norm=1.0,
)
MINI = ElectraConfig(
    num_layers=2,
    num_heads=2,
    d_model=128,
    d_ff=512,
    max_positions=128,
    activation="gelu_tanh",
    dropout=0.0,
    attention_dropout=0.0,
    init_std=0.05,
)
FLOPS = 11.2e12  # of the forward and backward passes of each mini run: steps go by the FLOPs of one (run header)
STEP_FLOPS = {"mini": 4.5e9, "mini_15": 4.5e9, "mini_replace_mlm": 5.0e9, "mini_all_tokens": 7.9e9, "mini_bert": 3.2e9}


def paper(size: str, steps: int, batch_size: int, length: int, rate: float, masked: float = 0.15) -> Config:
    """The paper's run (Table 6)."""
    model = PAIRS[size]
    halves = {name: replace(half, dtype="bfloat16") for name, half in model.networks().items()}
    return Config(
        name=f"electra_{size}",
        model=GeneratorDiscriminatorConfig(**halves),
        objective=ReplacedTokens(window=ElectraSegments(), masking=GeneratorMasking(rate=masked)),
        train=TrainConfig(steps=steps, batch_size=batch_size, length=length, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=rate, warmup_steps=10_000),
    )


def tiny() -> Config:
    halves = {name: replace(half) for name, half in PAIRS["tiny"].networks().items()}
    return Config(
        name="electra_tiny",
        model=GeneratorDiscriminatorConfig(**halves),
        objective=ReplacedTokens(window=ElectraSegments()),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini(variant: str, objective: Any) -> Config:
    objective.window = ElectraSegments()
    return Config(
        name=f"electra_{variant}",
        model=pair(MINI, 1 / 2),
        objective=objective,
        data=replace(ENGLISH),
        train=TrainConfig(
            steps=round(FLOPS / STEP_FLOPS[variant]), batch_size=16, length=64, log_every=100, eval_every=400
        ),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, b2=0.98, bias_correction=True),
    )


def mini_bert() -> Config:
    config = mini("mini_bert", MaskedLM())
    config.model = replace(MINI)
    return config


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": lambda: mini("mini", ReplacedTokens()),
        "mini_15": lambda: mini("mini_15", ReplacedTokens(where="masked")),
        "mini_replace_mlm": lambda: mini("mini_replace_mlm", ReplaceMLM()),
        "mini_all_tokens": lambda: mini("mini_all_tokens", AllTokensMLM()),
        "mini_bert": mini_bert,
        "small": lambda: paper("small", 1_000_000, 128, 128, 5e-4),
        "base": lambda: paper("base", 766_000, 256, 512, 2e-4),
        "large": lambda: paper("large", 400_000, 2_048, 512, 2e-4, masked=0.25),
    }
    return pick(variants, variant)

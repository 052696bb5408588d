"""RoBERTa (Liu et al. 2019): masked LM alone, masks drawn anew in each epoch, on full sentences.

    python -m experiments.pretrain --config=experiments/configs/roberta.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny    | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini    | 3 M words of English, see docs/results | 2 CPU cores, shared; 6 minutes | 5.901 |
| base    | the released base: 500,000 steps of 8,192 x 512 tokens | TPU v3-512; not measured | not measured |
| large   | the released large | TPU v3-1024; not measured | not measured |

The learning rates and warm-ups of base and large are those of the released models (paper, Table 9), whose decay is of
every parameter, biases and norms too, as in fairseq's code (trainer.py:304-310, optim/adam.py). Their masks fall on any
token, <s> and </s> too, as in fairseq's code (data/mask_tokens_dataset.py:141-148); those of the others are BERT's, as
in the paper. To compare window formats as the paper's Table 2 does, set `objective.window` to DocSentences,
SentencePair or SegmentPair in a copy of this file.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.bert import VARIANTS
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="linear", b2=0.98, eps=1e-6, weight_decay=0.01)


def paper(size: str, learning_rate: float, warmup_steps: int) -> Config:
    return Config(
        name=f"roberta_{size}",
        model=replace(VARIANTS[f"roberta_{size}"], dtype="bfloat16"),
        objective=MaskedLM(masking=Masking(strategy="every_token")),
        train=TrainConfig(steps=500_000, batch_size=8192, length=512, log_every=100, eval_every=5_000),
        optimizer=replace(
            ADAM, learning_rate=learning_rate, warmup_steps=warmup_steps, exclude_from_weight_decay="nothing"
        ),
    )


def tiny() -> Config:
    return Config(
        name="roberta_tiny",
        model=replace(VARIANTS["roberta_tiny"]),
        objective=MaskedLM(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="roberta_mini",
        model=replace(
            VARIANTS["roberta_base"],
            num_layers=2,
            num_heads=2,
            d_model=128,
            d_ff=512,
            max_positions=128,
            dropout=0.0,
            attention_dropout=0.0,
            init_std=0.05,  # base's 0.02 times sqrt(768 / 128): queries and keys start as large as base's
        ),
        objective=MaskedLM(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_000, batch_size=32, length=64, log_every=50, eval_every=250),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, clip_norm=1.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": mini,
        "base": lambda: paper("base", 6e-4, 24_000),
        "large": lambda: paper("large", 4e-4, 30_000),
    }
    return pick(variants, variant)

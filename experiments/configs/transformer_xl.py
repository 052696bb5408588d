"""Transformer-XL (Dai et al. 2019): a causal LM that remembers the segments before.

    python -m experiments.pretrain --config=experiments/configs/transformer_xl.py:VARIANT --config.data.store=STORE

| variant   | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny      | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini      | 3 M words of English, validated with 128 states | 2 CPU cores; 5 minutes | 4.651 (8.491) |
| mini_alone | the same without a memory (Table 6's "no recurrence") | 2 CPU cores, shared; 4 minutes | 4.734 (8.491) |
| mini_adaptive | the same with an adaptive softmax of 3 clusters | 2 CPU cores, shared; 5 minutes | 4.783 (8.962) |
| wt103_base | WikiText-103's 151M: 200,000 steps of 60 x 150 | not measured | not measured; ppl 24.0 in the paper |
| wt103_large | 4,000,000 steps of 128 x 384 | TPU in the released script; not measured | not measured; 18.3 |
| enwik8_12l | characters: 400,000 steps of 22 x 512 | not measured | not measured; 1.06 bits in the paper |
| enwik8_24l | 400,000 steps of 64 x 768 | TPU in the released script; not measured | not measured; 0.99 bits |

The paper's WikiText-103 has 267,735 words, the frequent ones first, and cutoffs: with such a vocabulary add
`--config.model.cutoffs="(20000, 40000, 200000)"`. A vocabulary of pieces is too small to need them. Validation reads
as the released scripts test: short segments, a longer memory, clamped distances, the same length for every token.
`python -m experiments.memory_lengths --from=runs/NAME` shows a run's loss by the length of its memory. Adam, rate
2.5e-4 on a cosine, clipping at 0.25. Table 6's "half" loss is `--config.objective.loss=half`.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.transformer_xl import VARIANTS
from plmjax.objectives.recurrent_lm import Reading, RecurrentLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="cosine", learning_rate=2.5e-4, clip_norm=0.25)


def paper(variant: str, steps: int, batch_size: int, warmup_steps: int, reading: Reading) -> Config:
    """A released script's run; its segments are as long as its memory."""
    model = replace(VARIANTS[variant], cutoffs=(), embed_divisor=1, dtype="bfloat16")
    return Config(
        name=f"transformer_xl_{variant}",
        model=model,
        objective=RecurrentLM(evaluation=reading),
        train=TrainConfig(
            steps=steps,
            batch_size=batch_size,
            length=model.memory_length,
            log_every=200,
            eval_every=4_000,
            eval_batch_size=10 if batch_size % 10 == 0 else 0,
        ),
        optimizer=replace(ADAM, warmup_steps=warmup_steps),
    )


def tiny() -> Config:
    return Config(
        name="transformer_xl_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=RecurrentLM(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=32, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="transformer_xl_mini",
        model=replace(
            VARIANTS["tiny"],
            num_layers=3,
            num_heads=2,
            head_width=64,
            d_model=128,
            d_ff=512,
            dropout=0.0,
            memory_length=32,
            init_std=0.05,
        ),
        objective=RecurrentLM(evaluation=Reading(memory_length=128)),
        data=replace(ENGLISH),
        train=TrainConfig(steps=2_500, batch_size=32, length=32, log_every=50, eval_every=500),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=100, clip_norm=1.0),
    )


def mini_alone() -> Config:
    config = mini()
    config.name = "transformer_xl_mini_alone"
    config.model.memory_length = 0
    config.objective = RecurrentLM()
    return config


def mini_adaptive() -> Config:
    config = mini()
    config.name = "transformer_xl_mini_adaptive"
    config.model = replace(config.model, cutoffs=(512, 1_536), embed_divisor=2, projection_init_std=0.05)
    return config


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    words = Reading(length=64, memory_length=640, same_length=True, clamp=400)
    characters = Reading(length=128, memory_length=2_100, same_length=True, clamp=820)
    variants = {
        "tiny": tiny,
        "mini": mini,
        "mini_alone": mini_alone,
        "mini_adaptive": mini_adaptive,
        "wt103_base": lambda: paper("wt103_base", 200_000, 60, 0, words),
        "wt103_large": lambda: paper(
            "wt103_large", 4_000_000, 128, 16_000, Reading(128, 1_600, same_length=True, clamp=1_000)
        ),
        "enwik8_12l": lambda: paper("enwik8_12l", 400_000, 22, 0, characters),
        "enwik8_24l": lambda: paper(
            "enwik8_24l", 400_000, 64, 4_000, Reading(128, 3_800, same_length=True, clamp=1_000)
        ),
    }
    return pick(variants, variant)

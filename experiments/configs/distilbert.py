"""DistilBERT (Sanh et al. 2019): a student of half its teacher's layers learns from it.

    python -m experiments.pretrain --config=experiments/configs/distilbert.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| teacher | a small BERT for mini to learn from: masked LM, 4 layers | 2 CPU cores, shared; 4 minutes | 5.964 |
| mini | 2 of its layers, 3 M words of English | 2 CPU cores, shared; 6 minutes | 5.919 |
| mini_random | mini from random parameters | 2 CPU cores, shared; 4 minutes | 5.970 |
| base | BERT base's student, batches of 4,000 x 512 | 8 GPUs, 90 hours in the paper; not measured | not measured |

`--config.model.teacher_from` names the teacher: a working folder (mini: runs/bert_teacher, which `teacher` writes) or a
directory of Hugging Face's, whose tokenizer the store must have. The losses' weights are `objective.soft_targets`,
`masked_lm` and `cosine`: the ablation of the paper's Table 4 sets one to 0.

base follows the released code where the paper is silent: rate 5e-4, 5% of the steps a warm-up, betas .9 and .98,
clipping at 5, no decay (train.py and distiller.py of transformers' research project), and the positions stay the
teacher's (`model.freeze_positions`); the batch is the paper's. mini learns its positions.

The released code masks a token with a chance that goes with count^-0.7, count being how often the training text has it;
what the text does not have, special tokens among it, stays. For that give these two flags (not measured):

    --config.objective.masking.strategy=any_tokens --config.objective.masking.strategies.any_tokens.alpha=0.7
"""

from dataclasses import replace
from typing import Any

from experiments.configs.common import ENGLISH, pick
from plmjax.modules.bert import VARIANTS as BERT
from plmjax.modules.distilbert import VARIANTS
from plmjax.modules.distillation import DistillationConfig
from plmjax.objectives.distillation import Distillation
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="linear", eps=1e-6, b2=0.98, weight_decay=0.01, clip_norm=1.0)
SMALL: dict[str, Any] = {
    "num_heads": 2, "d_model": 128, "d_ff": 512, "max_positions": 128, "dropout": 0.0, "attention_dropout": 0.0,
    "init_std": 0.05, "activation": "gelu",
}  # fmt: skip


def small(name: str, model: object, objective: object, steps: int) -> Config:
    return Config(
        name=name,
        model=model,
        objective=objective,
        data=replace(ENGLISH),
        train=TrainConfig(steps=steps, batch_size=16, length=64, log_every=100, eval_every=400),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100),
    )


def teacher() -> Config:
    return small("bert_teacher", replace(BERT["base"], num_layers=4, **SMALL), MaskedLM(), 2_500)


def mini(name: str = "distilbert_mini", initialise: str = "teacher") -> Config:
    student = replace(VARIANTS["base"], num_layers=2, **SMALL)
    model = DistillationConfig(student, teacher_from="runs/bert_teacher", initialise=initialise)
    return small(name, model, Distillation(), 1_200)


def base() -> Config:
    return Config(
        name="distilbert_base",
        model=DistillationConfig(replace(VARIANTS["base"], dtype="bfloat16"), freeze_positions=True),
        objective=Distillation(),
        train=TrainConfig(steps=19_000, batch_size=4_000, length=512, microbatches=100, log_every=10, eval_every=500),
        optimizer=replace(ADAM, learning_rate=5e-4, warmup_steps=950, clip_norm=5.0, weight_decay=0.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "teacher": teacher,
        "mini": mini,
        "mini_random": lambda: mini("distilbert_mini_random", "random"),
        "base": base,
    }
    return pick(variants, variant)

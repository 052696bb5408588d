"""CTRL (Keskar et al. 2019): texts under control codes, which here are the documents' sources.

    python -m experiments.prepare --input=../shared/data/english/train.jsonl.gz \\
        --validation_input=../shared/data/english/validation.jsonl.gz --code_field=source --vocab_size=4096 \\
        --workdir=runs/english_coded
    python -m experiments.pretrain --config=experiments/configs/ctrl.py:mini
    python -m experiments.attribute --from=runs/ctrl_mini --text="My fellow citizens"

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini | 3 M words of English under their sources, see docs/results | 2 CPU cores, shared; 7 minutes | 4.885 |
| ctrl | 1.63B | TPU v3-256; not measured | not measured |

ctrl: Adagrad at .05 after a warm-up of 25,000 steps, clipping at .25, batches of 1,024 sequences of 256 tokens, 800,000
steps (batch and steps from accounts of the paper; the rest from memory, as its Sec. 3.2 could not be looked up; the
released training_utils/training.py fine-tunes with Adagrad at .01, clipped at .25). The mini has GPT-2 mini's
optimizer.
"""

from dataclasses import replace

from experiments.configs.common import pick
from experiments.configs.gpt2 import ADAM
from plmjax.modules.ctrl import VARIANTS
from plmjax.objectives.conditional_lm import ConditionalLM
from plmjax.train.config import Config, DataConfig, OptimizerConfig, TrainConfig

CODED = DataConfig(store="runs/english_coded")  # what the prepare command above writes


def mini() -> Config:
    return Config(
        name="ctrl_mini",
        model=replace(VARIANTS["mini"], dropout=0.0),
        objective=ConditionalLM(),
        data=replace(CODED),
        train=TrainConfig(steps=2_500, batch_size=8, length=128, log_every=50, eval_every=500),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=200),
    )


def paper() -> Config:
    return Config(
        name="ctrl",
        model=replace(VARIANTS["ctrl"], dtype="bfloat16", remat=True),
        objective=ConditionalLM(),
        train=TrainConfig(steps=800_000, batch_size=1024, length=256, log_every=100, eval_every=2_000),
        optimizer=OptimizerConfig(
            name="adagrad", learning_rate=0.05, schedule="constant", warmup_steps=25_000, clip_norm=0.25
        ),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    return pick({"mini": mini, "ctrl": paper}, variant)

"""mBART (Liu et al. 2020): BART's denoising in several languages.

    python -m experiments.pretrain --config=experiments/configs/mbart.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, English alone, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | English, and captions in German and French | 300 steps: 102 s of CPU | 5.918 after 300 (6.780) |
| cc25 | 610M, 25 languages: 500,000 steps of 1,024 x 512 | 256 V100 (paper); not measured | not measured |

The store is made from sources that name their language, with --language_tokens (experiments.prepare). Languages are
drawn by p^.7; 35% of the words are hidden in spans of Poisson(3.5) words, and the sentences of a text are permuted.
Adam with eps 1e-6 and betas .9 and .98, the rate falling in a line to 0; its peak is BART's 4e-4 here; every parameter
decays, as in fairseq's code (trainer.py:304-310). Dropout .1 for the first 250,000 steps, .05 up to 400,000 and 0 after
that: restart with --config.model.dropout and --config.model.attention_dropout. The store of `mini` is made by

    python -m experiments.prepare --documents=blank_lines --vocab_size=8000 --language_tokens --workdir=runs/en_de_fr \
      --input=en=ENGLISH.jsonl.gz --input=de=GERMAN.txt --input=fr=FRENCH.txt --validation_input=en=...

"300 steps": with --config.train.steps=300, the unigram entropy of the targets in brackets.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.data.store.prepare import PrepareOptions
from plmjax.modules.bart import MBART_VARIANTS
from plmjax.objectives.denoising import MultilingualDenoising
from plmjax.train.config import Config, DataConfig, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(name="adamw", schedule="linear", b2=0.98, eps=1e-6, weight_decay=0.01)
THREE_LANGUAGES = DataConfig(store="runs/en_de_fr")


def cc25() -> Config:
    return Config(
        name="mbart_cc25",
        model=replace(MBART_VARIANTS["cc25"], dtype="bfloat16", remat=True),
        objective=MultilingualDenoising(),
        train=TrainConfig(steps=500_000, batch_size=1_024, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=4e-4, warmup_steps=10_000, exclude_from_weight_decay="nothing"),
    )


def tiny() -> Config:
    options = PrepareOptions(sources=("en=builtin",), vocab_size=2048, model_type="bpe", language_tokens=True)
    return Config(
        name="mbart_tiny",
        model=replace(MBART_VARIANTS["tiny"]),
        objective=MultilingualDenoising(),
        data=DataConfig(prepare=options),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=2e-3, warmup_steps=50, clip_norm=1.0),
    )


def mini() -> Config:
    return Config(
        name="mbart_mini",
        model=replace(MBART_VARIANTS["mini"], dropout=0.0, attention_dropout=0.0),
        objective=MultilingualDenoising(),
        data=replace(THREE_LANGUAGES),
        train=TrainConfig(steps=1_000, batch_size=8, length=64, log_every=50, eval_every=250, eval_batches=0),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, clip_norm=1.0),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    return pick({"tiny": tiny, "mini": mini, "cc25": cc25}, variant)

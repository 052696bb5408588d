"""Grids for `experiments.downstream_table`.

    python -m experiments.downstream_table --config=experiments/configs/downstream.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| minis | the small runs on six tasks | one CPU core, 1 to 8 minutes a cell | docs/results/downstream.md |

Files are expected in --config.data. One recipe serves all networks, so that a row differs from another by the
checkpoint alone: rate 5e-4, warmed up over a tenth of the steps, then linear, AdamW with decay 0.01, dropout 0.1. No
checkpoint is chosen: the last step is scored, which spares the validations.
"""

from dataclasses import replace
from typing import Any

from experiments.configs.common import pick
from experiments.configs.finetune.mini import base
from experiments.downstream.grid import Column, Grid
from plmjax.decode.config import GenerationConfig
from plmjax.finetune.config import FineTune
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.tasks.registry import named

ENCODERS = ("encoder", "two_stream")
WRITERS = ("decoder", "encoder_decoder")
READERS = (*ENCODERS, "encoder_decoder")  # each token's state has seen the whole text
ALL = (*ENCODERS, *WRITERS)


def recipe(epochs: float, **changes: Any) -> FineTune:
    """The small networks' recipe with rows of up to 128 tokens."""
    found = replace(base(), max_length=128, truncation=True, **changes)
    found.train = replace(found.train, epochs=epochs, patience=0, buckets=3, tensorboard=False)
    return found


def task(name: str, **fields: Any) -> Any:
    """One of the catalogue."""
    return replace(named(name), **fields)


def columns() -> dict[str, Column]:
    """Six tasks. Of the largest a part is learned, so that the grid is done in a few hours of one core."""
    subject, caption = Seq2SeqConfig(max_target_length=32), Seq2SeqConfig(max_target_length=48)
    return {
        "sst2": Column(
            task("sst2_files", train="sst2/train.tsv", test=("sst2/test.tsv",)), ("accuracy",), recipe(2.0), ALL
        ),
        "cola": Column(
            task("cola_files", train="cola/in_domain_train.tsv", test=("cola/in_domain_dev.tsv",)),
            ("matthews",),
            recipe(2.0),
            ALL,
        ),
        "conll2003": Column(
            task("conll2003_files", train="conll2003_en/eng.train", test=("conll2003_en/eng.testb",)),
            ("f1",),
            recipe(1.0),
            READERS,
        ),
        "aeslc": Column(
            task(
                "aeslc_files",
                train="aeslc_email_subject/train.jsonl.gz",
                test=("aeslc_email_subject/test.jsonl.gz",),
                limit=2_000,
                metric=("rougeL", "perplexity"),
            ),
            ("rougeL", "perplexity"),
            recipe(2.0, seq2seq=subject, generation=GenerationConfig(max_new_tokens=24)),
            WRITERS,
        ),
        "multi30k": Column(
            task(
                "multi30k_files",
                train="multi30k/train.en.gz,multi30k/train.de.gz",
                test=("multi30k/test_2016_flickr.en.gz,multi30k/test_2016_flickr.de.gz",),
                limit=5_000,
                metric=("bleu", "perplexity"),
            ),
            ("bleu", "perplexity"),
            recipe(2.0, seq2seq=caption),
            WRITERS,
        ),
        "xquad_en": Column(
            task("xquad", train="xquad_squad_format/xquad.en.json"),
            ("f1",),
            replace(recipe(1 / 3), doc_stride=64, truncation=False),  # of each of 15 trainings, 5 folds by 3 seeds
            READERS,
            text_recipe=replace(recipe(1 / 3), max_length=512),  # contexts are read whole, as T5 does
        ),
    }


def minis() -> Grid:
    return Grid(
        checkpoints=(
            "runs/bert_mini",
            "runs/electra_mini",
            "runs/deberta_mini",
            "runs/xlnet_mini",
            "runs/gpt2_mini_512",
            "runs/bart_mini",
            "runs/t5_mini",
        ),
        columns=columns(),
        text_to_text=("runs/t5_mini",),
        data="../shared/data",
    )


def get_config(variant: str = "minis") -> Grid:
    """The grid of a variant in the table above."""
    return pick({"minis": minis}, variant)

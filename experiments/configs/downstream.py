"""Grids for `experiments.downstream_table`.

    python -m experiments.downstream_table --config=experiments/configs/downstream.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| minis | the README's small runs on six tasks of real text, 3 seeds | not measured | not measured |

The files are expected where --config.data says. One recipe serves all networks, so that a row differs from another by
the checkpoint alone: rate 5e-4, warmed up over a tenth of the steps, then linear, AdamW with decay 0.01, dropout 0.1.
"""

from experiments.configs.common import pick
from experiments.configs.finetune.mini import base
from experiments.downstream.grid import Column, Grid
from plmjax.finetune.config import FineTune
from plmjax.tasks.catalogue import named

ENCODERS = ("encoder", "two_stream")
READERS = (*ENCODERS, "decoder", "encoder_decoder")


def recipe(epochs: float, **changes: object) -> FineTune:
    """The small networks' recipe without early stopping, so that all have as many steps."""
    found = base()
    found.train.epochs, found.train.patience, found.train.buckets, found.train.tensorboard = epochs, 0, 3, False
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def files(name: str, train: str, validation: str = "", *test: str) -> object:
    """A task of the catalogue on files."""
    task = named(name)
    task.train, task.validation = train, validation
    task.test = test
    return task


def minis() -> Grid:
    columns = {
        "sst2": Column(
            files("sst2_files", "sst2/train.tsv", "sst2/dev.tsv", "sst2/test.tsv"),
            "accuracy",
            recipe(3.0, length=128, cut=True),
            READERS,
        ),
        "cola": Column(
            files("cola_files", "cola/in_domain_train.tsv", "cola/in_domain_dev.tsv", "cola/out_of_domain_dev.tsv"),
            "matthews",
            recipe(3.0),
            READERS,
        ),
        "conll2003": Column(
            files("conll2003_files", "conll2003_en/eng.train", "conll2003_en/eng.testa", "conll2003_en/eng.testb"),
            "f1",
            recipe(2.0, length=128, cut=True),
            READERS,
        ),
        "xquad_en": Column(
            files("xquad", "xquad_squad_format/xquad.en.json"),
            "f1",
            recipe(2.0, length=128, stride=64),
            (*ENCODERS, "encoder_decoder"),
        ),
    }
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
        columns=columns,
        data="../shared/data",
    )


def get_config(variant: str = "minis") -> Grid:
    """The grid of a variant in the table above."""
    return pick({"minis": minis}, variant)

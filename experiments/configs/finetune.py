"""Recipes of fine-tuning, for `experiments.finetune --config=experiments/configs/finetune.py:VARIANT`.

| variant | what it is |
|---|---|
| bert, bert_squad | Devlin et al. 2018, App. A.3, and the released code: AdamW without bias correction |
| roberta, roberta_squad | Liu et al. 2019, App. C: up to 10 epochs, 6% warm-up, early stopping |
| gpt | Radford et al. 2018, Sec. 4.1: 3 epochs, the language model's loss beside the task's at 0.5 |
| xlnet, xlnet_squad | Yang et al. 2019, App. A.4; for SQuAD lower layers at 0.75 of the rate of the layer above |
| electra_small, electra_base, electra_large | Clark et al. 2020, App. B: rates fall by 0.8 a layer, large 0.9 |
| deberta, deberta_large | He et al. 2021, App. A.2: 10 epochs, early stopping |
| mini | a network of a few million parameters: a higher rate, more epochs |

The papers choose among several rates and batch sizes for each task; `sweep` has these grids, and --sweep runs them. The
variants have a value from the middle. Lengths are those that the data needs; `_squad` variants read windows of 384
tokens, 128 apart. None was measured at the papers' sizes here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, TrainConfig
from plmjax.finetune.sweep import grid
from plmjax.finetune.updates import LayerDecay
from plmjax.train.config import OptimizerConfig

BERT_ADAM = OptimizerConfig(learning_rate=3e-5, eps=1e-6, weight_decay=0.01, bias_correction=False, clip_norm=1.0)


def bert() -> FineTune:
    return FineTune(name="bert", train=TrainConfig(epochs=3.0, batch_size=32), optimizer=replace(BERT_ADAM))


def roberta() -> FineTune:
    return FineTune(
        name="roberta",
        train=TrainConfig(epochs=10.0, batch_size=32, warmup_share=0.06, patience=3),
        optimizer=OptimizerConfig(learning_rate=2e-5, b2=0.98, eps=1e-6, weight_decay=0.1),
    )


def gpt() -> FineTune:
    return FineTune(
        name="gpt",
        train=TrainConfig(epochs=3.0, batch_size=32, warmup_share=0.002),
        optimizer=OptimizerConfig(learning_rate=6.25e-5, weight_decay=0.01, clip_norm=1.0),
        lm_weight=0.5,
    )


def xlnet() -> FineTune:
    return FineTune(
        name="xlnet",
        train=TrainConfig(epochs=3.0, batch_size=32),
        optimizer=OptimizerConfig(learning_rate=2e-5, eps=1e-6, bias_correction=False, clip_norm=1.0),
    )


def electra(size: str) -> FineTune:
    rates = {"small": 3e-4, "base": 1e-4, "large": 5e-5}
    return FineTune(
        name=f"electra_{size}",
        train=TrainConfig(epochs=3.0, batch_size=32),
        optimizer=replace(BERT_ADAM, learning_rate=rates[size], weight_decay=0.0),
        updates=LayerDecay(0.9 if size == "large" else 0.8),
    )


def deberta(size: str) -> FineTune:
    return FineTune(
        name=f"deberta_{size}",
        train=TrainConfig(epochs=10.0, batch_size=32, patience=3),
        optimizer=OptimizerConfig(
            learning_rate=1e-5 if size == "large" else 2e-5, eps=1e-6, weight_decay=0.01, clip_norm=1.0
        ),
    )


def mini() -> FineTune:
    return FineTune(
        name="mini",
        train=TrainConfig(epochs=10.0, batch_size=32, patience=3),
        optimizer=OptimizerConfig(learning_rate=5e-4, eps=1e-6, weight_decay=0.01, clip_norm=1.0),
        dropout=0.1,
    )


def squad(recipe: FineTune, **changes: Any) -> FineTune:
    """Windows of 384 tokens."""
    train = replace(recipe.train, epochs=2.0, batch_size=48, patience=0)
    return replace(recipe, name=f"{recipe.name}_squad", length=384, stride=128, train=train, **changes)


VARIANTS: dict[str, Callable[[], FineTune]] = {
    "bert": bert,
    "bert_squad": lambda: squad(bert(), optimizer=replace(BERT_ADAM, learning_rate=5e-5)),
    "roberta": roberta,
    "roberta_squad": lambda: squad(
        roberta(), optimizer=replace(roberta().optimizer, learning_rate=1.5e-5, weight_decay=0.01)
    ),
    "gpt": gpt,
    "xlnet": xlnet,
    "xlnet_squad": lambda: squad(
        xlnet(), optimizer=replace(xlnet().optimizer, learning_rate=3e-5), updates=LayerDecay(0.75)
    ),
    "electra_small": lambda: electra("small"),
    "electra_base": lambda: electra("base"),
    "electra_large": lambda: electra("large"),
    "deberta": lambda: deberta("base"),
    "deberta_large": lambda: deberta("large"),
    "mini": mini,
}

# What the papers choose from.
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "bert": {
        "optimizer__learning_rate": (2e-5, 3e-5, 5e-5),
        "train__batch_size": (16, 32),
        "train__epochs": (2.0, 3.0, 4.0),
    },
    "roberta": {"optimizer__learning_rate": (1e-5, 2e-5, 3e-5), "train__batch_size": (16, 32)},
    "deberta": {"optimizer__learning_rate": (1.5e-5, 2e-5, 3e-5, 4e-5), "train__batch_size": (16, 32, 48, 64)},
    "deberta_large": {"optimizer__learning_rate": (5e-6, 8e-6, 9e-6, 1e-5), "train__batch_size": (16, 32, 48, 64)},
    "mini": {"optimizer__learning_rate": (2e-4, 5e-4, 1e-3)},
}


def get_config(variant: str = "bert") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick(VARIANTS, variant)


def sweep(variant: str = "bert") -> Iterator[dict[str, Any]]:
    """The points of --sweep: {path into the recipe: value}."""
    return grid(**GRIDS[variant]) if variant in GRIDS else iter(())

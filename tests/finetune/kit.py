"""Tiny checkpoints of each kind of network, files of tiny tasks, and a recipe that is quick."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import train_sentencepiece
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.network import limits_of, network_config
from plmjax.finetune.task_models import TaskModel, make_task_model
from plmjax.interop import Pretrained
from plmjax.interop.registry import BY_CLASS, architecture_of
from plmjax.modules import FAMILIES, Bound, build
from plmjax.train.config import OptimizerConfig

GOOD = ("good", "fine", "great", "lovely")
BAD = ("bad", "poor", "awful", "dull")
OTHER = ("film", "plot", "the", "a", "was", "and", "actor", "scene", "it", "very", "rather", "story")


def sentence(rng: np.random.Generator, label: int, words: int) -> str:
    """Words of which one says what the label is."""
    chosen = list(rng.choice(OTHER, words - 1))
    chosen.insert(int(rng.integers(words)), str(rng.choice(GOOD if label else BAD)))
    return " ".join(chosen)


def sentences(count: int, seed: int, longest: int = 20) -> list[tuple[str, int]]:
    """(text, label) of many lengths."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return [(sentence(rng, int(label), int(rng.integers(3, longest + 1))), int(label)) for label in labels]


def write_tsv(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """A table without a header line."""
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@cache
def tokenizer_in(directory: str, languages: tuple[str, ...] = ()) -> Tokenizer:
    """A tokenizer of the words above, with every special token."""
    texts = [text for text, _ in sentences(300, 99)]
    return train_sentencepiece(texts, directory, vocab_size=300, sentinels=0, languages=languages)


def checkpoint(tokenizer: Tokenizer, family: str = "bert", variant: str = "tiny", **changes: Any) -> Pretrained:
    """A network of random parameters, its layers one compiled loop."""
    config = replace(FAMILIES[family].variants[variant], vocab_size=tokenizer.vocabulary.size, unroll=False)
    config = replace(config, **changes)
    module = build(config)
    params = jax.tree.map(np.asarray, jax.jit(lambda: module.init(jax.random.key(0))["params"])())
    architecture = architecture_of(config)
    return Pretrained(config, params, architecture, tokenizer, BY_CLASS[architecture].special_of(tokenizer))


def recipe(**changes: Any) -> FineTune:
    """A quick one; `changes` are fields of FineTuneTrainConfig."""
    train = FineTuneTrainConfig(
        epochs=2.0, batch_size=8, buckets=2, pool=4, log_every=1000, compilation_cache="", tensorboard=False
    )
    return FineTune(
        train=replace(train, **changes),
        optimizer=OptimizerConfig(learning_rate=3e-3, clip_norm=1.0),
        dropout=0.1,
        name="quick",
    )


def task_model_of(pretrained: Pretrained, task: Any, given: FineTune | None = None) -> tuple[TaskModel, Bound]:
    """The task model of a task, which was prepared, and the network with fresh heads."""
    given = given or recipe()
    backbone = make_backbone(pretrained, given)
    task_model = make_task_model(task, backbone, limits_of(pretrained.config, given), given)
    module = build(network_config(pretrained.config, task_model, given))
    return task_model, Bound(module, jax.jit(lambda: module.init(jax.random.key(1))["params"])())

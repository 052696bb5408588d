"""A config.json with anything in any field is read, or refused in one sentence, for every family."""

import json
import logging
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop import Pretrained, load_huggingface, save_huggingface
from plmjax.interop.registry import FAMILIES
from plmjax.modules import FAMILIES as NETWORKS
from plmjax.modules import build

VALUES: list[Any] = [
    None, "x", "", -1, 0, 1, 2.5, float("nan"), [], {}, [1, 2], {"a": 1}, True, 333, "float32", ["a"]
]  # fmt: skip
DEBERTA_V2 = {"d_model": 32, "d_ff": 64, "num_heads": 2, "num_layers": 2}


def tiny(name: str) -> Any:
    """A config that the family's class can have."""
    kind = FAMILIES[name].config_classes[0]
    variants = next(network for network in NETWORKS.values() if network.config is kind).variants
    config = replace(variants["tiny"], vocab_size=64)
    if name in ("openai-gpt", "xlm"):
        return replace(config, d_ff=4 * config.d_model)
    return replace(variants["v3_small"], vocab_size=64, **DEBERTA_V2) if name == "deberta-v2" else config


def folder_of(name: str, folder: Path) -> dict[str, Any]:
    """Writes a checkpoint and gives its config.json."""
    family, config = FAMILIES[name], tiny(name)
    shapes = jax.eval_shape(lambda: build(config).init(jax.random.key(0))["params"])
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, np.float32), shapes)
    architecture = family.architecture(config) or family.base_model
    save_huggingface(Pretrained(config, params, architecture, None, dict(family.special)), folder)
    return json.loads((folder / "config.json").read_text())


def try_values(name: str, folder: Path, count: int, seed: int) -> int:
    """Loads with `count` random values in each field in turn; how many were refused."""
    whole, draw, refused = folder_of(name, folder), random.Random(seed), 0
    for field in whole:
        for value in draw.sample(VALUES, count):
            (folder / "config.json").write_text(json.dumps(whole | {field: value}))
            try:
                load_huggingface(folder)
            except UserError as error:
                assert "\n" not in str(error), (field, value)
                refused += 1
    return refused


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Warnings are many here, and not what is looked at."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_any_value_in_any_field(name: str, tmp_path: Path) -> None:
    assert try_values(name, tmp_path, count=3, seed=1) > 5


def test_the_sentence_names_the_field(tmp_path: Path) -> None:
    whole = folder_of("bert", tmp_path)
    for field, value, sentence in (
        ("hidden_size", "big", "has 'big' as 'hidden_size': it must be a whole number"),
        ("hidden_dropout_prob", [], "has [] as 'hidden_dropout_prob': it must be a number"),
        ("architectures", True, "has True as 'architectures': it must be a list"),
        ("model_type", ["bert"], "has model_type ['bert'], which plmjax does not read"),
        ("num_hidden_layers", 0, "num_layers is 0: it must be above 0"),
        ("num_attention_heads", 5, "num_heads is 5: it must divide d_model"),
        ("hidden_act", "gelo", "gelo"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(whole | {field: value}))
        with pytest.raises(UserError) as caught:
            load_huggingface(tmp_path)
        assert sentence in str(caught.value)
    (tmp_path / "config.json").write_text(json.dumps(whole | {"hidden_dropout_prob": 0, "hidden_size": None}))
    with pytest.raises(UserError, match="shape|tensor"):  # null is the class's 768
        load_huggingface(tmp_path)

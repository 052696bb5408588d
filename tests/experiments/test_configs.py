"""Every shipped configuration loads, is whole, and fits its objective to its network."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.modules.bert import VARIANTS
from plmjax.modules.distillation import DistillationConfig
from plmjax.train.resolve import resolve

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
OTHERS = ("__init__", "combine", "common", "downstream", "evaluate", "scaling")
FAMILIES = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem not in OTHERS)


def variants(family: str) -> list[str]:
    """The names that the file itself gives when asked for one that is not there."""
    with pytest.raises(UserError) as caught:
        importlib.import_module(f"experiments.configs.{family}").get_config("no such variant")
    return re.search(r"choose one of (.*)\.$", str(caught.value))[1].split(", ")


ALL = [(family, variant) for family in FAMILIES for variant in variants(family)]


@pytest.fixture(scope="module")
def vocabulary():
    specials = {name: i for i, name in enumerate(("pad", "eos", "unk", "bos", "cls", "sep", "mask"))}
    made = make_vocabulary(32_200, specials, tuple(range(32_199, 32_049, -1)), word_start=np.ones(32_200, bool))
    return replace(made, language_tokens=(7, 8), named={**made.named, "[R]": 9, "[S]": 10, "[X]": 11})


def test_there_are_configs():
    assert {"bert", "roberta", "gpt", "gpt2", "t5", "t5_1_1"} <= set(FAMILIES)


@pytest.mark.parametrize(("family", "variant"), ALL)
def test_config_resolves_and_survives_json(family, variant, vocabulary):
    config = importlib.import_module(f"experiments.configs.{family}").get_config(variant)
    if isinstance(config.model, DistillationConfig):  # whose teacher is known once its checkpoint is read
        config.model.teacher = VARIANTS["tiny"] if "mini" in variant else VARIANTS["base"]
        config.model.teacher = replace(config.model.teacher, d_model=config.model.student.d_model)
    resolved = resolve(config, vocabulary, device_count=1)
    assert resolved.model.vocab_size == vocabulary.padded_size
    assert build(resolved.model).kind in resolved.objective.kinds
    assert from_json(to_json(resolved)) == resolved


@pytest.mark.parametrize("family", FAMILIES)
def test_docstring_has_the_command_and_a_row_for_each_variant(family):
    text = importlib.import_module(f"experiments.configs.{family}").__doc__
    assert f"--config=experiments/configs/{family}.py" in text
    rows = re.findall(r"^\| (.*?) *\|(.*)\|$", text, re.MULTILINE)
    named = {name for names, _ in rows for name in names.split(", ")}
    assert set(variants(family)) <= named
    assert all(cells.count("|") == 2 for _, cells in rows)


def test_no_two_runs_share_a_folder():
    names = [importlib.import_module(f"experiments.configs.{f}").get_config(v).name for f, v in ALL]
    assert len(set(names)) == len(names)

"""What a configuration was called before is read, and is refused on the command line by its new name."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments._main import _reason, define_config
from plmjax.checkpoints.serialize import from_json
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.update_strategies import HeadsOnly
from plmjax.renames import CLASSES, FIELDS, MODULES, VALUES, new_value

ROOT = Path(__file__).parents[1]


def find(name: str) -> Any:
    """What "module:Class" names."""
    module, _, kind = name.partition(":")
    return getattr(importlib.import_module(module), kind)


@pytest.mark.parametrize("name", sorted({*MODULES.values()}))
def test_modules_are_there(name: str) -> None:
    assert importlib.import_module(name)


@pytest.mark.parametrize("name", sorted({*CLASSES.values(), *FIELDS, *VALUES}))
def test_classes_are_there(name: str) -> None:
    fields = set(find(name).__dataclass_fields__)
    assert set(FIELDS.get(name, {}).values()) <= fields
    assert not set(FIELDS.get(name, {})) & fields


def test_a_recipe_written_under_old_names_is_read() -> None:
    old = {
        "type": "plmjax.finetune.config:FineTune",
        "train": {"type": "plmjax.finetune.config:TrainConfig", "warmup_share": 0.25},
        "updates": {"type": "plmjax.finetune.updates:HeadsAlone"},
        "way": "chained_tags",
        "length": 12,
        "cut": True,
        "stride": 3,
        "most_question": 4,
        "most_answer": 5,
    }
    assert from_json(old) == FineTune(
        train=FineTuneTrainConfig(warmup_ratio=0.25),
        update_strategy=HeadsOnly(),
        task_model="crf_token_classification",
        max_length=12,
        truncation=True,
        doc_stride=3,
        max_query_length=4,
        max_answer_length=5,
    )


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--old.way=text_to_text", "FineTune's field 'way' is now called 'task_model': give it by that name"),
        ("--old.updates.rate=0.5", "FineTune's field 'updates' is now called 'update_strategy'"),
        ("--old.train.warmup_share=0.5", "FineTuneTrainConfig's field 'warmup_share' is now called 'warmup_ratio'"),
    ],
)
def test_an_old_field_is_refused_by_its_new_name(
    flag: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune", flag])
    with pytest.raises(SystemExit):
        define_config(str(ROOT / "experiments/configs/finetune/mini.py"), "A recipe.", "old")
    assert told in capsys.readouterr().err


def test_an_old_value_has_a_new_one() -> None:
    assert new_value("FineTune", "task_model", "spans_by_beam") == "beam_question_answering"
    assert new_value("FineTune", "task_model", "text_to_text") is None


def test_a_plain_mistake_names_no_new_field() -> None:
    error = ValueError("Field epoch not found on dataclass <class 'plmjax.finetune.config.FineTune'>")
    assert _reason(error) == "FineTune has no field 'epoch': --print_config shows the fields that there are."

"""What a configuration was called before is read, and is refused on the command line by its new name."""

import importlib
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from experiments._main import _reason, define_config
from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.decode.config import GenerationConfig
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.finetune.update_strategies import HeadsOnly, LayerDecay
from plmjax.renames import CLASSES, FIELDS, MODULES, MOVED, VALUES, new_value, upgraded
from plmjax.tasks.answers import Answers
from plmjax.train.config import OptimizerConfig

ROOT = Path(__file__).parents[1]
ADDED = ("warmup_init_lr", "exclude_from_weight_decay", "exclude_from_layer_adaptation")  # to the optimizer's settings


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


def test_a_result_written_before_settings_were_added_is_of_the_same_recipe() -> None:
    """Where its rule is unchanged: LayerDecay's exponents are others now, so that its results are another recipe's."""
    now = to_json(FineTune(optimizer=OptimizerConfig(weight_decay=0.01)))
    before = {**now, "optimizer": {key: value for key, value in now["optimizer"].items() if key not in ADDED}}
    assert len(before["optimizer"]) == len(now["optimizer"]) - len(ADDED)
    assert upgraded(before) == now
    layered = to_json(FineTune(update_strategy=LayerDecay(0.8)))
    old = {**layered, "update_strategy": {"type": layered["update_strategy"]["type"], "rate": 0.8}}
    assert upgraded(old) != layered


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
        "writer": {
            "type": "plmjax.finetune.writer:WriterConfig",
            "target_length": 9,
            "label_smoothing": 0.1,
            "beams": 4,
            "length_penalty": 0.6,
            "max_new_tokens": 0,
            "no_repeat_ngram": 3,
        },
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
        seq2seq=Seq2SeqConfig(max_target_length=9, label_smoothing=0.1),
        generation=GenerationConfig(num_beams=4, length_penalty=0.6, no_repeat_ngram_size=3),
    )
    greedy = {"type": "plmjax.finetune.writer:WriterConfig", "beams": 1, "length_penalty": 0.6, "max_new_tokens": 7}
    recipe = from_json({"type": "plmjax.finetune.config:FineTune", "writer": greedy})
    assert recipe == FineTune(generation=GenerationConfig(max_new_tokens=7))


def test_fields_that_moved_are_there() -> None:
    for config, paths in ((FineTune(), MOVED["FineTune"]), (Answers(), MOVED["Answers"])):
        for path in paths.values():
            attrgetter(path)(config)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--old.way=text_to_text", "FineTune's field 'way' is now called 'task_model': give it by that name"),
        ("--old.updates.rate=0.5", "FineTune's field 'updates' is now called 'update_strategy'"),
        ("--old.writer.beams=4", "FineTune's field 'writer.beams' is now called 'generation.num_beams'"),
        ("--old.writer.z_loss=0.1", "FineTune's field 'writer.z_loss' is now called 'seq2seq.z_loss'"),
        ("--old.train.warmup_share=0.5", "FineTuneTrainConfig's field 'warmup_share' is now called 'warmup_ratio'"),
    ],
)
def test_an_old_field_is_refused_by_its_new_name(
    flag: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune", flag])
    with pytest.raises(SystemExit):
        define_config(str(ROOT / "experiments/configs/finetune/mini.py"), "A recipe.", "old", kinds=(object,))
    assert told in capsys.readouterr().err


def test_an_old_value_has_a_new_one() -> None:
    assert new_value("FineTune", "task_model", "spans_by_beam") == "beam_question_answering"
    assert new_value("FineTune", "task_model", "text_to_text") is None


def test_a_plain_mistake_names_no_new_field() -> None:
    error = ValueError("Field epoch not found on dataclass <class 'plmjax.finetune.config.FineTune'>")
    assert _reason(error) == "FineTune has no field 'epoch': --print_config shows the fields that there are."


def test_a_subclass_of_a_decoder_is_read_too() -> None:
    """BART's language model inherits a GPT's fields, and so their old names."""
    old = {"type": "plmjax.modules.bart_lm:BartLMConfig", "num_layers": 1, "classes": 3}
    config = from_json(old)
    assert config.num_labels == 3 and "sequence_classification" in config.heads

"""Configurations survive JSON, and what differs is found."""

import importlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plmjax.checkpoints.serialize import first_difference, from_json, to_json
from plmjax.errors import UserError
from plmjax.modules.bert import BertConfig
from plmjax.objectives import OBJECTIVES
from tests.train.kit import tiny_config


@pytest.mark.parametrize("name", OBJECTIVES)
def test_round_trip(name: str, tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), objective=OBJECTIVES[name](), model=BertConfig(heads=("token",)))
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_difference_ignores_what_may_change(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    longer = tiny_config(tmp_path / "moved", train__steps=99, train__log_every=1, checkpoint__keep=9, mesh__fsdp=2)
    assert first_difference(to_json(config), to_json(longer)) is None
    other = tiny_config(tmp_path, train__length=8)
    assert first_difference(to_json(config), to_json(other)) == ("train.length", 16, 8)
    swapped = replace(config, objective=OBJECTIVES["masked_lm"]())
    path, _, _ = first_difference(to_json(config), to_json(swapped))
    assert path.startswith("objective")


def test_a_field_that_was_added_since_has_its_default(tmp_path: Path) -> None:
    """What a run wrote before the field was there is the same run."""
    config = tiny_config(tmp_path)
    written = to_json(config)
    del written["optimizer"]["warmup_init_lr"], written["train"]["length"]
    assert first_difference(written, to_json(replace(config, train=replace(config.train, length=128)))) is None
    assert first_difference(written, to_json(config)) == ("train.length", 128, 16)


def test_lamb_of_before_gave_every_tensor_a_trust_ratio(tmp_path: Path) -> None:
    written = to_json(tiny_config(tmp_path, optimizer__name="lamb", optimizer__bias_correction=False))
    del written["optimizer"]["exclude_from_layer_adaptation"], written["optimizer"]["exclude_from_weight_decay"]
    optimizer = from_json(written).optimizer
    assert optimizer.bias_correction and optimizer.exclude_from_layer_adaptation == "nothing"
    difference = first_difference(written, to_json(tiny_config(tmp_path, optimizer__name="lamb")))
    assert difference == ("optimizer.exclude_from_layer_adaptation", "nothing", "biases_and_norms")
    flat = to_json(tiny_config(tmp_path, optimizer__schedule="rsqrt", optimizer__decay_steps=12))
    del flat["optimizer"]["exclude_from_layer_adaptation"]
    assert from_json(flat).optimizer.decay_steps == 0


def test_strangers_are_refused(tmp_path: Path) -> None:
    data = to_json(tiny_config(tmp_path))
    data["train"]["colour"] = "red"
    with pytest.raises(UserError, match="a field 'colour'"):
        from_json(data)
    for name in ("plmjax.train.config:Nothing", "plmjax.nowhere:X", "plmjax.train.config:Config.Inner"):
        with pytest.raises(UserError, match="this version of plmjax does not have"):
            from_json({"type": name})


def test_a_users_own_class_needs_no_registry() -> None:
    assert from_json(to_json(Own(3))) == Own(3)


def test_a_module_that_was_not_imported_is_named_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tests.checkpoints.own_module"
    monkeypatch.delitem(sys.modules, name, raising=False)
    stored = {"type": f"{name}:Own", "value": 3}
    with pytest.raises(
        UserError, match=rf"does not import by itself: import {name} first, or .*--import_modules={name}"
    ):
        from_json(stored)
    assert name not in sys.modules
    module = importlib.import_module(name)
    assert from_json(stored) == module.Own(3)
    assert from_json(to_json(module.Own.Inner(4))) == module.Own.Inner(4)
    with pytest.raises(UserError, match=f"a Gone, which the module {name} does not have"):
        from_json({"type": f"{name}:Gone"})
    monkeypatch.delitem(sys.modules, name)
    for stranger in ("subprocess:Popen", "no_such_package:Config"):
        with pytest.raises(UserError, match=r"which the module subprocess does not|import no_such_package first"):
            from_json({"type": stranger})
    assert "no_such_package" not in sys.modules


@pytest.mark.parametrize("name", ["__main__:Mine", "config_config:Mine", "tests.somewhere:test.<locals>.Mine"])
def test_a_class_without_a_module_of_its_own_says_where_to_put_it(name: str) -> None:
    with pytest.raises(UserError, match="move the class into a module, import that first, and write MODULE:Mine"):
        from_json({"type": name})


@dataclass(slots=True)
class Own:
    """A dataclass outside plmjax."""

    value: int

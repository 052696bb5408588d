"""The flags that all scripts share: a configuration is found from any folder."""

import sys

import pytest
from absl import flags

from experiments import _main


@pytest.mark.parametrize("given", ["bert.py", "experiments/configs/bert.py", "finetune/mini.py"])
@pytest.mark.parametrize("variant", ["", ":mini", ":bert+masked_lm"])
def test_an_installed_configuration_is_found_from_any_folder(given, variant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = given.removeprefix("experiments/configs/")
    assert _main.installed(given + variant) == f"{_main.CONFIGS / name}{variant}"


def test_a_file_of_the_users_own_goes_before_an_installed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert.py").write_text("")
    assert _main.installed("bert.py:mini") == "bert.py:mini"


@pytest.mark.parametrize("given", ["nowhere.py", "nowhere.py:mini", "/nowhere/bert.py:mini", "bert", ""])
def test_a_path_that_names_nothing_stays_as_it_was_given(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _main.installed(given) == given


def test_the_flag_loads_an_installed_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["script", "--trial=bert.py:tiny", "--trial.train.steps=7"])
    flag = _main.define_config("unused.py", "Tried here.", name="trial")
    try:
        flags.FLAGS(sys.argv)
        assert (flag.value.name, flag.value.train.steps) == ("bert_tiny", 7)
    finally:
        for name in [name for name in flags.FLAGS if name.startswith("trial")]:
            delattr(flags.FLAGS, name)

"""The flags that all scripts share: a configuration is found from any folder."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags

from experiments import _early, _main
from plmjax.errors import UserError
from plmjax.train.config import Config


@pytest.fixture
def no_other_flags():
    """Puts aside the flags of the scripts that other tests import, some of which are required."""
    aside = {name: flags.FLAGS[name] for name in flags.FLAGS if name not in _early.ABSL_FLAGS}
    for name in aside:
        delattr(flags.FLAGS, name)
    yield
    for name in [name for name in flags.FLAGS if name not in _early.ABSL_FLAGS]:
        delattr(flags.FLAGS, name)
    for name, flag in aside.items():
        flags.FLAGS[name] = flag


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


def test_the_flag_loads_an_installed_configuration(tmp_path, monkeypatch, no_other_flags):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["script", "--trial=bert.py:tiny", "--trial.train.steps=7"])
    flag = _main.define_config("unused.py", "Tried here.", name="trial", kinds=(Config,))
    flags.FLAGS(sys.argv)
    assert (flag.value.name, flag.value.train.steps) == ("bert_tiny", 7)


@pytest.fixture
def ul2(monkeypatch):
    """A function from flags to UL2's tiny configuration, its objective's denoisers being a tuple of dataclasses."""

    def read(*arguments):
        monkeypatch.setattr("sys.argv", ["script", *arguments])
        values = flags.FlagValues()
        path = str(_main.CONFIGS / "ul2.py") + ":tiny"
        flag = config_flags.DEFINE_config_file("config", path, "", flag_values=values)
        values(sys.argv)
        return flag.value

    return read


def test_fields_of_a_tuples_elements_are_set_by_number(ul2):
    config = ul2("--config.objective.denoisers[2].weight=6", "--config.objective.denoisers[0].noise.mean_span=4")
    assert [denoiser.weight for denoiser in config.objective.denoisers] == [1, 1, 6, 1, 1, 1, 1]
    assert config.objective.denoisers[0].noise.mean_span == 4.0


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--config.objective.denoisers[9].weight=6", "names an element of a tuple that is not there: give its number"),
        ("--config.objective.denoisers.weight=6", "names an element of a tuple that is not there: give its number"),
        ("--config.objective.denoisers[2].wait=6", "Denoiser has no field 'wait'"),
    ],
)
def test_an_element_that_is_not_there_is_refused_in_a_sentence(ul2, argument, sentence):
    with pytest.raises(_main.MISTAKES) as caught:
        ul2(argument)
    assert sentence in _main._reason(caught.value)


def test_a_users_modules_are_imported_first(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "module_of_my_own.py").write_text("value = 3\n")
    _main._import(["module_of_my_own"])
    assert sys.modules.pop("module_of_my_own").value == 3
    with pytest.raises(UserError, match="--import_modules names no_such_module, which can't be imported"):
        _main._import(["no_such_module"])


def test_a_program_may_run_several_scripts(monkeypatch, no_other_flags):
    """The flag is there for each, even where a program takes away the flags of the script before."""
    monkeypatch.setattr("sys.argv", ["script"])
    monkeypatch.setattr(_main.app, "run", lambda guarded, flags_parser: guarded(flags_parser(sys.argv)))
    for _ in range(2):
        ran = []
        _main.run(lambda ran=ran: ran.append(flags.FLAGS.import_modules))
        assert ran == [[]]
        delattr(flags.FLAGS, "import_modules")


def test_the_folder_of_a_name_is_within_runs(tmp_path):
    assert str(_main.run_folder("", "bert_tiny")) == "runs/bert_tiny"
    assert _main.run_folder(f"{tmp_path}/a/b", "../x") == tmp_path / "a" / "b"
    for name in ("../x", "/x", "a/b", "..", ""):
        with pytest.raises(UserError, match="is no name of a folder"):
            _main.run_folder("", name)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("def get_config(variant=''):\n    return 3\n", "gives an object of type int, and this script needs Config"),
        ("def get_config(:\n", "mine.py:1 is not Python (invalid syntax): --config takes a Python file."),
        ("x = 1\n", "has no attribute 'get_config'"),
        (None, "There is no configuration file"),
    ],
)
def test_a_configuration_that_is_none(content, sentence, tmp_path, monkeypatch, no_other_flags, capsys):
    monkeypatch.delitem(sys.modules, "trial_config", raising=False)
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    monkeypatch.setattr("sys.argv", ["script", f"--trial={tmp_path / 'mine.py'}"])
    monkeypatch.setattr(_main, "_CONFIGURATIONS", {})
    monkeypatch.setattr(_main.app, "run", lambda guarded, flags_parser: guarded(flags_parser(sys.argv)))
    with pytest.raises(SystemExit) as end:
        _main.define_config("gpt2.py", "Tried here.", name="trial", kinds=(Config,))
        _main.run(lambda: pytest.fail("nothing runs"))
    said = capsys.readouterr().err
    assert end.value.code == 2 and sentence in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (
            PermissionError(13, "Permission denied", "/a/b"),
            "error: The file /a/b can't be read or written: there is no",
            2,
        ),
        (OSError(28, "No space left", "/a/b"), "error: The file /a/b can't be read or written: the disk is full", 2),
        (KeyboardInterrupt(), "stopped by SIGINT: the same command goes on from what is saved", 130),
    ],
)
def test_what_the_system_says_is_one_sentence(error, said, code, monkeypatch, no_other_flags, capsys):
    def main():
        raise error

    monkeypatch.setattr("sys.argv", ["script"])
    monkeypatch.setattr(_main, "_CONFIGURATIONS", {})
    monkeypatch.setattr(_main.app, "run", lambda guarded, flags_parser: guarded(flags_parser(sys.argv)))
    with pytest.raises(SystemExit) as end:
        _main.run(main)
    written = capsys.readouterr().err
    assert end.value.code == code and written.strip().startswith(said) and "Traceback" not in written

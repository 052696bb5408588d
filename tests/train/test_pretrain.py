"""The script: its configurations, its one-line mistakes, its exit statuses."""

import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from experiments import _main, _summary
from experiments._config_text import config_as_text
from plmjax.train.loop import Result

GPT2 = str(Path(__file__).resolve().parents[2] / "experiments" / "configs" / "gpt2.py")


def complaint(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the script would say of these flags."""
    monkeypatch.setattr(sys, "argv", ["pretrain", *arguments])
    values = flags.FlagValues()
    with pytest.raises(_main.MISTAKES) as caught:
        holder = config_flags.DEFINE_config_file("config", f"{GPT2}:tiny", "", flag_values=values)
        values(sys.argv)
        _ = holder.value.train
    return _main._reason(caught.value)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--config=nowhere.py", "There is no configuration file 'nowhere.py': give the path of one"),
        (f"--config={GPT2}:huge", "The config has no variant 'huge': choose one of builtin, tiny"),
        ("--config.train.stepz=3", "TrainConfig has no field 'stepz': --print_config shows"),
        ("--config.model.num_layer=3", "GPTConfig has no field 'num_layer'"),
        ("--config.train.steps=many", "invalid literal for int() with base 10: 'many'; see --help."),
        ("--colour=red", "Unknown command line flag 'colour'; see --help."),
    ],
)
def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch, argument: str, sentence: str) -> None:
    said = complaint(monkeypatch, argument)
    assert sentence in said
    assert "\n" not in said


def test_overrides_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--config.train.steps=7", "--config.model.dropout=0.5"])
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", f"{GPT2}:tiny", "", flag_values=values)
    values(sys.argv)
    assert holder.value.train.steps == 7
    assert holder.value.model.dropout == 0.5
    assert "--config.train.steps=7 " in config_as_text(holder.value)


def test_the_last_words(tmp_path: Path) -> None:
    (tmp_path / "loss.png").touch()
    done = Result("complete", 12, tmp_path, tmp_path / "checkpoints" / "12")
    text = _summary.describe_result(done, 12)
    assert "The run is complete: it is at step 12 of 12." in text
    assert f"checkpoint: {tmp_path}/checkpoints/12" in text
    assert f"plot: {tmp_path}/loss.png" in text
    assert "metrics" not in text
    stopped = Result("stopped", 6, tmp_path, tmp_path / "checkpoints" / "6")
    assert "Stopped at step 6 of 12: run the same command again" in _summary.describe_result(stopped, 12)

"""What a user gets of flags: help for every script, a misspelt one refused at once, and fields with their comments."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import _early
from experiments._config_text import config_as_text, field_comments
from experiments.configs import gpt2
from experiments.downstream.grid import Column
from plmjax.renames import FLAGS
from plmjax.train.config import TrainConfig
from tests.train.kit import REPOSITORY

SCRIPTS = sorted(
    file.stem for file in (REPOSITORY / "experiments").glob("*.py") if "_main.run(" in file.read_text(encoding="utf-8")
)


def refusal(script: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str | None:
    """What a command is refused with before anything is imported; None where it is not."""
    try:
        _early.refuse_unknown_flags([sys.executable, "-m", f"experiments.{script}", *arguments])
    except SystemExit as end:
        assert end.code == 2
        return capsys.readouterr().err.strip()
    return None


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_refuses_a_misspelt_flag_at_once(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = _early.flags_of(REPOSITORY / "experiments" / f"{script}.py")
    assert known
    for name in known:
        assert refusal(script, f"--{name}=x", capsys=capsys) is None
    said = refusal(script, "--no_such_flag=1", capsys=capsys)
    assert said == "error: Unknown flag --no_such_flag: --help lists the flags."


def test_a_near_name_is_offered_and_what_is_right_passes(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal("pretrain", "--workdri=x", capsys=capsys)
    assert said == "error: Unknown flag --workdri: do you mean --workdir?"
    right = (
        "--config=bert.py:tiny",
        "--config.train.steps=3",
        "--nodeterministic",
        "-h",
        "--verbosity=1",
        "a",
        "-",
        "--",
    )
    assert refusal("pretrain", *right, capsys=capsys) is None
    assert refusal("finetune", "--task.train=a.tsv", "--task=sst2", capsys=capsys) is None


def test_nothing_else_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["python"], ["python", "-m"], ["python", "-m", "pytest", "--x"], ["python", "mine.py", "--x"]):
        _early.refuse_unknown_flags(command)
    file = tmp_path / "script.py"
    file.write_text("import x\nx.define_flags()\n")
    assert _early.flags_of(file) is None  # whose names stand elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_a_scripts_own_flags_and_ends_well(script: str) -> None:
    command = [sys.executable, "-m", f"experiments.{script}", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr
    for name in _early.flags_of(REPOSITORY / "experiments" / f"{script}.py") - _early.ABSL_FLAGS - {"h"}:
        assert f"  --{name}: " in done.stdout or f"  --[no]{name}: " in done.stdout, name
    assert "--verbosity" not in done.stdout and "--xml_output_file" not in done.stdout


@dataclass
class Own:
    """A class of a user's.

    Attributes:
        first, second: two of
            a kind.
    """

    first: int
    second: str = "a"
    third: tuple[int, ...] = (1, 2)  # behind it


def test_fields_come_with_their_comments() -> None:
    assert field_comments(Own) == {"first": "two of a kind.", "second": "two of a kind.", "third": "behind it"}
    assert config_as_text(Own(3)).splitlines() == [
        "# config: Own",
        f"{'--config.first=3':<56}  # two of a kind.",
        f"{'--config.second=a':<56}  # two of a kind.",
        f"{'--config.third=(1, 2)':<56}  # behind it",
    ]

    @dataclass
    class Several:
        owns: tuple[Own, ...] = (Own(1), Own(2))

    several = config_as_text(Several()).splitlines()
    assert several[1:3] == ["# config.owns: 2 objects", "# config.owns[0]: Own"]
    assert f"{'--config.owns[1].first=2':<56}  # two of a kind." in several
    lines = config_as_text(gpt2.get_config("tiny")).splitlines()
    assert any(line.startswith("--config.train.steps=") and "# updates" in line for line in lines)
    assert "# config.train: TrainConfig" in lines
    assert set(field_comments(TrainConfig)) >= set(TrainConfig.__dataclass_fields__)
    assert set(field_comments(Column)) == set(Column.__dataclass_fields__)


@pytest.mark.parametrize(("script", "old"), [(script, old) for script, table in FLAGS.items() for old in table])
def test_an_old_flag_is_refused_by_its_new_name(script: str, old: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = FLAGS[script][old]
    known = _early.flags_of(REPOSITORY / "experiments" / f"{script}.py")
    assert known is not None and new in known and old not in known
    with pytest.raises(SystemExit) as ended:
        _early.refuse_unknown_flags([sys.executable, "-m", f"experiments.{script}", f"--{old}=3"])
    assert ended.value.code == 2
    assert f"error: The flag --{old} is now called --{new}" in capsys.readouterr().err

"""A seed that is broken off goes on to the same bits, whatever broke it off."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.errors import UserError
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.interop import Pretrained
from plmjax.train.trainer import EXIT_STOPPED, Programs
from tests.finetune.kit import recipe
from tests.finetune.test_loop import make_task

VALIDATED, KILLED, STEPS = 4, 7, 12


def run(encoder: Pretrained, data: Path, folder: Path, **changes: Any) -> Results:
    given = recipe(steps=STEPS, eval_every=VALIDATED, buckets=1, **({"log_every": 3} | changes))
    return finetune(encoder, make_task(data), given, folder, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def whole(encoder: Pretrained, data: Path) -> Results:
    return run(encoder, data, data / "whole")


def break_off(monkeypatch: pytest.MonkeyPatch, action: Any) -> list[int]:
    """Calls `action` when step KILLED begins, once; the list counts all steps that are made."""
    steps: list[int] = []
    program = Programs.__call__

    def counted(self: Programs, batch: Any) -> Any:
        """The programs of one batch, of which the training step is counted."""
        found = program(self, batch)

        def step(*arguments: Any) -> Any:
            if len(arguments) == 3:  # a state, a batch and a seed
                steps.append(len(steps) + 1)
                if len(steps) == KILLED:
                    action()
            return found(*arguments)

        return step

    monkeypatch.setattr(Programs, "__call__", counted)
    return steps


def assert_same(found: Results, whole: Results, folder: Path, data: Path) -> None:
    """Scores, predictions, parameters and logged losses, to the bit."""
    one, other = found.runs[0], whole.runs[0]
    assert (one.scores, one.best_step, one.steps) == (other.scores, other.best_step, other.steps)
    lines, expected = ((path / "predictions.jsonl").read_text() for path in (folder, data / "whole"))
    assert lines == expected
    jax.tree.map(np.testing.assert_array_equal, plmjax.load(folder).params, plmjax.load(data / "whole").params)
    assert losses(folder) == losses(data / "whole")
    assert not (folder / "seed_0" / "state").exists()


def losses(folder: Path) -> list[Any]:
    lines = (folder / "seed_0" / "metrics.jsonl").read_text().splitlines()
    return [(record["split"], record["step"], record["loss"]) for record in map(json.loads, lines)]


def test_a_signal_saves_first(
    encoder: Pretrained, whole: Results, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = break_off(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        run(encoder, data, tmp_path / "run")
    assert ended.value.code == EXIT_STOPPED
    assert len(steps) == KILLED
    found = run(encoder, data, tmp_path / "run")
    assert len(steps) == STEPS  # none was made twice
    assert_same(found, whole, tmp_path / "run", data)


def test_a_kill_costs_the_steps_since_the_last_validation(
    encoder: Pretrained, whole: Results, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut() -> None:
        raise RuntimeError("power cut")

    steps = break_off(monkeypatch, power_cut)
    with pytest.raises(RuntimeError, match="power cut"):
        run(encoder, data, tmp_path / "run")
    with pytest.raises(UserError, match="holds an interrupted run of another checkpoint, task or recipe"):
        run(encoder, data, tmp_path / "run", patience=1)
    found = run(encoder, data, tmp_path / "run")
    assert len(steps) == KILLED + STEPS - VALIDATED
    assert_same(found, whole, tmp_path / "run", data)


@pytest.mark.slow
def test_a_damaged_best_step_begins_again(
    encoder: Pretrained, whole: Results, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        run(encoder, data, tmp_path / "run")
    (best,) = (tmp_path / "run" / "seed_0" / "checkpoints").iterdir()
    (best / "manifest.json").unlink()
    assert_same(run(encoder, data, tmp_path / "run"), whole, tmp_path / "run", data)

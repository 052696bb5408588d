"""The loop that pre-training and fine-tuning share, on steps that count: what is called, and in which order."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.train.config import MeshConfig
from plmjax.train.metrics import MetricAccumulator
from plmjax.train.sharding import AbstractBatch, HostBatch, make_mesh
from plmjax.train.trainer import LoopSettings, Programs, Trainer

STEPS = 6


class Log:
    """A reporter that writes nothing down but the calls."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def tick(self) -> None:
        self._calls.append("tick")

    def write(self, record: dict[str, Any]) -> None:
        self._calls.append(f"line {record['step']}: {record['loss']:g}")


class Counting(Trainer):
    """The state is the number of its steps; step n has the loss n. Batches of odd steps are longer."""

    def __init__(self, enough: int = 0, nonfinite: int = 0) -> None:
        self.calls: list[str] = []
        self.enough, self.nonfinite, self.compiled = enough, nonfinite, 0
        self.mesh = make_mesh(MeshConfig(), jax.devices()[:1])
        self.reporter = Log(self.calls)  # type: ignore[assignment]
        self.metrics = MetricAccumulator()
        self.programs = Programs(self._lower)  # type: ignore[arg-type]
        self.settings = LoopSettings(STEPS, 2, 3, 2, 0.0, {})

    def _lower(self, batch: AbstractBatch) -> Any:
        self.compiled += 1
        step = self._step
        return type("Lowered", (), {"compile": lambda self: step})()

    def _step(self, state: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        self.calls.append(f"step {state + 1} with {int(batch['tokens'][0, 0])}")
        report = {
            "losses": {"loss": (state + 1.0, 1.0)},
            "metrics": {},
            "grad_norm": 1.0,
            "param_norm": 1.0,
            "learning_rate": 0.1,
            "tokens": 4,
            "nonfinite": 0,
            "nonfinite_in_a_row": self.nonfinite,
        }
        return state + 1, report

    def stream(self, start: int) -> Iterator[HostBatch]:
        for step in range(start, STEPS):
            yield {"tokens": np.full((2, 3 + step % 2), step, np.int32)}

    def batch_size(self, step: int) -> int:
        return 2

    def epoch(self, step: int) -> float:
        return step / STEPS

    def begin(self, state: Any) -> None:
        self.calls.append("begin")

    def validate(self, step: int, state: Any) -> bool:
        self.calls.append(f"validate {step}")
        return step == self.enough

    def is_saved(self, step: int, validated: bool) -> bool:
        return step % 4 == 0 or step == STEPS

    def save(self, step: int, state: Any) -> None:
        self.calls.append(f"save {step}")

    def nonfinite_error(self, step: int, in_a_row: int) -> UserError:
        return UserError(f"step {step}, {in_a_row} in a row")


def test_a_report_is_read_after_the_next_step_has_begun_and_before_a_save() -> None:
    trainer = Counting()
    end = trainer.fit(0, 0)  # type: ignore[arg-type]
    assert (end.status, end.state, end.step) == ("finished", STEPS, STEPS)
    assert [call for call in trainer.calls if call != "tick"] == [
        "begin", "step 1 with 0", "step 2 with 1",
        "step 3 with 2", "line 2: 1.5", "validate 3",
        "step 4 with 3", "line 4: 3.5", "save 4",
        "step 5 with 4", "step 6 with 5", "line 6: 5.5", "validate 6", "save 6",
    ]  # fmt: skip
    assert trainer.calls.count("tick") == STEPS
    assert (trainer.compiled, len(trainer.programs.by_shape), trainer.programs.lengths()) == (2, 2, [3, 4])


def test_a_run_that_resumes_takes_the_batches_that_are_left() -> None:
    trainer = Counting()
    assert trainer.fit(4, 4).step == STEPS  # type: ignore[arg-type]
    assert [call for call in trainer.calls if call.startswith(("step", "begin"))] == ["step 5 with 4", "step 6 with 5"]


def test_a_validation_may_end_the_run_which_is_then_not_saved() -> None:
    trainer = Counting(enough=3)
    end = trainer.fit(0, 0)  # type: ignore[arg-type]
    assert (end.status, end.step) == ("early", 3)
    assert not any(call.startswith("save") for call in trainer.calls)


def test_gradients_that_are_not_finite_end_the_run() -> None:
    with pytest.raises(UserError, match="step 1, 2 in a row"):
        Counting(nonfinite=2).fit(0, 0)  # type: ignore[arg-type]

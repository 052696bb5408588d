"""What a run that resumes says of another schedule, and refuses of another start."""

from pathlib import Path
from typing import Any

import pytest

from plmjax.errors import UserError
from plmjax.train.manifest import changed_schedule, check_same_start, start_of


def manifest(schedule: str, decay_steps: int) -> dict[str, Any]:
    return {"config": {"optimizer": {"schedule": schedule, "decay_steps": decay_steps}}}


def test_a_rate_that_falls_to_another_end_is_said() -> None:
    said = changed_schedule(manifest("linear", 100), manifest("linear", 2000))
    assert said == "the learning rate now falls until step 2,000, and not until step 100: it jumps here"
    assert changed_schedule(manifest("linear", 100), manifest("linear", 100)) == ""
    assert changed_schedule(manifest("rsqrt", 0), manifest("rsqrt", 0)) == ""


def test_another_start_is_refused(tmp_path: Path) -> None:
    started = {"init_from": start_of(str(tmp_path / "first"))}
    check_same_start(started, str(tmp_path / "first"), tmp_path)
    check_same_start(started, "", tmp_path)
    check_same_start({}, "anything", tmp_path)  # of a version that did not write it down
    with pytest.raises(UserError, match="started from .*first, and --init_from names .*second: leave it out"):
        check_same_start(started, str(tmp_path / "second"), tmp_path)
    with pytest.raises(UserError, match="started from random parameters"):
        check_same_start({"init_from": ""}, str(tmp_path / "second"), tmp_path)

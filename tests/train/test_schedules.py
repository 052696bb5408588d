"""Learning rates at the points that the papers fix."""

import math

import pytest

from plmjax.errors import UserError
from plmjax.train.config import OptimizerConfig
from plmjax.train.schedules import make_schedule


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"schedule": "linear"}, {0: 0.0, 5: 0.5, 10: 1.0, 60: 0.5, 110: 0.0, 200: 0.0}),
        ({"schedule": "linear", "decay_steps": 60}, {10: 1.0, 35: 0.5, 60: 0.0}),
        ({"schedule": "cosine"}, {5: 0.5, 10: 1.0, 35: 0.5 * (1 + math.cos(math.pi / 4)), 110: 0.0}),
        ({"schedule": "cosine", "final_scale": 0.1}, {10: 1.0, 60: 0.55, 110: 0.1, 500: 0.1}),
        ({"schedule": "constant"}, {0: 0.0, 5: 0.5, 10: 1.0, 1000: 1.0}),
        ({"schedule": "constant", "warmup_steps": 0}, {0: 1.0}),
        ({"schedule": "linear", "warmup_steps": 0}, {0: 1.0, 55: 0.5}),
        ({"schedule": "rsqrt"}, {0: 1.0, 10: 1.0, 40: 0.5, 1000: 0.1}),
    ],
)
def test_values(options: dict, values: dict[int, float]) -> None:
    config = OptimizerConfig(**{"learning_rate": 2.0, "warmup_steps": 10} | options)
    schedule = make_schedule(config, steps=110)
    for count, share in values.items():
        assert float(schedule(count)) == pytest.approx(2.0 * share, abs=1e-6), count


def test_t5() -> None:
    schedule = make_schedule(OptimizerConfig(schedule="rsqrt", learning_rate=0.01, warmup_steps=10_000), steps=2**19)
    for step in (0, 9_999, 10_000, 40_000, 2**19):
        assert float(schedule(step)) == pytest.approx(1 / math.sqrt(max(step, 10_000)), rel=1e-5)


def test_unknown() -> None:
    with pytest.raises(UserError, match="optimizer.schedule is 'step'"):
        make_schedule(OptimizerConfig(schedule="step"), 10)

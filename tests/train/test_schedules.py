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
        ({"schedule": "inverse_sqrt"}, {0: 0.0, 5: 0.5, 10: 1.0, 40: 0.5, 1000: 0.1}),
        ({"schedule": "inverse_sqrt", "warmup_init_lr": 0.2}, {0: 0.1, 5: 0.55, 10: 1.0, 40: 0.5}),
        ({"schedule": "linear", "warmup_init_lr": 0.2}, {0: 0.1, 5: 0.55, 10: 1.0, 60: 0.5}),
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


def test_fairseq_s_and_xlm_s_steps() -> None:
    """Their rule, restated: a line from the first rate, then a factor fixed at its end over the root of the step."""
    peak, start, warmup = 5e-4, 1e-7, 4_000
    config = OptimizerConfig(
        schedule="inverse_sqrt", learning_rate=peak, warmup_steps=warmup, warmup_init_lr=start, b2=0.98
    )
    schedule = make_schedule(config, steps=10**6)
    for count in (0, 1, 17, 3_999, 4_000, 4_001, 64_000, 10**6):
        rule = start + count * (peak - start) / warmup if count < warmup else peak * warmup**0.5 * count**-0.5
        assert float(schedule(count)) == pytest.approx(rule, rel=1e-5), count


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schedule": "step"}, "optimizer.schedule is 'step'"),
        ({"schedule": "inverse_sqrt"}, "which needs optimizer.warmup_steps above 0"),
        ({"schedule": "rsqrt", "warmup_steps": 4, "decay_steps": 9}, "decay_steps is 9, but the schedule 'rsqrt' has"),
        ({"schedule": "rsqrt", "final_scale": 0.1}, "final_scale is 0.1, but the schedule 'rsqrt' has no use for it"),
        ({"schedule": "rsqrt", "warmup_init_lr": 1e-7}, "warmup_init_lr is 1e-07, but the schedule 'rsqrt' has no use"),
        ({"schedule": "constant", "decay_steps": 9}, "decay_steps is 9, but the schedule 'constant' has no use for it"),
        ({"schedule": "constant", "final_scale": 0.1}, "final_scale is 0.1, but the schedule 'constant' has no use"),
        ({"schedule": "linear", "warmup_init_lr": 1e-7}, "a schedule without warm-up has no use"),
        ({"warmup_steps": 4, "warmup_init_lr": 0.1}, "it must be from 0 to optimizer.learning_rate, 0.001"),
    ],
)
def test_mistakes(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_schedule(OptimizerConfig(**changes), 10)

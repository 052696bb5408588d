"""The fits find the exponents that losses were made with, and the intervals hold them as often as they say."""

import numpy as np
import pytest

from experiments.scaling.fit import JOINT, POWER, POWER_ABOVE_FLOOR, SUM, fit, front

SIZES = np.array([6e3, 2.5e4, 8e4, 2e5, 4.4e5, 8e5])
BUDGETS = np.array([1.25e5, 2.5e5, 5e5, 1e6])
N, D = (axis.ravel() for axis in np.meshgrid(SIZES, BUDGETS))

# Kaplan et al. 2020: L(N), and the joint form with the constants of its fit.
BY_SIZE = (8.8e13 / SIZES) ** 0.076
TOGETHER = ((6.4e13 / N) ** (0.076 / 0.103) + 1.8e13 / D) ** 0.103


@pytest.mark.parametrize(
    ("law", "points", "losses", "values"),
    [
        (POWER, [SIZES], BY_SIZE, {"alpha": 0.076, "scale": 8.8e13}),
        (
            POWER_ABOVE_FLOOR,
            [SIZES],
            3.0 + (1e5 / SIZES) ** 0.3,
            {"alpha": 0.3, "scale": 1e5, "floor": 3.0},
        ),
        (
            JOINT,
            [N, D],
            TOGETHER,
            {"alpha_N": 0.076, "alpha_D": 0.103, "alpha_N / alpha_D": 0.076 / 0.103, "Nc": 6.4e13, "Dc": 1.8e13},
        ),
        (
            SUM,
            [N, D],
            1.7 + 400 / N**0.34 + 410 / D**0.28,
            {"alpha": 0.34, "beta": 0.28, "floor": 1.7, "N with C": 0.28 / 0.62},
        ),
    ],
)
def test_a_law_finds_what_losses_were_made_with(law, points, losses, values):
    found = fit(law, points, losses)
    assert found.deviation < 1e-6
    for name, value in values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-3), name
    np.testing.assert_allclose(found.losses(*points), losses, rtol=1e-6)


def test_noise_moves_the_joint_law_as_little_as_it_says():
    rng = np.random.default_rng(5)
    found = fit(JOINT, [N, D], TOGETHER * np.exp(0.003 * rng.standard_normal(N.size)), resamples=100)
    assert found.values["alpha_N"] == pytest.approx(0.076, abs=0.02)
    assert found.values["alpha_D"] == pytest.approx(0.103, abs=0.006)
    assert 0.002 < found.deviation < found.left_out < 0.006
    for name, value in {"alpha_N": 0.076, "alpha_D": 0.103, "Nc": 6.4e13, "Dc": 1.8e13}.items():
        low, high = found.intervals[name]
        assert low < value < high


def covered(law, points, losses, noise, name, value, draws, resamples):
    """How often the interval of a quantity holds its value."""
    rng, hits = np.random.default_rng(20), 0
    for draw in range(draws):
        noisy = losses * np.exp(noise * rng.standard_normal(losses.size))
        low, high = fit(law, points, noisy, resamples, seed=draw).intervals[name]
        hits += low <= value <= high
    return hits / draws


def within_three_errors(share, draws):
    return abs(share - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / draws)


def test_intervals_of_a_power_law_hold_its_exponent_in_95_of_100():
    # Intervals half or twice as wide would hold it in about 76 or 99.5 of 100.
    share = covered(POWER, [SIZES], BY_SIZE, 0.01, "alpha", 0.076, draws=200, resamples=100)
    assert within_three_errors(share, 200), share


def test_intervals_of_the_joint_law_hold_its_exponent_in_95_of_100():
    share = covered(JOINT, [N, D], TOGETHER, 0.003, "alpha_D", 0.103, draws=50, resamples=50)
    assert within_three_errors(share, 50), share


def test_the_joint_law_says_which_size_is_best_for_a_compute():
    law = fit(JOINT, [N, D], TOGETHER)
    sizes = np.geomspace(1e2, 1e14, 40_001)
    best = [sizes[np.argmin(law.losses(sizes, compute / (6.0 * sizes)))] for compute in (1e12, 1e18)]
    assert np.log(best[1] / best[0]) / np.log(1e6) == pytest.approx(law.values["N with C"], abs=2e-3)


def test_a_run_left_out_deviates_as_linear_algebra_says():
    losses = BY_SIZE * np.exp([0.01, -0.02, 0.0, 0.015, -0.01, 0.005])
    x = np.stack([np.ones(SIZES.size), np.log(SIZES)], axis=1)
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    deviations = np.log(losses) - hat @ np.log(losses)
    found = fit(POWER, [SIZES], losses)
    assert found.left_out == pytest.approx(np.sqrt(np.mean((deviations / (1 - np.diag(hat))) ** 2)), rel=1e-6)
    assert found.deviation == pytest.approx(np.sqrt(np.sum(deviations**2) / (SIZES.size - 2)), rel=1e-6)


def test_the_same_seed_gives_the_same_interval():
    losses = BY_SIZE * np.exp([0.01, -0.02, 0.0, 0.015, -0.01, 0.005])
    one, two, other = (fit(POWER, [SIZES], losses, 50, seed=seed).intervals for seed in (1, 1, 2))
    assert one == two != other


def test_too_few_runs_give_no_interval_or_no_fit():
    assert fit(POWER, [SIZES[:3]], BY_SIZE[:3], 50).intervals == {}
    assert set(fit(POWER, [SIZES[:4]], BY_SIZE[:4] * [1, 1.01, 1, 1], 50).intervals) == {"alpha", "scale"}
    assert np.isnan(fit(POWER, [SIZES[:2]], BY_SIZE[:2]).left_out)
    with pytest.raises(ValueError, match="2 runs are too few for the 3 parameters of 'E "):
        fit(POWER_ABOVE_FLOOR, [SIZES[:2]], BY_SIZE[:2])


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_numbers_without_a_logarithm_are_refused(wrong):
    with pytest.raises(ValueError, match="finite numbers above 0"):
        fit(POWER, [SIZES], np.where(np.arange(SIZES.size) == 2, wrong, BY_SIZE))


def test_the_front_is_the_lower_envelope():
    #                   dearer than 1 and worse; as dear as 1 and worse; as good as 3 and dearer
    compute = np.array([1.0, 2.0, 3.0, 4.0, 1.0, 5.0, 6.0])
    losses = np.array([5.0, 5.5, 4.0, 3.9, 5.2, 3.9, 3.0])
    assert front(compute, losses).tolist() == [0, 2, 3, 6]

"""What is made of the runs' records, without training any."""

import numpy as np
import pytest

from experiments.scaling.fit import front
from experiments.scaling.report import draw, fit_all, table

SIZES = ((2, 16, 6_592), (2, 32, 25_472), (4, 64, 200_064), (4, 96, 447_552), (4, 128, 793_344))
BUDGETS = (128_000, 256_000, 512_000, 1_024_000)


def record(layers, width, size, tokens, seed=0, factor=1.0):
    loss = ((6.4e13 / size) ** (0.076 / 0.103) + 1.8e13 / tokens) ** 0.103
    return {
        "name": f"{layers}x{width}_{tokens}_{seed}",
        "layers": layers,
        "width": width,
        "tokens": tokens,
        "parameters": size,
        "compute": 6.0 * size * tokens,
        "counted_flops": 6.0 * (size + 4096 * width) * tokens,
        "loss": loss * factor,
        "unigram_entropy": 6.46,
    }


@pytest.fixture(scope="module")
def runs():
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(len(SIZES) * len(BUDGETS)))
    grid = [(*size, tokens) for tokens in BUDGETS for size in SIZES]
    return [record(*cell, factor=factor) for cell, factor in zip(grid, noise, strict=True)]


@pytest.fixture(scope="module")
def results(runs):
    return fit_all(runs, resamples=20)


def test_which_runs_a_law_is_fitted_to(runs, results):
    counts = {name: found.count for name, found in results.fits.items()}
    assert (counts["L(N)"], counts["L(D)"], counts["L(N, D)"]) == (5, 4, 20)
    assert counts["L(C)"] == counts["N(C)"] == len(results.front)
    counted = np.array([run["counted_flops"] for run in runs])
    best = counted[front(counted, np.array([run["loss"] for run in runs]))]
    assert counts["L(C), C counted"] == best.size
    assert results.fits["L(C), C counted"].centre == pytest.approx(np.log(best).mean())
    slope = np.polyfit(np.log(BUDGETS), np.log([run["loss"] for run in runs if run["width"] == 128]), 1)[0]
    assert results.fits["L(D)"].values["alpha"] == pytest.approx(-slope)
    assert results.fits["L(N, D)"].values["alpha_D"] == pytest.approx(0.103, abs=0.005)


def test_the_table_stands_beside_kaplan(runs, results):
    text = table(runs, results)
    assert f"| 2 x 16 | 6,592 | {runs[0]['loss']:.3f} * |" in text
    line = next(line for line in text.splitlines() if line.startswith("| L(D) | 4 | alpha |"))
    assert "| 0.095 |" in line and " to " in line
    assert "PF-days | 3.1e+08" not in text  # an interval lies between them
    assert "seed to seed" not in text


def test_seeds_are_averaged_on_the_front_and_their_spread_is_told(runs):
    cells = [(*size, tokens) for tokens in BUDGETS for size in SIZES]
    twice = [record(*cell, seed=seed, factor=1.0 + 0.01 * (-1) ** seed) for cell in cells for seed in (0, 1)]
    once = [record(*cell) for cell in cells]
    two, one = fit_all(twice, 0), fit_all(once, 0)
    assert two.front == one.front
    assert two.fits["L(C)"].values["alpha"] == pytest.approx(one.fits["L(C)"].values["alpha"])
    assert two.fits["L(D)"].count == 2 * one.fits["L(D)"].count
    assert "Standard deviation of a loss from seed to seed: 1.41%." in table(twice, two)


def test_laws_with_too_few_runs_are_left_out(runs, tmp_path):
    few = [run for run in runs if run["width"] in (16, 128) and run["tokens"] in BUDGETS[:2]]
    results = fit_all(few, 20)
    assert "L(N) above a floor" not in results.fits and "L(N, D), a sum" not in results.fits
    assert "| L(N) | 2 | alpha |" in table(few, results)
    draw(few, results, tmp_path / "few.png")
    assert (tmp_path / "few.png").read_bytes().startswith(b"\x89PNG")

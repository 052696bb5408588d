"""What a family's runs say: the fits, a table beside Kaplan's exponents, and the figure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.scaling.fit import JOINT, POWER, POWER_ABOVE_FLOOR, SUM, Fit, Law, fit, front
from plmjax.train.figures import add_legend, make_figure, save_figure
from plmjax.train.reporting import si

Runs = list[dict[str, Any]]

PF_DAY = 8.64e19  # FLOPs

# Kaplan et al. 2020: (law, quantity) -> what they found, N and D in parameters and tokens, C in PF-days.
KAPLAN: dict[tuple[str, str], str] = {
    ("L(N)", "alpha"): "0.076",
    ("L(N)", "scale"): "8.8e+13",
    ("L(D)", "alpha"): "0.095",
    ("L(D)", "scale"): "5.4e+13",
    ("L(C)", "alpha"): "0.050 (0.057 at one batch size)",
    ("L(C)", "scale"): "3.1e+08 (1.6e+07) PF-days",
    ("L(N, D)", "alpha_N"): "0.076",
    ("L(N, D)", "alpha_D"): "0.103",
    ("L(N, D)", "alpha_N / alpha_D"): "0.74",
    ("L(N, D)", "N with C"): "0.58, follows from the line above",
    ("L(N, D)", "Nc"): "6.4e+13",
    ("L(N, D)", "Dc"): "1.8e+13",
    ("N(C)", "exponent"): "0.73",
    ("D(C)", "exponent"): "0.27",
}


@dataclass(slots=True)
class Results:
    """The fits by name, and the names of the runs that L(C) is fitted to. A law with too few runs is not there."""

    fits: dict[str, Fit]
    front: list[str]

    def as_json(self) -> dict[str, Any]:
        """For results.json."""
        return {name: _as_json(found) for name, found in self.fits.items()}


def _as_json(found: Fit) -> dict[str, Any]:
    numbers = {"deviation": found.deviation, "left_out": found.left_out}
    return {
        "formula": found.law.formula,
        "runs": found.count,
        "values": found.values,
        "intervals": {name: [_number(end) for end in ends] for name, ends in found.intervals.items()},
        **{name: _number(value) for name, value in numbers.items()},
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# X ~ C^exponent, by the straight line of log X over log C.
ALLOCATION = Law(
    "(C / Cc)^exponent",
    size=2,
    predict=POWER.predict,
    starts=POWER.starts,
    quantities=lambda p, centre: {"exponent": -p[0]},
    straight=True,
)


def fit_all(runs: Runs, resamples: int) -> Results:
    """All laws that there are runs enough for.

    Args:
        runs: records of runs.jsonl, all sizes of some budgets.
        resamples: of the bootstrap.
    """
    largest, most = max(run["parameters"] for run in runs), max(run["tokens"] for run in runs)
    by_size = [run for run in runs if run["tokens"] == most]
    by_data = [run for run in runs if run["parameters"] == largest]
    best = _front(runs, "compute")
    best_counted = _front(runs, "counted_flops")
    plans: list[tuple[str, Law, Runs, tuple[str, ...], str]] = [
        ("L(N)", POWER, by_size, ("parameters",), "loss"),
        ("L(N) above a floor", POWER_ABOVE_FLOOR, by_size, ("parameters",), "loss"),
        ("L(D)", POWER, by_data, ("tokens",), "loss"),
        ("L(D) above a floor", POWER_ABOVE_FLOOR, by_data, ("tokens",), "loss"),
        ("L(C)", POWER, best, ("compute",), "loss"),
        ("L(C) above a floor", POWER_ABOVE_FLOOR, best, ("compute",), "loss"),
        ("L(C), C counted", POWER, best_counted, ("counted_flops",), "loss"),
        ("L(N, D)", JOINT, runs, ("parameters", "tokens"), "loss"),
        ("L(N, D), a sum", SUM, runs, ("parameters", "tokens"), "loss"),
        ("N(C)", ALLOCATION, best, ("compute",), "parameters"),
        ("D(C)", ALLOCATION, best, ("compute",), "tokens"),
    ]
    fits = {}
    for name, law, members, columns, of in plans:
        points = [_values(members, column) for column in columns]
        if _enough(law, points):
            fits[name] = fit(law, points, _values(members, of), resamples)
    return Results(fits, [run["name"] for run in best])


def _enough(law: Law, points: list[np.ndarray]) -> bool:
    """Whether the runs can tell the law's parameters: there are as many different points."""
    return len(set(zip(*points, strict=True))) >= law.size


def _values(runs: Runs, name: str) -> np.ndarray:
    return np.array([run[name] for run in runs], np.float64)


def _front(runs: Runs, compute: str) -> Runs:
    """The lower envelope; of several seeds the mean counts, as the luckiest would be taken else."""
    cells = _means(runs)
    return [cells[at] for at in front(_values(cells, compute), _values(cells, "loss"))]


def _means(runs: Runs) -> Runs:
    """One record for each size and budget, with the mean loss of its seeds."""
    cells: dict[tuple[int, int], Runs] = {}
    for run in runs:
        cells.setdefault((run["parameters"], run["tokens"]), []).append(run)
    return [same[0] | {"loss": float(np.mean(_values(same, "loss")))} for same in cells.values()]


def table(runs: Runs, results: Results) -> str:
    """Losses by size and budget, then what was fitted beside what Kaplan et al. found, as Markdown."""
    budgets = sorted({run["tokens"] for run in runs})
    cells = {(run["parameters"], run["tokens"]): run for run in _means(runs)}
    sizes = sorted({(run["parameters"], f"{run['layers']} x {run['width']}") for run in runs})
    lines = [
        f"Validation loss, nats a token (unigram entropy {runs[0]['unigram_entropy']:.3f}); *: best for its compute.",
        "",
        f"| layers x width | N | {' | '.join(f'D = {si(budget)}' for budget in budgets)} |",
        "|---" * (len(budgets) + 2) + "|",
    ]
    for parameters, size in sizes:
        row = [cells[parameters, budget] for budget in budgets]
        losses = [f"{run['loss']:.3f}{' *' if run['name'] in results.front else ''}" for run in row]
        lines.append(f"| {size} | {parameters:,} | {' | '.join(losses)} |")
    lines += ["", "| law | runs | quantity | measured | 95% interval | Kaplan et al. | deviation | left out |"]
    lines.append("|---" * 8 + "|")
    for name, found in results.fits.items():
        for quantity in found.values:
            lines.append(f"| {' | '.join(_row(name, found, quantity))} |")
    return "\n".join([*lines, "", *_notes(runs)])


def _row(name: str, found: Fit, quantity: str) -> list[str]:
    first = quantity == next(iter(found.values))
    units = " PF-days" if name.startswith("L(C)") and quantity == "scale" else ""
    show = _shower(quantity, PF_DAY if units else 1.0)
    ends = found.intervals.get(quantity)
    return [
        name if first else "",
        str(found.count) if first else "",
        quantity,
        show(found.values[quantity]) + units,
        f"{show(ends[0])} to {show(ends[1])}" if ends else "-",
        KAPLAN.get((name, quantity), "-"),
        _percent(found.deviation) if first else "",
        _percent(found.left_out) if first else "",
    ]


def _shower(quantity: str, unit: float) -> Callable[[float], str]:
    if quantity in ("scale", "Nc", "Dc"):
        return lambda value: f"{value / unit:.1e}"
    return lambda value: f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}%" if math.isfinite(value) else "-"


def _notes(runs: Runs) -> list[str]:
    sizes = [run["parameters"] for run in runs]
    lines = [
        f"N is without embeddings, {si(min(sizes))} to {si(max(sizes))}; Kaplan's are 768 to 1.5G, on 22G tokens of "
        "another text with another tokenizer.",
        "L(N) is at the largest budget, where the large sizes are not trained out, which flattens it: the joint law's "
        "alpha_N is the better estimate.",
        "The scales depend on tokenizer and text, and lie far beyond what was measured: compare the exponents alone.",
        "Deviation: of the runs from the law, in per cent; left out: of each run from the law fitted to the others.",
        "The intervals hold for deviations by chance, not for what the law itself gets wrong.",
    ]
    if spread := _spread(runs):
        lines.append(f"Standard deviation of a loss from seed to seed: {100 * spread:.2f}%.")
    return [f"* {line}" for line in lines]


def _spread(runs: Runs) -> float:
    """Of log losses within size and budget, 0 with one seed."""
    means = {(run["parameters"], run["tokens"]): run["loss"] for run in _means(runs)}
    free = len(runs) - len(means)
    squares = [math.log(run["loss"] / means[run["parameters"], run["tokens"]]) ** 2 for run in runs]
    return math.sqrt(sum(squares) / free) if free else 0.0


def draw(runs: Runs, results: Results, path: Path) -> None:
    """Three panels in logarithms: losses over sizes, over data and over compute, the fits and Kaplan's slopes."""
    # Matplotlib takes over a second to import: only a report that draws pays for it.
    from matplotlib.ticker import MaxNLocator, NullLocator

    figure, (by_size, by_data, by_compute) = make_figure(14, 5.2, 3)
    cells = _means(runs)
    _family(by_size, cells, results, over="parameters", of="tokens", label="D = {}")
    _family(by_data, cells, results, over="tokens", of="parameters", label="N = {}")
    most = [run for run in cells if run["tokens"] == max(_values(cells, "tokens"))]
    largest = [run for run in cells if run["parameters"] == max(_values(cells, "parameters"))]
    _law(by_size, results.fits["L(N)"], most, "parameters", 0.076)
    _law(by_data, results.fits["L(D)"], largest, "tokens", 0.095)
    _compute(by_compute, cells, results)
    losses = _values(cells, "loss")
    for axes, title, label in (
        (by_size, "L(N), a curve a budget", "parameters without embeddings"),
        (by_data, "L(D), a curve a size", "tokens"),
        (by_compute, "L(C), a curve a size", "compute 6 N D (FLOPs)"),
    ):
        axes.set(xscale="log", yscale="log", xlabel=label, title=title)
        axes.set_ylim(0.93 * losses.min(), 1.02 * losses.max())  # Kaplan's slopes may leave it
        axes.yaxis.set_major_locator(MaxNLocator(8))
        axes.yaxis.set_major_formatter("{x:.2f}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        add_legend(axes)
    budgets = sorted(set(_values(cells, "tokens")))
    by_data.set_xticks(budgets, [si(budget) for budget in budgets])
    by_data.xaxis.set_minor_locator(NullLocator())
    by_size.set_ylabel("validation loss (nats a token)")
    save_figure(figure, path)


def _shades(count: int) -> np.ndarray:
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.85, count))


def _family(axes: Any, cells: Runs, results: Results, over: str, of: str, label: str) -> None:
    """The runs' losses, and dashed what the joint law gives for them."""
    values = sorted(set(_values(cells, of)))
    for value, colour in zip(values, _shades(len(values)), strict=True):
        same = sorted((run for run in cells if run[of] == value), key=lambda run: run[over])
        axes.plot(_values(same, over), _values(same, "loss"), "o", color=colour, ms=4, label=label.format(si(value)))
        if "L(N, D)" in results.fits:
            columns = [_values(same, name) for name in ("parameters", "tokens")]
            axes.plot(_values(same, over), results.fits["L(N, D)"].losses(*columns), "--", color=colour, lw=0.9)
    if "L(N, D)" in results.fits:
        axes.plot([], [], "--", color="grey", lw=0.9, label="joint law")


def _law(axes: Any, found: Fit, members: Runs, over: str, kaplan: float) -> None:
    """A fitted power law, and Kaplan's slope through its middle."""
    x = np.geomspace(min(_values(members, over)), max(_values(members, over)), 50)
    values, ends = found.values, found.intervals.get("alpha")
    within = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
    axes.plot(x, found.losses(x), color="#b3372f", lw=1.6, label=f"fit, exponent {values['alpha']:.3f}{within}")
    middle = np.exp(found.centre[0])
    slope = found.losses(np.array([middle]))[0] * (x / middle) ** -kaplan
    axes.plot(x, slope, ":", color="black", lw=1.4, label=f"Kaplan's slope, {kaplan:.3f}")


def _compute(axes: Any, cells: Runs, results: Results) -> None:
    sizes = sorted(set(_values(cells, "parameters")))
    for size, colour in zip(sizes, _shades(len(sizes)), strict=True):
        same = sorted((run for run in cells if run["parameters"] == size), key=lambda run: run["compute"])
        axes.plot(
            _values(same, "compute"), _values(same, "loss"), "o-", color=colour, ms=4, lw=0.8, label=f"N = {si(size)}"
        )
    best = [run for run in cells if run["name"] in results.front]
    ring = {"markerfacecolor": "none", "markeredgecolor": "#b3372f", "markersize": 9}
    axes.plot(_values(best, "compute"), _values(best, "loss"), "o", label="best for its compute", **ring)
    if "L(C)" in results.fits:
        _law(axes, results.fits["L(C)"], best, "compute", 0.050)

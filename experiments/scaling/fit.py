"""Scaling laws fitted to the losses of runs, with confidence intervals. NumPy and SciPy alone; nothing is trained here.

A law gives the logarithm of a loss. It is fitted by least squares of the deviations in log loss, so that a deviation of
1% counts the same in a run of high loss and in one of low loss. Intervals are bootstrapped: losses are drawn anew
around the fit, with normal deviations as large as those found, the law is fitted to them, and the distance of the new
estimate from the old is taken in units of its own standard error (a parametric bootstrap-t; for a straight line it is
Student's t). Four or six runs are too few to draw from them, or from their deviations, instead. The intervals hold for
deviations that are independent from run to run; where the law itself is wrong, they know nothing of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import least_squares

LEVEL = 0.95  # of the confidence intervals
SPARE = 2  # runs beyond the parameters from which on an interval is given
STEP = 1e-6  # of the differences that give a slope
SMALLEST = 1e-12  # standard error, so that a resample without deviations divides by something

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Law:
    """The form of a law.

    Points are logarithms of sizes, data or compute, a column each, less their means over the runs, which are `centre`;
    so parameters are of the order of 1, and the search for the best is safe.

    Attributes:
        formula: for people.
        size: parameters.
        predict: (parameters [P], points [n, K]) -> log losses [n].
        starts: (points [n, K], log losses [n]) -> parameters [P], one or several, from which the search sets out.
        quantities: (parameters [P], centre [K]) -> what is reported, by name.
        logarithms: names of those quantities that are logarithms of what is reported.
        straight: whether it is a straight line, whose best parameters `starts` gives.
    """

    formula: str
    size: int
    predict: Callable[[Array, Array], Array]
    starts: Callable[[Array, Array], list[Array]]
    quantities: Callable[[Array, Array], dict[str, float]]
    logarithms: tuple[str, ...] = ()
    straight: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """A law fitted to runs.

    Attributes:
        law: its form.
        parameters: [P].
        centre: [K], mean logarithms of the runs' sizes, data or compute.
        values: the law's quantities.
        count: runs.
        deviation: root of the mean squared deviation in log loss, n - p being the divisor; 0.01 is about 1% of a loss.
        left_out: the same of each run from the law fitted to all others: what the law does for runs it has not seen.
        intervals: of the values, (lower, upper) each; empty where there are too few runs for any.
    """

    law: Law
    parameters: Array
    centre: Array
    values: dict[str, float]
    count: int
    deviation: float
    left_out: float
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def losses(self, *columns: Array) -> Array:
        """The losses that the law gives for sizes, data or compute, [n] each."""
        return np.exp(self.law.predict(self.parameters, _logarithms(columns) - self.centre))


def _logarithms(columns: Sequence[Array]) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([np.log(np.asarray(column, np.float64)) for column in columns], axis=1)


def _line(x: Array, y: Array) -> Array:
    """(slope downwards, height at 0) of the straight line nearest to y."""
    middle = x.mean()
    slope = np.dot(x - middle, y) / np.sum((x - middle) ** 2)
    return np.array([-slope, y.mean() - slope * middle])


# L = (Xc / X)^alpha, with parameters alpha and the log loss at the centre.
POWER = Law(
    "(Xc / X)^alpha",
    size=2,
    predict=lambda p, x: p[1] - p[0] * x[:, 0],
    starts=lambda x, y: [_line(x[:, 0], y)],
    quantities=lambda p, centre: {"alpha": p[0], "scale": centre[0] + p[1] / p[0]},
    logarithms=("scale",),
    straight=True,
)


def _floored_starts(x: Array, y: Array) -> list[Array]:
    """From floors at several shares of the lowest loss."""
    floors = [share * np.exp(y.min()) for share in (0.1, 0.5, 0.9)]
    return [np.array([*_line(x[:, 0], np.log(np.exp(y) - floor)), np.log(floor)]) for floor in floors]


# The same above a loss that no size or data takes away, whose logarithm is the third parameter, so that it is never
# negative.
POWER_ABOVE_FLOOR = Law(
    "E + (Xc / X)^alpha",
    size=3,
    predict=lambda p, x: np.logaddexp(p[2], p[1] - p[0] * x[:, 0]),
    starts=_floored_starts,
    quantities=lambda p, centre: {"alpha": p[0], "scale": centre[0] + p[1] / p[0], "floor": p[2]},
    logarithms=("scale", "floor"),
)


def _joint(p: Array, x: Array) -> Array:
    alpha_n, alpha_d, by_size, by_data = p
    return alpha_d * np.logaddexp((by_size - alpha_n * x[:, 0]) / alpha_d, (by_data - alpha_d * x[:, 1]) / alpha_d)


def _joint_starts(x: Array, y: Array) -> list[Array]:
    """From several exponents, size and data having equal parts in the loss at the centre."""
    pairs = [(n, d) for n in (0.03, 0.1, 0.3) for d in (0.03, 0.1, 0.3)]
    return [np.array([n, d, *[y.mean() - d * np.log(2.0)] * 2]) for n, d in pairs]


# Kaplan et al. 2020, Eq. 1.5: L = [(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D, with parameters alpha_N, alpha_D and
# the log losses at the centre were the data or the size without end. At a compute of C = 6 N D it is lowest where
# N ~ C^(alpha_D / (alpha_N + alpha_D)).
JOINT = Law(
    "[(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D",
    size=4,
    predict=_joint,
    starts=_joint_starts,
    quantities=lambda p, centre: {
        "alpha_N": p[0],
        "alpha_D": p[1],
        "alpha_N / alpha_D": p[0] / p[1],
        "N with C": p[1] / (p[0] + p[1]),
        "Nc": centre[0] + p[2] / p[0],
        "Dc": centre[1] + p[3] / p[1],
    },
    logarithms=("Nc", "Dc"),
)


def _sum(p: Array, x: Array) -> Array:
    alpha, beta, by_size, by_data, floor = p
    return np.logaddexp(floor, np.logaddexp(by_size - alpha * x[:, 0], by_data - beta * x[:, 1]))


def _sum_starts(x: Array, y: Array) -> list[Array]:
    """From several exponents, floor, size and data having equal parts in the loss at the centre."""
    pairs = [(n, d) for n in (0.1, 0.3, 0.9) for d in (0.1, 0.3, 0.9)]
    return [np.array([n, d, *[y.mean() - np.log(3.0)] * 3]) for n, d in pairs]


# Hoffmann et al. 2022, Eq. 2: L = E + A / N^alpha + B / D^beta, with parameters alpha, beta and the logarithms of the
# three terms at the centre. Lowest at a compute of C = 6 N D where N ~ C^(beta / (alpha + beta)).
SUM = Law(
    "E + A / N^alpha + B / D^beta",
    size=5,
    predict=_sum,
    starts=_sum_starts,
    quantities=lambda p, centre: {"alpha": p[0], "beta": p[1], "N with C": p[1] / (p[0] + p[1]), "floor": p[4]},
    logarithms=("floor",),
)


def fit(law: Law, points: Sequence[Array], losses: Array, resamples: int = 0, seed: int = 0) -> Fit:
    """The law fitted to runs.

    Args:
        law: its form.
        points: of each thing that the law depends on, the runs' values, [n].
        losses: the runs' losses, [n]; for an allocation, the sizes themselves.
        resamples: of the bootstrap; 0: no intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer runs than parameters, or numbers that have no logarithm.
    """
    logs, y = _logarithms(points), _logarithms([losses])[:, 0]
    if not (np.isfinite(y).all() and np.isfinite(logs).all()):
        raise ValueError("a law is fitted to finite numbers above 0")
    centre = logs.mean(axis=0)
    x = logs - centre
    count, size = len(y), law.size
    if count < size:
        raise ValueError(f"{count} runs are too few for the {size} parameters of {law.formula!r}")
    found = [_solve(law, x, y, start) for start in law.starts(x, y)]
    parameters = min(found, key=lambda p: np.sum((law.predict(p, x) - y) ** 2))
    error = float(np.sqrt(np.sum((law.predict(parameters, x) - y) ** 2) / max(count - size, 1)))
    values = _reported(law, law.quantities(parameters, centre))
    left_out = _left_out(law, x, y, parameters)
    intervals = {}
    if resamples and count >= size + SPARE:
        intervals = _intervals(law, x, y, centre, parameters, resamples, seed)
    return Fit(law, parameters, centre, values, count, error, left_out, intervals)


def _solve(law: Law, x: Array, y: Array, start: Array) -> Array:
    if law.straight:
        return law.starts(x, y)[0]
    return least_squares(lambda p: law.predict(p, x) - y, start, method="lm", max_nfev=2_000).x


def _left_out(law: Law, x: Array, y: Array, parameters: Array) -> float:
    """Deviation of each run from the law fitted to the others; NaN where the others are too few."""
    count = len(y)
    if count <= law.size:
        return float("nan")
    found = []
    for one in range(count):
        others = np.arange(count) != one
        moved = _solve(law, x[others], y[others], parameters)
        found.append(y[one] - law.predict(moved, x[[one]])[0])
    return float(np.sqrt(np.mean(np.square(found))))


def _intervals(
    law: Law, x: Array, y: Array, centre: Array, parameters: Array, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Bootstrap-t intervals of the law's quantities, see the head of this file."""
    rng = np.random.default_rng(seed)
    fitted = law.predict(parameters, x)
    deviation = np.sqrt(np.sum((y - fitted) ** 2) / (len(y) - law.size))
    values, errors = _with_errors(law, x, y, centre, parameters)
    distances = []
    for _ in range(resamples):
        drawn = fitted + deviation * rng.standard_normal(len(y))
        moved = _solve(law, x, drawn, parameters)
        moved_values, moved_errors = _with_errors(law, x, drawn, centre, moved)
        distances.append((moved_values - values) / np.maximum(moved_errors, SMALLEST))
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(distances, [tail, 1.0 - tail], axis=0)
    names = list(law.quantities(parameters, centre))
    lower, upper = (
        _reported(law, dict(zip(names, (values - ends * errors).tolist(), strict=True))) for ends in (high, low)
    )
    return {name: (lower[name], upper[name]) for name in names}


def _with_errors(law: Law, x: Array, y: Array, centre: Array, parameters: Array) -> tuple[Array, Array]:
    """The law's quantities and their standard errors, from its slopes at the fit."""

    def quantities(p: Array) -> Array:
        return np.array(list(law.quantities(p, centre).values()))

    slopes = _slopes(lambda p: law.predict(p, x), parameters)
    variance = np.sum((y - law.predict(parameters, x)) ** 2) / (len(y) - law.size)
    gradients = _slopes(quantities, parameters)
    squares = np.sum(gradients @ (variance * np.linalg.pinv(slopes.T @ slopes)) * gradients, axis=1)
    return quantities(parameters), np.sqrt(np.maximum(squares, 0.0))


def _slopes(function: Callable[[Array], Array], at: Array) -> Array:
    """[outputs, P] by central differences."""
    columns = []
    for index in range(len(at)):
        step = np.zeros_like(at)
        step[index] = STEP * max(1.0, abs(at[index]))
        columns.append((function(at + step) - function(at - step)) / (2.0 * step[index]))
    return np.stack(columns, axis=1)


def _reported(law: Law, quantities: dict[str, float]) -> dict[str, float]:
    with np.errstate(over="ignore"):
        return {n: float(np.exp(q)) if n in law.logarithms else float(q) for n, q in quantities.items()}


def front(compute: Array, losses: Array) -> Array:
    """Indices of the runs that no run of at most their compute matches, by compute: the lower envelope of all runs."""
    found: list[int] = []
    lowest = np.inf
    for index in np.lexsort((losses, compute)):
        if losses[index] < lowest:
            found.append(int(index))
            lowest = losses[index]
    return np.array(found, dtype=np.int64)

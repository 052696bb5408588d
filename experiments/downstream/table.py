"""What a grid found, as a Markdown table and as a picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments.downstream.grid import Entry, Grid
from plmjax.train.figures import add_legend, make_figure, save_figure


def table(grid: Grid, cells: Sequence[Entry]) -> str:
    """A checkpoint a row, a metric a column: the median from the checkpoint, that from random parameters in brackets.

    A star marks what the seeds, where there are several, tell apart: the worst from the checkpoint is better than the
    best from random, or the other way round.
    """
    columns = [(name, metric) for name, column in grid.chosen().items() for metric in column.metrics]
    heads = [f"{name}, {metric}" for name, metric in columns]
    lines = [f"| checkpoint | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for path in grid.checkpoints:
        row = [Path(path).name]
        row += [_entry([cell for cell in cells if (cell.task, cell.metric) == column], row[0]) for column in columns]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def draw(grid: Grid, cells: Sequence[Entry], path: Path) -> None:
    """A panel a metric: every seed from the checkpoint and from random parameters."""
    names = list(dict.fromkeys((cell.task, cell.metric) for cell in cells))
    figure, panels = make_figure(3.2 * len(names), 3.6, len(names))
    for place, ((task, metric), axes) in enumerate(zip(names, panels, strict=True)):
        rows = [Path(path).name for path in grid.checkpoints]
        for random, colour, label in ((True, "#999999", "random"), (False, "#1f6fb4", "pre-trained")):
            points = [
                (value, rows.index(cell.checkpoint))
                for cell in cells
                if (cell.task, cell.metric) == (task, metric) and cell.random == random
                for value in cell.seeds
            ]
            if points:
                values, heights = zip(*points, strict=True)
                axes.scatter(values, heights, s=18, color=colour, alpha=0.75, label=label)
        axes.set(title=task, xlabel=metric, ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticks(range(len(rows)), rows if place == 0 else [""] * len(rows))
        axes.grid(alpha=0.3)
        if place == 0:
            add_legend(axes)
    save_figure(figure, path)


def _entry(cells: Sequence[Entry], checkpoint: str) -> str:
    found = {cell.random: cell.seeds for cell in cells if cell.checkpoint == checkpoint}
    if not found:
        return "-"
    ours, theirs = (f"{statistics.median(found[random]):.3f}" if random in found else "?" for random in (False, True))
    return f"{ours} ({theirs}){'*' if len(found) == 2 and _apart(found[False], found[True]) else ''}"


def _apart(one: Sequence[float], other: Sequence[float]) -> bool:
    several = min(len(one), len(other)) > 1
    return several and (min(one) > max(other) or max(one) < min(other))

"""What all pictures share: a canvas without a screen, axes of whole steps, one kind of legend, whole files."""

import os
from pathlib import Path
from typing import Any


def make_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, list[Any]]:
    """A matplotlib figure of so many inches, drawn without a screen, and its axes, row by row."""
    # Matplotlib takes over a second to import: only a run that draws pays for it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def whole_steps(axis: Any) -> None:
    """Marks an axis, such as `axes.xaxis`, at whole numbers alone."""
    axis.get_major_locator().set_params(integer=True)


def add_legend(axes: Any) -> None:
    """Names the curves in small print, in the corner that hides least; nothing where no curve has a name."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, framealpha=0.8, loc="best")


def save_figure(figure: Any, path: Path) -> Path:
    """Writes a PNG file in one move, so that a picture is never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp.png")
    figure.savefig(draft)
    os.replace(draft, path)
    return path

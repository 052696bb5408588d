"""Plots of the mistakes of the best seed and of the losses of all seeds; scores by length."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plmjax.tasks.exact_match import f1
from plmjax.train.figures import add_legend, make_figure, save_figure, whole_steps
from plmjax.train.reporting import read_records

Line = Mapping[str, Any]
"""One line of predictions.jsonl."""


def _share_tagged_right(line: Line) -> float:
    return float(np.equal(line["prediction"], line["target"]).mean())


# kind of task -> (what is averaged, the value of one line). A mean has a meaning in a group of any size, which F1 of
# entities or a correlation do not.
MEASURES: dict[str, tuple[str, Callable[[Line], float]]] = {
    "classification": ("accuracy", lambda line: float(line["prediction"] == line["target"])),
    "multiple_choice": ("accuracy", lambda line: float(line["prediction"] == line["target"])),
    "regression": ("squared error", lambda line: (line["prediction"] - line["target"]) ** 2),
    "token_classification": ("share of words tagged right", _share_tagged_right),
    "question_answering": ("mean F1 of words", lambda line: float(f1(line["prediction"], line["target"]))),
}
MOST_LABELS = 30  # of which a confusion matrix can be read


def by_length(
    kind: str, lines: Sequence[Line], lengths: Mapping[str, Sequence[int]], buckets: Sequence[int]
) -> dict[str, Any]:
    """The measure of examples in groups of like length.

    Args:
        kind: of the task.
        lines: of all splits, in the order of their examples.
        lengths: {split: tokens of each example's longest row}.
        buckets: the longest length of each group.

    Returns:
        {"measure": its name, "splits": {split: [{"from", "to", "count", "value"}]}}, groups without examples left out;
        empty for a kind of task without a measure.
    """
    if kind not in MEASURES:
        return {}
    name, value_of = MEASURES[kind]
    found: dict[str, Any] = {}
    for split, tokens in lengths.items():
        of_split = [line for line in lines if line["split"] == split]
        groups = []
        for before, last in itertools.pairwise((0, *buckets)):
            values = [
                value_of(line)
                for line, count in zip(of_split, tokens, strict=True)
                if before < count <= last and line["target"] is not None
            ]
            if values:
                groups.append({"from": before + 1, "to": last, "count": len(values), "value": float(np.mean(values))})
        if groups:
            found[split] = groups
    return {"measure": name, "splits": found}


def draw_all(
    workdir: Path,
    kind: str,
    labels: Sequence[str],
    lines: Sequence[Line],
    groups: Mapping[str, Any],
    seeds: Sequence[int],
) -> list[Path]:
    """Draws what there is to see into WORKDIR: losses.png, lengths.png and, of labels, confusion.png.

    Args:
        workdir: of the run.
        kind: of the task.
        labels: in the order of their numbers.
        lines: of the best seed.
        groups: from `by_length`.
        seeds: of the run.

    Returns:
        the files.
    """
    files = [draw_losses({seed: workdir / f"seed_{seed}" / "metrics.jsonl" for seed in seeds}, workdir / "losses.png")]
    if groups.get("splits"):
        files.append(draw_lengths(groups, workdir / "lengths.png"))
    known = [line for line in lines if line["target"] is not None and line["prediction"] in labels]
    if kind == "classification" and known and len(labels) <= MOST_LABELS:
        files.append(draw_confusion(known, labels, workdir / "confusion.png"))
    return files


def draw_losses(records: Mapping[int, Path], path: Path) -> Path:
    """Training and validation loss of each seed over steps."""
    figure, (axes,) = make_figure(5, 4)
    for number, (seed, file) in enumerate(records.items()):
        found = [record for record in read_records(file) if record.get("loss") is not None]
        color = f"C{number % 10}"
        for split, style in (("train", "-"), ("validation", "o--")):
            points = [(record["step"], record["loss"]) for record in found if record["split"] == split]
            label = f"seed {seed}, {split}" if len(records) <= 5 else None
            axes.plot(*zip(*points, strict=True) if points else ([], []), style, color=color, label=label, markersize=3)
    axes.set(xlabel="step", ylabel="loss", title="solid: training; dashed: validation")
    axes.grid(alpha=0.3)
    whole_steps(axes.xaxis)
    add_legend(axes)
    return save_figure(figure, path)


def draw_lengths(groups: Mapping[str, Any], path: Path) -> Path:
    """A bar for each group, its number of examples above it."""
    columns = len(groups["splits"])
    figure, places = make_figure(5 * columns, 4, columns)
    for axes, (split, found) in zip(places, groups["splits"].items(), strict=True):
        names = [f"{group['from']}-{group['to']}" for group in found]
        bars = axes.bar(names, [group["value"] for group in found], color="#9db7d5")
        axes.bar_label(bars, [f"{group['value']:.3g}\nn={group['count']:,}" for group in found], fontsize=8)
        axes.set(xlabel="tokens", ylabel=groups["measure"], title=Path(split).name)
        axes.margins(y=0.15)
    return save_figure(figure, path)


def draw_confusion(lines: Sequence[Line], labels: Sequence[str], path: Path) -> Path:
    """Draws a confusion matrix for every split: true labels are rows, predicted labels columns."""
    # scikit-learn takes seconds to import: only a run that draws pays for it.
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    splits = list(dict.fromkeys(line["split"] for line in lines))
    more = 0.3 * len(labels)
    figure, places = make_figure((5 + more) * len(splits), 4 + more, len(splits))
    for axes, split in zip(places, splits, strict=True):
        pairs = [(line["target"], line["prediction"]) for line in lines if line["split"] == split]
        counts = confusion_matrix(*zip(*pairs, strict=True), labels=list(labels))
        shown = ConfusionMatrixDisplay(counts, display_labels=list(labels))
        shown.plot(ax=axes, cmap="Blues", colorbar=False, xticks_rotation="vertical")
        axes.set_title(Path(split).name)
    return save_figure(figure, path)

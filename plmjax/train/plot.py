"""The loss curves of one run as a picture."""

from pathlib import Path
from typing import Any

from plmjax.train.figures import add_legend, make_figure, save_figure, whole_steps


def plot_losses(records: list[dict[str, Any]], path: Path, title: str = "") -> None:
    """Draws training and validation loss over steps, with the unigram entropy as a line, into a PNG file.

    Args:
        records: those of metrics.jsonl; without a loss among them nothing is drawn.
        path: of the picture, replaced in one move.
        title: above the curves.
    """
    curves = {split: _curve(records, split) for split in ("train", "validation")}
    if not any(steps for steps, _ in curves.values()):
        return
    figure, (axes,) = make_figure(7, 4.2)
    axes.plot(*curves["train"], color="#9db7d5", linewidth=1, label="training")
    axes.plot(*curves["validation"], color="#b3372f", marker="o", markersize=3, label="validation")
    entropy = next((r["unigram_entropy"] for r in reversed(records) if r.get("unigram_entropy") is not None), None)
    if entropy is not None:
        axes.axhline(entropy, color="#555555", linestyle="--", linewidth=1, label="unigram entropy of the targets")
    axes.set(xlabel="step", ylabel="loss (nats)", title=title)
    axes.grid(alpha=0.3)
    whole_steps(axes.xaxis)
    add_legend(axes)
    save_figure(figure, path)


def _curve(records: list[dict[str, Any]], split: str) -> tuple[list[int], list[float]]:
    points = [(r["step"], r["loss"]) for r in records if r.get("split") == split and r.get("loss") is not None]
    return [step for step, _ in points], [loss for _, loss in points]

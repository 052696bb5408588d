"""The loss curves of one run as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plmjax.train.figures import add_legend, make_figure, save_figure, whole_steps

Records = list[dict[str, Any]]


def plot_losses(records: Records, path: Path, title: str = "", losses: Sequence[str] = ()) -> None:
    """Draws training and validation loss over steps into a PNG file; without a loss in the records nothing is drawn.

    An objective with several losses gets axes for each. The unigram entropy stands beside the losses of tokens alone:
    it is the entropy of their targets, and no measure of a sum or of a loss of pairs.

    Args:
        records: those of metrics.jsonl.
        path: of the picture, replaced in one move.
        title: above the curves.
        losses: the names of the objective's losses; empty: the records' "loss" alone.
    """
    names = list(losses) if len(losses) > 1 else ["loss"]
    names = [name for name in names if any(record.get(name) is not None for record in records)]
    if not names:
        return
    figure, axes = make_figure(max(7, 4.5 * len(names)), 4.2, columns=len(names))
    entropy = next((r["unigram_entropy"] for r in reversed(records) if r.get("unigram_entropy") is not None), None)
    for name, one in zip(names, axes, strict=True):
        one.plot(*_curve(records, "train", name), color="#9db7d5", linewidth=1, label="training")
        validation = _curve(records, "validation", name)
        one.plot(*validation, color="#b3372f", marker="o", markersize=3, label="validation")
        if entropy is not None and (len(names) == 1 or _is_of_tokens(records, name)):
            one.axhline(entropy, color="#555555", linestyle="--", linewidth=1, label="unigram entropy of the targets")
        words = "loss" if name == "loss" else name.replace("_", " ")
        one.set(xlabel="step", ylabel=f"{words} (nats)", title=title)
        one.grid(alpha=0.3)
        whole_steps(one.xaxis)
        add_legend(one)
    save_figure(figure, path)


def _is_of_tokens(records: Records, name: str) -> bool:
    """Whether a loss is one of tokens: these have an accuracy, and no share of positives as pairs do."""
    known = {key for record in records if record.get("split") == "validation" for key in record}
    return f"{name}_accuracy" in known and f"{name}_positives" not in known


def _curve(records: Records, split: str, name: str) -> tuple[list[int], list[float]]:
    points = [(r["step"], r[name]) for r in records if r.get("split") == split and r.get(name) is not None]
    return [step for step, _ in points], [loss for _, loss in points]

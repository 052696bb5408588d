"""Each loss is drawn with its own entropy, or without one."""

from pathlib import Path
from typing import Any

import pytest

from plmjax.train import plot

PAIRS = [
    {"split": split, "step": step, "loss": 20.0, "masked_lm": 6.0, "replaced_tokens": 0.5, "masked_lm_accuracy": 0.1}
    | {"replaced_tokens_accuracy": 0.5, "replaced_tokens_positives": 0.1}
    | ({"unigram_entropy": 6.3} if split == "validation" else {})
    for step in (1, 2)
    for split in ("train", "validation")
]


def drawn(monkeypatch: pytest.MonkeyPatch, records: list[dict[str, Any]], *losses: str) -> list[Any]:
    figures: list[Any] = []
    monkeypatch.setattr(plot, "save_figure", lambda figure, path: figures.append(figure))
    plot.plot_losses(records, Path("loss.png"), "run", losses)
    return figures[0].axes if figures else []


def levels(axes: Any) -> list[float]:
    return [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]


def test_several_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, pairs = drawn(monkeypatch, PAIRS, "masked_lm", "replaced_tokens")
    assert list(tokens.lines[0].get_ydata()) == [6.0, 6.0] and levels(tokens) == [6.3]
    assert list(pairs.lines[1].get_ydata()) == [0.5, 0.5] and levels(pairs) == []
    assert [axes.get_ylabel() for axes in (tokens, pairs)] == ["masked lm (nats)", "replaced tokens (nats)"]


def test_one_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    (axes,) = drawn(monkeypatch, PAIRS, "masked_lm")
    assert list(axes.lines[0].get_ydata()) == [20.0, 20.0] and levels(axes) == [6.3]


def test_nothing_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, [{"split": "train", "step": 1, "tokens_per_second": 3.0}]) == []

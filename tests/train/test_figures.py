"""Pictures: whole steps on axes, a legend where there are names, and files that are whole."""

from pathlib import Path

import pytest

from plmjax.train.figures import add_legend, make_figure, save_figure, whole_steps


def test_steps_are_whole_and_names_are_shown(tmp_path: Path) -> None:
    figure, (left, right) = make_figure(6, 3, columns=2)
    left.plot([0, 1, 2], [3.0, 2.0, 1.0], label="training")
    right.plot([0, 1], [1, 1])
    for axes in (left, right):
        whole_steps(axes.xaxis)
        add_legend(axes)
    file = save_figure(figure, tmp_path / "new" / "a.png")
    assert file.read_bytes().startswith(b"\x89PNG")
    assert all(float(tick).is_integer() for axes in (left, right) for tick in axes.get_xticks())
    assert left.get_legend().get_texts()[0].get_text() == "training" and right.get_legend() is None


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"old")
    figure, _ = make_figure(2, 2)
    monkeypatch.setattr(figure, "savefig", lambda path: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_figure(figure, file)
    assert file.read_bytes() == b"old"

"""The table and the picture of several runs."""

import json

import pytest

from experiments import compare
from plmjax.checkpoints import checkpointer
from plmjax.errors import UserError


@pytest.fixture
def run(tmp_path):
    """A run of three validations, 10 tokens a step, whose loss passes under the unigram entropy at step 2."""
    workdir = tmp_path / "bert"
    step = workdir / "checkpoints" / "3"
    step.mkdir(parents=True)
    checkpointer.commit(checkpointer.epath.Path(step), {"config": {"train": {"batch_size": 2, "length": 5}}})
    records = [{"split": "train", "step": 1, "tokens_per_second": 7.0}]
    for number, loss in ((1, 6.0), (2, 5.9), (3, 4.0)):
        losses = {"loss": loss + 1, "masked_lm_accuracy": 0.25, "masked_lm": loss, "next_sentence": 1.0}
        records.append({"split": "validation", "step": number, "unigram_entropy": 5.96, **losses})
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return workdir


def test_table_and_picture(run, tmp_path):
    read = compare.read_run(run)
    assert read.curve == [(10, 6.0), (20, 5.9), (30, 4.0)]
    assert read.tokens_to_fall_below() == 20
    assert "| bert | 30 | 7 | 4.000 | 5.960 | 1.960 | 25.0% | 20 |" in compare.table([read])
    compare.draw([read], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_folder_without_a_run(tmp_path):
    with pytest.raises(UserError, match="has no validated run"):
        compare.read_run(tmp_path)


def test_a_loss_that_no_run_has_is_refused(run, monkeypatch):
    monkeypatch.setattr(compare, "RUNS", type("Flag", (), {"value": [str(run)]}))
    monkeypatch.setattr(compare, "LOSSES", type("Flag", (), {"value": ["masked_lm", "foo"]}))
    known = "loss, masked_lm, masked_lm_accuracy, next_sentence"
    with pytest.raises(UserError, match=f"--losses names 'foo', which none of the runs has: choose from {known}"):
        compare.main()

"""Rates beside hand-computed numbers, what is drawn by them, and the mean of several tasks' metrics."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.data.buckets import epoch_plan
from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.mixture import TaskMixture, equal, proportional, tempered
from plmjax.tasks.prompts_text_to_text import with_prompts
from plmjax.tasks.registry import named
from plmjax.tasks.seq2seq import Seq2SeqTask
from plmjax.tasks.verbalizers import verbalizer_of

SIZES = (100, 300, 600)


def test_rates() -> None:
    assert proportional(SIZES, 10_000) == pytest.approx([0.1, 0.3, 0.6])
    assert proportional(SIZES, 200) == pytest.approx([0.2, 0.4, 0.4])  # 100, 200 and 200 of 500
    roots = np.array([0.2**0.5, 0.4**0.5, 0.4**0.5])  # 0.4472, 0.6325, 0.6325
    assert tempered(SIZES, 200, 2.0) == pytest.approx(roots / 1.71212, abs=1e-5)
    assert tempered(SIZES, 200, 1.0) == pytest.approx([0.2, 0.4, 0.4])
    assert tempered(SIZES, 200, 1e6) == pytest.approx([1 / 3] * 3, abs=1e-5)
    assert equal(SIZES) == pytest.approx([1 / 3] * 3)


def test_rates_of_glue() -> None:
    """With K = 2^19 every task counts all of its examples: CoLA 8,551 of 949,098, and so on (MNLI 392,702)."""
    task = named("glue_mixture")
    sizes = {"cola": 8551, "sst2": 67349, "mrpc": 3668, "qqp": 363849, "stsb": 5749, "mnli": 392702, "qnli": 104743}
    sizes["rte"] = 2490
    task.sizes = tuple(sizes[member.name] for member in task.members)
    shares = dict(zip((member.name for member in task.members), task.shares(), strict=True))
    total = sum(sizes.values())
    assert shares == pytest.approx({name: size / total for name, size in sizes.items()})
    assert "wnli" not in shares


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def mixture(tmp_path: Path) -> TaskMixture:
    labels = write(tmp_path / "a.jsonl", [{"text": f"t{i}", "label": "xy"[i % 2]} for i in range(30)])
    numbers = write(tmp_path / "b.jsonl", [{"text": f"n{i}", "label": i} for i in range(10)])
    texts = write(tmp_path / "c.jsonl", [{"text": f"s{i}", "target": f"z{i} one two three"} for i in range(60)])
    return TaskMixture(
        (
            ClassificationTask(name="a", train=labels, validation=labels, metric=("accuracy", "f1")),
            RegressionTask(name="b", train=numbers, validation=numbers),
            Seq2SeqTask(name="c", train=texts, validation=texts, metric=("bleu", "exact_match")),
        )
    )


def test_examples_are_drawn_by_their_rates(mixture: TaskMixture) -> None:
    examples: Any = mixture.splits()["train"]
    assert mixture.sizes == (30, 10, 60)
    assert len(examples) == 100
    mixture.rates = "equal"
    rows = np.concatenate([mixture.order(np.random.default_rng([0, epoch]), examples) for epoch in range(30)])
    members = np.array([examples[row].member for row in rows])
    assert np.bincount(members) / len(members) == pytest.approx([1 / 3] * 3, abs=0.03)
    once = mixture.order(np.random.default_rng([0, 0]), examples)
    counts = np.bincount(once, minlength=100)[30:40]  # the second member's, some 33 draws of 10 examples
    assert counts.max() - counts.min() <= 1  # each of a member's examples in turn
    assert once.tolist() == mixture.order(np.random.default_rng([0, 0]), examples).tolist()
    assert once.tolist() != mixture.order(np.random.default_rng([1, 0]), examples).tolist()
    mixture.rates = "proportional"
    many = np.concatenate([mixture.order(np.random.default_rng([0, epoch]), examples) for epoch in range(30)])
    assert np.bincount([examples[row].member for row in many]) / 3000 == pytest.approx([0.3, 0.1, 0.6], abs=0.03)


def test_batches_are_drawn_so(mixture: TaskMixture) -> None:
    examples: Any = mixture.splits()["train"]
    mixture.rates = "equal"
    lengths = np.arange(100) % 7
    plans = [epoch_plan(lengths, 8, 4, 3, 1, lambda rng: mixture.order(rng, examples)) for _ in range(2)]
    assert [batch.tolist() for batch in plans[0]] == [batch.tolist() for batch in plans[1]]
    drawn = sorted(np.concatenate(plans[0]).tolist())
    assert drawn == sorted(mixture.order(np.random.default_rng([3, 1]), examples).tolist())


def test_each_by_its_own_metrics(mixture: TaskMixture) -> None:
    examples: Any = mixture.splits()["validation"]
    chosen = [examples[0], examples[1], examples[30], examples[31], examples[40]]
    predictions = [np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([0.0]), np.array([1.0]), "z0 one two three"]
    found = mixture.measure(chosen, predictions)
    assert found["a_accuracy"] == 0.5
    assert found["b_pearson"] == pytest.approx(1.0)
    assert found["c_exact_match"] == 1.0
    assert set(found) == set(mixture.metrics)
    assert found["c_bleu"] == pytest.approx(100.0)
    assert found["mean"] == pytest.approx((0.5 + 1.0 + 1.0) / 3)
    assert mixture.metrics[0] == "mean"
    assert set(mixture.measure(chosen[2:4], predictions[2:4])) == {"mean", "b_pearson", "b_spearman"}
    assert mixture.notes({"validation": examples})[0] == "rates: a 0.3000, b 0.1000, c 0.6000"


def test_a_member_that_is_learned_alone(mixture: TaskMixture) -> None:
    mixture.members[1].validation = ""
    found: Any = mixture.splits()
    assert {one.member for one in found["train"]} == {0, 1, 2}
    assert {one.member for one in found["validation"]} == {0, 2}
    assert mixture.notes({"validation": found["validation"]})[1] == "without validation examples, learned alone: b"


def test_each_in_its_own_words(mixture: TaskMixture) -> None:
    task = with_prompts(mixture)
    examples: Any = task.splits()["train"]
    form = verbalizer_of(task, str)
    assert [form.source(examples[row]) for row in (0, 30, 40)] == ["a text: t0", "b text: n0", "c: s0"]
    assert [form.target(examples[row]) for row in (1, 31, 41)] == ["y", "1", "z1 one two three"]
    nothing = form.answer(examples[0], "z")
    assert form.is_none(examples[0], nothing)
    assert form.shown(examples[0], nothing) is None
    assert not form.is_none(examples[40], form.answer(examples[40], "z"))
    assert from_json(to_json(task)) == task


def test_the_command_line_can_set_its_fields() -> None:
    """For which the types of the fields must be types, not their names."""
    assert not [field.name for field in fields(TaskMixture) if isinstance(field.type, str)]


def test_what_is_no_mixture(mixture: TaskMixture) -> None:
    mixture.rates = "some"
    with pytest.raises(UserError, match="task.rates is 'some'"):
        mixture.splits()
    mixture.rates = "equal"
    with pytest.raises(UserError, match="each with a name of its own"):
        TaskMixture((ClassificationTask(), ClassificationTask())).splits()
    mixture.members[1].metric = ("squared_error",)
    with pytest.raises(UserError, match="b is measured by squared_error first"):
        mixture.splits()

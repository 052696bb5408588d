"""plmjax beside `transformers`: the same updates, the same plan for both, and what the table says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.configs.finetune.bert import get_config
from experiments.vs_transformers import plmjax_side as ours
from experiments.vs_transformers import sides
from experiments.vs_transformers.plan import PLAN, make_plan, store_plan
from experiments.vs_transformers.report import make_report
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained, load, save_huggingface
from plmjax.interop.registry import architecture_of
from plmjax.tasks.classification import ClassificationTask
from plmjax.tasks.report import as_table
from tests.finetune.kit import checkpoint, recipe, sentences, task_model_of, tokenizer_in, write_tsv

STEPS, ROWS = 4, 8
TOLERANCE = 2e-5  # of parameters after STEPS updates, of a size about 1e-1


def make_task(folder: Path) -> ClassificationTask:
    files = {
        name: str(write_tsv(folder / f"{name}.tsv", sentences(count, seed)))
        for name, count, seed in (("train", ROWS, 1), ("validation", 16, 2), ("test", 16, 3))
    }
    return ClassificationTask(
        train=files["train"],
        validation=files["validation"],
        test=(files["test"],),
        columns=("text", "label"),
        labels=("bad", "good"),
    )


def make_recipe() -> FineTune:
    """One batch a pass, so that the order of the examples changes nothing; no dropout."""
    given = recipe(steps=STEPS, batch_size=ROWS, eval_every=STEPS, buckets=1, warmup_ratio=0.25)
    given.optimizer.weight_decay = 0.5
    given.optimizer.clip_norm = 0.5
    given.dropout = 0.0
    return given


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beside")


@pytest.fixture(scope="module")
def directory(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory of a tiny BERT with a class head, which both sides take as it is."""
    encoder = checkpoint(tokenizer_in(str(tmp_path_factory.mktemp("tokenizer"))))
    _, bound = task_model_of(encoder, make_task(folder))
    config = bound.module.config
    params = jax.tree.map(np.asarray, bound.params)
    save_huggingface(Pretrained(config, params, architecture_of(config), encoder.tokenizer), folder / "bert")
    return folder / "bert"


@pytest.fixture(scope="module")
def plan(folder: Path, directory: Path) -> dict[str, Any]:
    return json.loads(json.dumps(make_plan(directory, make_task(folder), make_recipe(), seeds=1, threads=1)))


@pytest.fixture(scope="module")
def our_side(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    ours.run_side(plan, folder / "plmjax")
    return sides.read_side(folder / "plmjax")


def test_the_plan(plan: dict[str, Any], folder: Path) -> None:
    assert (plan["epoch_steps"], plan["steps"], plan["warmup_steps"]) == (1, STEPS, 1)
    text, label = sentences(ROWS, 1)[0]
    assert plan["examples"]["train"][0] == [[text], label]
    assert set(plan["examples"]) == {"train", "validation", str(folder / "test.tsv")}


def test_the_same_updates(plan: dict[str, Any], our_side: dict[str, Any], folder: Path, directory: Path) -> None:
    """AdamW, decay, clipping and schedule: after the same batches the same parameters."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    from experiments.vs_transformers import pytorch_side as theirs

    tokenizer = AutoTokenizer.from_pretrained(directory)
    splits = {name: theirs.encode(tokenizer, found, plan["recipe"]) for name, found in plan["examples"].items()}
    run = theirs.SeedRun(plan, tokenizer, splits, 0, folder / "theirs")
    batches = run._batches()
    losses = [run.step(next(batches)) for _ in range(STEPS)]
    save_huggingface(load(folder / "plmjax"), folder / "exported")
    found, start = (load_file(name / "model.safetensors") for name in (folder / "exported", directory))
    expected = {name: value.detach().numpy() for name, value in run.network.state_dict().items()}
    moved = 0.0
    for name, value in expected.items():
        if name in found:
            np.testing.assert_allclose(found[name], value, atol=TOLERANCE, err_msg=name)
            moved = max(moved, float(np.abs(value - start[name]).max()))
    assert {name for name, _ in run.network.named_parameters()} <= set(found)
    assert moved > 100 * TOLERANCE
    assert losses[-1] != losses[0]
    for split, rows in our_side["runs"][0]["scores"].items():
        assert run.accuracy(split) == pytest.approx(rows)


def test_their_side_runs_only_the_seeds_that_are_missing(plan: dict[str, Any], folder: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from experiments.vs_transformers import pytorch_side as theirs

    where = folder / "transformers"
    theirs.run_side(plan, where)
    first = sides.read_side(where)
    assert [run["seed"] for run in first["runs"]] == [0]
    assert first["runs"][0]["best_step"] == first["runs"][0]["steps"] == STEPS
    assert first["peak_memory_bytes"] > 1e7
    theirs.run_side(plan | {"seeds": 2}, where)
    second = sides.read_side(where)
    assert second["runs"][0] == first["runs"][0]
    assert [run["seed"] for run in second["runs"]] == [0, 1]
    assert not list(where.glob("seed_*"))


def test_our_side(our_side: dict[str, Any], plan: dict[str, Any], folder: Path) -> None:
    assert set(our_side["runs"][0]["scores"]) == {"validation", str(folder / "test.tsv")}
    ours.run_side(plan, folder / "plmjax")
    again = sides.read_side(folder / "plmjax")
    assert again == our_side  # nothing was trained, so that this process's memory does not count either


def test_the_table(plan: dict[str, Any], folder: Path) -> None:
    test = str(folder / "test.tsv")

    def side(accuracies: tuple[float, ...], peak: int | None) -> dict[str, Any]:
        runs = [
            {"scores": {"validation": 0.5, test: value}, "seconds": 3.0, "train_seconds": 2.0} for value in accuracies
        ]
        return {"runs": runs, "peak_memory_bytes": peak, "versions": {"x": "1"}, "buckets": [8, 16]}

    found = {"plmjax": side((0.5, 0.7, 0.9), 2 * 10**9), "transformers": side((0.6, 0.6, 0.9), None)}
    report = make_report(plan | {"seeds": 3}, found)
    values = {(measure.part, measure.name): measure.value for measure in report.measures}
    assert values[test, "accuracy, plmjax, median of 3"] == 0.7
    assert values[test, "accuracy, plmjax, deviation"] == pytest.approx(0.2)
    assert values[test, "accuracy, transformers, median of 3"] == 0.6
    assert values["peak memory", "gigabytes, plmjax"] == 2.0
    assert ("peak memory", "gigabytes, transformers") not in values
    assert f"transformers, {test}, each seed: 0.6000 0.6000 0.9000" in as_table(report)


def test_another_plan_is_refused(plan: dict[str, Any], tmp_path: Path) -> None:
    store_plan(plan, tmp_path)
    store_plan(plan | {"seeds": 5}, tmp_path)
    assert json.loads((tmp_path / PLAN).read_text())["seeds"] == 5
    with pytest.raises(UserError, match=r"holds runs of another plan \(steps differ\)"):
        store_plan(plan | {"steps": 7}, tmp_path)


def test_what_pytorch_would_not_do_alike_is_refused(folder: Path) -> None:
    task = make_task(folder)
    with pytest.raises(UserError, match="optimizer.bias_correction is False, and the loop with PyTorch has True"):
        make_plan(folder, task, get_config("base"), 1, 1)
    decaying = get_config("corrected")
    decaying.optimizer = replace(decaying.optimizer, exclude_from_weight_decay="nothing")
    with pytest.raises(
        UserError, match="exclude_from_weight_decay is 'nothing', and the loop with PyTorch has 'biases"
    ):
        make_plan(folder, task, decaying, 1, 1)
    make_plan(folder, task, get_config("corrected"), 1, 1)
    task.metric = ("matthews",)
    with pytest.raises(UserError, match="measured by accuracy"):
        make_plan(folder, task, make_recipe(), 1, 1)
    task.metric, task.validation = ("accuracy",), ""
    with pytest.raises(UserError, match="name both with --task"):
        make_plan(folder, task, make_recipe(), 1, 1)

"""A tiny network on a tiny task from end to end: seeds, files, compilations, and what loads and exports."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.errors import UserError
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.interop import Pretrained
from plmjax.tasks.classification import ClassificationTask
from tests.finetune.kit import recipe, sentences, write_tsv

SEEDS = 2


def make_task(folder: Path) -> ClassificationTask:
    files = {
        name: str(write_tsv(folder / f"{name}.tsv", sentences(count, seed)))
        for name, count, seed in (("train", 90, 1), ("validation", 20, 2), ("test", 21, 3))
    }
    return ClassificationTask(
        train=files["train"],
        validation=files["validation"],
        test=(files["test"],),
        columns=("text", "label"),
        labels=("bad", "good"),
        metric=("accuracy", "macro_f1"),
    )


def run(encoder: Pretrained, task: Any, folder: Path, **options: Any) -> Results:
    given = options.pop("recipe", recipe(epochs=4.0))
    return finetune(encoder, task, given, folder, devices=jax.devices()[:1], **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finetuned")


@pytest.fixture(scope="module")
def found(encoder: Pretrained, folder: Path) -> Results:
    return run(encoder, make_task(folder), folder / "run", seeds=SEEDS, about={"from": "here"})


def scores(results: Results) -> list[Any]:
    return [(one.scores, one.best_step, one.steps) for one in results.runs]


def test_it_learns(found: Results, folder: Path) -> None:
    test = str(folder / "test.tsv")
    for one in found.runs:
        assert one.scores[test]["accuracy"] > 0.85
        assert one.steps == 48  # 4 passes of 12 batches, the last of 2 rows
    assert found.runs[0].scores != found.runs[1].scores


def test_at_most_a_compilation_a_bucket(found: Results) -> None:
    lengths = found.about["buckets"]
    assert len(lengths) == 2
    assert found.about["compiled"] == {"training": lengths, "evaluation": lengths}


def test_the_best_validation_of_each_metric(found: Results, folder: Path) -> None:
    for one in found.runs:
        lines = (folder / "run" / f"seed_{one.seed}" / "metrics.jsonl").read_text().splitlines()
        validated = [record for record in map(json.loads, lines) if record["split"] == "validation"]
        assert set(one.peaks) == {"accuracy", "macro_f1"}
        for metric, peak in one.peaks.items():
            first = max(validated, key=lambda record: record[metric])
            assert peak == {"value": first[metric], "step": first["step"]}
    assert "the best validation of each metric: accuracy" in (folder / "run" / "results.txt").read_text()


def test_files(found: Results, folder: Path) -> None:
    content = json.loads((folder / "run" / "results.json").read_text())
    test = str(folder / "test.tsv")
    values = [one["scores"][test]["accuracy"] for one in content["runs"]]
    assert content["summary"][test]["accuracy"]["median"] == pytest.approx(np.median(values))
    assert content["summary"][test]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert content["summary"][test]["accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert content["from"] == "here"
    assert content["task"]["labels"] == ["bad", "good"]
    lines = [json.loads(line) for line in (folder / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 41
    tested = [line for line in lines if line["split"] == test]
    assert [line["id"] for line in tested] == [f"{test}:{number}" for number in range(1, 22)]
    right = sum(line["prediction"] == line["target"] for line in tested) / 21
    assert right == pytest.approx(found.best.scores[test]["accuracy"])
    groups = content["by_length"]["splits"][test]
    assert sum(group["count"] for group in groups) == 21
    assert sum(group["count"] * group["value"] for group in groups) / 21 == pytest.approx(right)
    for name in ("losses", "lengths", "confusion"):
        assert (folder / "run" / f"{name}.png").exists()
    table = (folder / "run" / "results.txt").read_text()
    assert "accuracy, median of 2" in table
    # The commonest label of the training examples is what needs no reading.
    labels = [label for _, label in sentences(90, 1)]
    commonest = int(sum(labels) * 2 > len(labels))
    assert content["measures"][1]["chance"] == pytest.approx(
        np.mean([label == commonest for _, label in sentences(20, 2)])
    )


def test_the_folder_loads_and_exports(found: Results, folder: Path, encoder: Pretrained, tmp_path: Path) -> None:
    loaded = plmjax.load(folder / "run")
    assert loaded.architecture == "BertForSequenceClassification"
    assert loaded.tokenizer is not None
    plmjax.save_huggingface(loaded, tmp_path / "exported")
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    again = plmjax.load(tmp_path / "exported")
    lines = [json.loads(line) for line in (folder / "run" / "predictions.jsonl").read_text().splitlines()]
    text, _ = sentences(20, 2)[0]
    vocabulary = loaded.tokenizer.vocabulary
    ids = [[vocabulary.cls, *loaded.tokenizer.encode(text), vocabulary.sep]]
    for one in (loaded, again):
        logits = one(input_ids=ids)["logits"][0]
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert shares[1] == pytest.approx(lines[0]["probabilities"]["good"], abs=2e-5)


def test_the_folder_works_on_strings(found: Results, folder: Path) -> None:
    model = plmjax.load(folder / "run")
    lines = [json.loads(line) for line in (folder / "run" / "predictions.jsonl").read_text().splitlines()]
    texts = [text for text, _ in sentences(20, 2)]
    for line, one in zip(lines, model.classify(texts), strict=False):
        assert one.label == line["prediction"]
        assert one.probabilities == pytest.approx(line["probabilities"], abs=2e-5)
    plmjax.interop.save(model, folder / "saved")
    assert plmjax.load(folder / "saved").classify(texts[0]) == model.classify(texts[0])


def test_only_the_best_seed_keeps_its_checkpoint(found: Results, folder: Path) -> None:
    assert (folder / "run" / "checkpoints").is_dir()
    for seed in range(SEEDS):
        assert not (folder / "run" / f"seed_{seed}" / "checkpoints").exists()
        assert (folder / "run" / f"seed_{seed}" / "metrics.jsonl").exists()
    manifest = json.loads(next((folder / "run" / "checkpoints").glob("*/manifest.json")).read_text())
    assert manifest["seed"] == found.best.seed
    assert manifest["step"] == found.best.best_step


def test_seeds_that_are_done_are_not_run_again(
    found: Results, encoder: Pretrained, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = run(encoder, make_task(folder), folder / "run", seeds=SEEDS, about={"from": "here"})
    assert scores(again) == scores(found)
    assert again.about["compiled"] == {"training": [], "evaluation": []}
    assert f"seed 1 is done: its results are in {folder / 'run' / 'seed_1'}" in capsys.readouterr().out
    other = recipe(epochs=4.0)
    other.optimizer.learning_rate = 1e-4
    with pytest.raises(UserError, match="holds the results of another checkpoint, task or recipe"):
        run(encoder, make_task(folder), folder / "run", about={"from": "here"}, recipe=other)


def test_the_same_seed_gives_the_same_bits(found: Results, encoder: Pretrained, folder: Path, tmp_path: Path) -> None:
    """The second seed alone, in a run of its own."""
    given = recipe(epochs=4.0)
    given.train.seed = 1
    again = run(encoder, make_task(folder), tmp_path / "run", recipe=given, about={"from": "here"})
    assert scores(again) == scores(found)[1:]


def test_early_stopping_and_the_best_step(encoder: Pretrained, folder: Path, tmp_path: Path) -> None:
    """At a rate that spoils what it touches no validation is better than the first."""
    given = recipe(steps=40, eval_every=2, patience=3)
    given.optimizer.learning_rate = 1e-9
    found = run(encoder, make_task(folder), tmp_path / "run", recipe=given)
    (one,) = found.runs
    assert one.stopped_early
    assert (one.best_step, one.steps) == (2, 8)
    records = [json.loads(line) for line in (tmp_path / "run" / "seed_0" / "metrics.jsonl").read_text().splitlines()]
    validated = {record["step"]: record["accuracy"] for record in records if record["split"] == "validation"}
    assert list(validated) == [2, 4, 6, 8]
    assert one.scores["validation"]["accuracy"] == validated[2]


@pytest.mark.slow
def test_without_a_validation_split_the_last_step_is_kept(encoder: Pretrained, folder: Path, tmp_path: Path) -> None:
    task = replace(make_task(folder), validation="")
    found = run(encoder, task, tmp_path / "run", recipe=recipe(steps=3), from_random=True)
    assert set(found.runs[0].scores) == {str(folder / "test.tsv")}
    assert found.best.best_step == 3

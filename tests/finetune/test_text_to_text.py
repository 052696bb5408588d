"""Tasks with labels done by writing: rows, and what is read off what was written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import backbone_of
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.finetune.task_models.text_to_text import TextToTextModel
from plmjax.tasks.classification import ClassificationTask
from plmjax.tasks.mixture import TaskMixture
from plmjax.tasks.prompts_text_to_text import with_prompts
from plmjax.tasks.supervised import Example
from tests.finetune.kit import checkpoint, recipe, write_jsonl
from tests.finetune.test_seq2seq import torchless
from tests.finetune.text_kit import copying, seq2seq_model_of

ROWS = [("a film", "good"), ("the plot", "fine"), ("it was", "good")]


def made(tokenizer: Tokenizer, family: str, folder: Path) -> tuple[TextToTextModel, Any]:
    file = write_jsonl(folder / "a.jsonl", [{"text": text, "label": label} for text, label in ROWS])
    given = recipe()
    given.task_model = "text_to_text"
    task = with_prompts(ClassificationTask(name="film", train=str(file), metric=("accuracy", "f1")))
    examples = task.splits()
    task_model, _ = seq2seq_model_of(torchless(tokenizer, family), task, given)
    task_model.prepare(examples)
    return task_model, examples["train"]


@pytest.mark.parametrize("family", ["t5", "bart", "gpt"])
def test_rows_and_answers(family: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    task_model, examples = made(tokenizer, family, tmp_path)
    assert isinstance(task_model, TextToTextModel)
    v = tokenizer.vocabulary
    features = task_model.features([*examples, Example("x", "f:9", ("a film",), None)], learn=False)
    opening = [v.bos] if family == "bart" else []
    assert features[0].sequences["tokens"].tolist() == [*opening, *tokenizer.encode("film text: a film"), v.eos]
    target = [*opening, *tokenizer.encode("good"), v.eos]
    assert features[0].values["targets"][: len(target)].tolist() == target
    assert features[0].values["target_count"] == len(target)
    assert features[3].values["target_count"] == 0
    outputs = [row_of([*opening, *tokenizer.encode(text), v.eos]) for text in ("good", "fine", "goods")]
    outputs.append(row_of([*tokenizer.encode("fine")]))  # not ended
    found = task_model.predictions([*examples, examples[0]], features, outputs)
    assert task_model.task.labels == ("fine", "good")
    assert [one.tolist() for one in found[:2]] == [[0.0, 1.0], [1.0, 0.0]]
    assert np.isnan(found[2]).all()
    assert found[3].tolist() == [1.0, 0.0]
    scores = task_model.measure(0.5, examples, found[:3])
    assert scores == {"loss": 0.5, "accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3), "invalid_answers": 1.0}
    assert task_model.readable(examples[0], found[0], outputs[:1]) == {"prediction": "good", "written": "good"}
    assert task_model.readable(examples[2], found[2], outputs[2:3]) == {"prediction": None, "written": "goods"}


def row_of(tokens: list[int]) -> dict[str, np.ndarray]:
    return {"written": np.array([*tokens, 0, 0], np.int32), "written_count": np.int32(len(tokens))}


@pytest.fixture(scope="module")
def mixed(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A mixture learned by a GPT in a few steps, with two seeds."""
    folder = tmp_path_factory.mktemp("mixed")
    file = str(write_jsonl(folder / "a.jsonl", [{"text": text, "label": label} for text, label in ROWS * 3]))
    film = ClassificationTask(name="film", train=file, validation=file, metric=("accuracy", "f1"))
    task = TaskMixture((film, replace(copying(folder, 12), name="copy")), rates="equal")
    start = checkpoint(tokenizer, "gpt")
    given = recipe(steps=6, eval_every=3, buckets=1)
    given.task_model = "text_to_text"
    devices = jax.devices()[:1]
    return folder, finetune(start, task, given, folder / "run", seeds=2, devices=devices)


@pytest.mark.slow
def test_a_mixture_from_end_to_end(mixed: tuple[Path, Results]) -> None:
    folder, found = mixed
    scores = found.best.scores["validation"]
    names = ["loss", "mean", "film_accuracy", "film_f1", "copy_exact_match", "invalid_answers"]
    assert list(scores) == names
    assert scores["mean"] == pytest.approx((scores["film_accuracy"] + scores["copy_exact_match"]) / 2)
    assert found.about["compiled"] == {"training": found.about["buckets"], "evaluation": found.about["buckets"]}
    lines = [json.loads(line) for line in (folder / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"].split("/")[0] for line in lines] == ["film"] * 9 + ["copy"] * 12
    none = [line for line in lines[:9] if line["prediction"] is None]
    assert len(none) == scores["invalid_answers"]
    assert all(line["written"] not in ("fine", "good") for line in none)
    right = [line["prediction"] == line["target"] for line in lines[:9]]
    assert scores["film_accuracy"] == pytest.approx(np.mean(right))
    content = json.loads((folder / "run" / "results.json").read_text())
    assert content["notes"][0] == "rates: film 0.5000, copy 0.5000"
    assert content["recipe"]["generation"]["max_new_tokens"] == 8


@pytest.mark.slow
def test_what_a_mixture_learned_loads(mixed: tuple[Path, Results]) -> None:
    loaded = plmjax.load(mixed[0] / "run")
    assert loaded.architecture == "GPT2LMHeadModel"
    assert loaded.generation["max_new_tokens"] == 8
    lines = [json.loads(line) for line in (mixed[0] / "run" / "predictions.jsonl").read_text().splitlines()]
    sources = ["film text: a film", "film text: the plot"]
    assert [text.strip() for text in loaded.generate(sources)] == [line["written"] for line in lines[:2]]
    task = with_prompts(TaskMixture((ClassificationTask(name="a"), ClassificationTask(name="b"))))
    with pytest.raises(UserError, match="A mixture of tasks must be done text to text"):
        backbone_of(loaded, task, recipe())

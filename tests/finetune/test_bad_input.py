"""What a user can get wrong: one sentence with file and line, before anything is trained."""

import json
from pathlib import Path
from typing import Any

import optax
import pytest

from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.loop import check, finetune
from plmjax.finetune.update_strategies import LayerDecay
from plmjax.interop import Pretrained
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.registry import named
from plmjax.tasks.spans import QuestionAnsweringTask
from plmjax.tasks.tagging import TokenClassificationTask
from tests.finetune.kit import checkpoint, recipe, task_model_of, write_jsonl, write_tsv


def complaint(task: Any) -> str:
    with pytest.raises(UserError) as caught:
        task.splits()
    return one_sentence(caught.value)


def one_sentence(error: Exception) -> str:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def two_columns(path: Path, rows: Any, **fields: Any) -> ClassificationTask:
    return ClassificationTask(
        train=str(write_tsv(path, rows)), columns=("text", "label"), labels=("bad", "good"), **fields
    )


def test_a_label_outside_the_set(tmp_path: Path) -> None:
    said = complaint(two_columns(tmp_path / "a.tsv", [("it was", "good"), ("it is", "fine")]))
    assert said.startswith(f"{tmp_path / 'a.tsv'}:2 has the label 'fine' in 'label', which is none of bad, good")
    said = complaint(two_columns(tmp_path / "a.tsv", [("it was", 1), ("it is", 2)]))
    assert ":2 has the label '2'" in said


def test_a_label_of_the_validation_that_training_lacks(tmp_path: Path) -> None:
    task = two_columns(tmp_path / "a.tsv", [("it was", "x"), ("it is", "y")])
    task.labels = ()
    task.validation = str(write_tsv(tmp_path / "b.tsv", [("it is", "z")]))
    assert f"{tmp_path / 'b.tsv'}:1 has the label 'z'" in complaint(task)


def test_a_missing_column(tmp_path: Path) -> None:
    said = complaint(two_columns(tmp_path / "a.tsv", [("it was", "good")], text="sentence"))
    assert said.startswith(f"{tmp_path / 'a.tsv'}:1 has no field 'sentence' but text, label: name one of these")
    said = complaint(two_columns(tmp_path / "a.tsv", [("it was", "good"), ("alone",)]))
    assert f"{tmp_path / 'a.tsv'}:2 has 1 columns, not the 2" in said


def test_an_empty_text(tmp_path: Path) -> None:
    said = complaint(two_columns(tmp_path / "a.tsv", [("it was", "good"), ("  ", "bad")]))
    assert said == f"{tmp_path / 'a.tsv'}:2 has an empty text in 'text': fill or drop the line."


def spans(path: Path, answer: str, start: int, context: str = "the film was good") -> QuestionAnsweringTask:
    qas = [{"id": "q1", "question": "how ?", "answers": [{"text": answer, "answer_start": start}]}]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}))
    return QuestionAnsweringTask(train=str(path))


def test_an_answer_that_is_not_in_its_context(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    said = complaint(spans(file, "good", 12))
    assert said.startswith(f"{file}: question q1 has the answer 'good', which is not at character 12 of its context")
    assert "has no answer" in complaint(
        QuestionAnsweringTask(train=str(write_jsonl(tmp_path / "b.jsonl", [NO_ANSWER])))
    )
    assert spans(file, "good", 13).splits()["train"][0].target == (("good", 13),)


NO_ANSWER = {"question": "how ?", "context": "the film", "answers": [], "answer_starts": []}


def test_tags(tmp_path: Path) -> None:
    file = tmp_path / "eng.train"
    file.write_text("-DOCSTART- O\n\ngood O\nactor I-PER\n\nfilm X\n")
    said = complaint(TokenClassificationTask(train=str(file), scheme="IOB1", labels=("O", "B-PER", "I-PER")))
    assert said.startswith(f"{file}:6 has the tag 'X' of word 1")
    file.write_text("good O\nactor I-PER\n")
    assert f"{file}:1 has the tag 'I-PER' of word 2 after 'O', which IOB2 does not allow" in complaint(
        TokenClassificationTask(train=str(file))
    )
    file.write_text("good O\nactor B-PER\n")
    assert "which is none of O, B-LOC, I-LOC" in complaint(
        TokenClassificationTask(train=str(file), labels=("O", "B-LOC", "I-LOC"))
    )
    file.write_text("good O\n\nactor\n")
    assert f"{file}:3 has 1 columns" in complaint(TokenClassificationTask(train=str(file)))


def test_choices_and_numbers(tmp_path: Path) -> None:
    row = {"context": "it was", "choices": ["a", "b"], "label": 2}
    file = str(write_jsonl(tmp_path / "a.jsonl", [row]))
    assert "a.jsonl:1 has 2 choices, not task.count=4" in complaint(MultipleChoiceTask(train=file))
    assert "a.jsonl:1 has the label '2' in 'label', which is none of its 2" in complaint(
        MultipleChoiceTask(train=file, count=2)
    )
    numbers = RegressionTask(train=str(write_tsv(tmp_path / "b.tsv", [("it", "much")])), columns=("text", "label"))
    assert "b.tsv:1 has 'much' as 'label': a number is needed." in complaint(numbers)


@pytest.mark.parametrize("kind", ["classification", "token_classification"])
def test_a_text_longer_than_the_positions(kind: str, encoder: Pretrained, tmp_path: Path) -> None:
    words = ["film"] * 80
    if kind == "token_classification":
        task: Any = TokenClassificationTask(
            train=str(write_jsonl(tmp_path / "a.jsonl", [{"tokens": words, "tags": ["O"] * 79 + ["B-X"]}]))
        )
    else:
        task = two_columns(tmp_path / "a.tsv", [(" ".join(words), "good")])
    examples = task.splits()["train"]
    task_model, _ = task_model_of(encoder, task)
    with pytest.raises(UserError) as caught:
        task_model.features(examples, learn=True)
    said = one_sentence(caught.value)
    assert f"{examples[0].place} has 82 tokens including the special ones, but a row holds 64" in said
    given = recipe()
    given.truncation = True
    task_model, _ = task_model_of(encoder, task, given)
    (feature,) = task_model.features(examples, learn=True)
    assert feature.length == 64
    assert task_model.cut_rows == 1


def test_nothing_is_trained_before_all_is_read(encoder: Pretrained, tmp_path: Path) -> None:
    task = two_columns(tmp_path / "a.tsv", [("it was", "good"), ("it is", "bad")])
    task.test = (str(write_tsv(tmp_path / "t.tsv", [("it is", "x")])),)
    with pytest.raises(UserError, match="t.tsv:1 has the label 'x'"):
        finetune(encoder, task, recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings(encoder: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No task is named 'sst3': choose one of classification"):
        named("sst3")
    with pytest.raises(UserError, match="The task has no training examples: name a task with --task=NAME"):
        named("classification").splits()
    with pytest.raises(UserError, match=r"task.metric has 'f2': choose from accuracy"):
        two_columns(tmp_path / "a.tsv", [("it", "good")], metric=("f2",)).splits()
    with pytest.raises(UserError, match="A microbatch has 30 examples, which do not divide over the 4 devices"):
        check(recipe(batch_size=30), 4)
    with pytest.raises(UserError, match="max_length is 65, but the network has 64 positions"):
        task_model_of(encoder, two_columns(tmp_path / "a.tsv", [("it", "good")]), FineTune(max_length=65))
    with pytest.raises(UserError, match=r"update_strategy.rate is 1.5"):
        LayerDecay(1.5).wrap_optimizer(optax.identity(), encoder.config, 1)
    with pytest.raises(UserError, match=r"update_strategy.scales is 'rates'"):
        LayerDecay(0.5, "rates").wrap_optimizer(optax.identity(), encoder.config, 1)


def test_a_kind_that_the_network_can_not_do(tokenizer: Any, tmp_path: Path) -> None:
    task = TokenClassificationTask(
        train=str(write_jsonl(tmp_path / "a.jsonl", [{"tokens": ["a"], "tags": ["O"]}])), labels=("O", "B-X")
    )
    task.splits()
    with pytest.raises(UserError, match="use an encoder for token classification"):
        task_model_of(checkpoint(tokenizer, "gpt"), task)
    with pytest.raises(UserError, match="A LamdaConfig has no class head"):
        task_model_of(checkpoint(tokenizer, "lamda"), task)

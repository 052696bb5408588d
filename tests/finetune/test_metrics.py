"""Metrics and label maps of the tasks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.data.examples.conll import read_conll, to_iob2, wrong_tag
from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.registry import ENTITIES, GLUE, SUPER_GLUE, TASKS, TFDS_NAMES, named
from plmjax.tasks.spans import QuestionAnsweringTask, SpanPrediction
from plmjax.tasks.supervised import FIELD, Example
from plmjax.tasks.tagging import TokenClassificationTask
from tests.finetune.kit import write_jsonl


def examples(targets: Any, groups: Any = None) -> list[Example]:
    groups = groups or [""] * len(targets)
    return [
        Example(str(i), str(i), (), target, group)
        for i, (target, group) in enumerate(zip(targets, groups, strict=True))
    ]


def scores(labels: Any, classes: int = 2) -> list[np.ndarray]:
    return [np.eye(classes)[label] for label in labels]


def test_metrics_of_labels() -> None:
    task = ClassificationTask(
        labels=("no", "yes"), metric=("accuracy", "f1", "macro_f1", "matthews", "group_exact_match")
    )
    found = task.measure(examples([1, 1, 0, 0, 1], ["a", "a", "b", "c", "c"]), scores([1, 0, 0, 1, 1]))
    # 2 true positives, 1 false, 1 missed, 1 true negative
    f1, f0 = 2 * 2 / (2 * 2 + 1 + 1), 2 * 1 / (2 * 1 + 1 + 1)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx(f1)
    assert found["macro_f1"] == pytest.approx((f1 + f0) / 2)
    assert found["matthews"] == pytest.approx((2 * 1 - 1 * 1) / np.sqrt(3 * 3 * 2 * 2))
    assert found["group_exact_match"] == pytest.approx(1 / 3)  # only b is all right
    constant = task.measure(examples([1, 1, 0]), scores([0, 0, 0]))
    assert constant["matthews"] == constant["f1"] == 0


def test_metrics_of_numbers() -> None:
    task = RegressionTask()
    found = task.measure(examples([1.0, 2.0, 3.0, 4.0]), [np.array([x]) for x in (1.0, 2.0, 3.0, 14.0)])
    assert found["spearman"] == pytest.approx(1.0)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 2, 3, 14])[0, 1])
    assert task.measure(examples([1.0, 2.0]), [np.array([3.0])] * 2) == {"pearson": 0.0, "spearman": 0.0}


IOB1 = ["I-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC", "I-ORG"]
IOB2 = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC", "B-ORG"]


def test_schemes_of_tags(tmp_path: Path) -> None:
    assert to_iob2(IOB1) == IOB2
    assert to_iob2(IOB2) == IOB2
    assert wrong_tag(IOB1, "IOB1") is None
    assert wrong_tag(IOB1, "IOB2") == 0
    assert wrong_tag(IOB2, "IOB2") is None
    assert wrong_tag(IOB2, "IOB1") == 0
    words = [f"w{index}" for index in range(len(IOB1))]
    file = tmp_path / "a.conll"
    text = "".join(f"{word} NN {tag}\n" for word, tag in zip(words, IOB1, strict=True))
    file.write_text(f"-DOCSTART- -X- O\n\n{text}\n\nlast NN O\n")
    found = read_conll(str(file))
    assert [row["tokens"] for row in found] == [words, ["last"]]
    assert [row.place for row in found] == [f"{file}:3", f"{file}:12"]
    one = TokenClassificationTask(train=str(file), scheme="IOB1").splits()["train"]
    rows_file = write_jsonl(
        tmp_path / "b.jsonl", [{"tokens": words, "tags": IOB2}, {"tokens": ["last"], "tags": ["O"]}]
    )
    two = TokenClassificationTask(train=str(rows_file)).splits()["train"]
    assert [example.target for example in one] == [example.target for example in two] == [tuple(IOB2), ("O",)]


def test_entities_are_right_where_both_ends_and_the_kind_are() -> None:
    task = TokenClassificationTask()
    gold = examples([("B-PER", "I-PER", "O", "B-LOC"), ("B-ORG", "B-ORG", "O")])
    # Person cut short, place right; the two organisations taken for one.
    found = task.measure(gold, [["B-PER", "O", "O", "B-LOC"], ["B-ORG", "I-ORG", "O"]])
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 4)
    assert found["f1"] == pytest.approx(2 * (1 / 3) * (1 / 4) / (1 / 3 + 1 / 4))
    assert found["accuracy"] == pytest.approx(5 / 7)
    assert task.measure(gold, [["O"] * 4, ["O"] * 3])["f1"] == 0


def test_answers() -> None:
    task = QuestionAnsweringTask(metric=("f1", "exact_match"))
    gold = examples([(("The Broncos", 0), ("Denver Broncos", 5)), (("308", 4),)])
    found = task.measure(gold, [SpanPrediction("denver broncos!", -1.0), SpanPrediction("308 points", 2.0)])
    assert found == pytest.approx({"f1": (1 + 2 / 3) / 2, "exact_match": 0.5})  # no_answer is not asked


def test_unanswerable_questions_and_the_best_threshold() -> None:
    task = QuestionAnsweringTask(
        unanswerable=True, metric=("f1", "exact_match", "best_f1", "answered_f1", "unanswered_accuracy")
    )
    gold = examples([(("a b", 0),), (), (("c", 0),), ()])
    said = [SpanPrediction("a b", -3.0), SpanPrediction("x", -1.0), SpanPrediction("c", 0.5), SpanPrediction("y", 2.0)]
    found = task.measure(gold, said)
    # At threshold 0 the second question gets a wrong span and the third none.
    assert found["exact_match"] == pytest.approx(2 / 4)
    assert found["answered_f1"] == pytest.approx(1 / 2)
    assert found["unanswered_accuracy"] == pytest.approx(1 / 2)
    # Between 0.5 and 2 three are right, and no threshold gets all.
    assert found["best_f1"] == pytest.approx(3 / 4)
    assert [task.chosen(one) for one in said] == ["a b", "x", "", ""]
    task.threshold = 1.0
    assert task.measure(gold, said)["f1"] == pytest.approx(3 / 4)


def test_choices_by_number_letter_and_text() -> None:
    task = MultipleChoiceTask(context="c", choices=("a", "b"), count=2)
    for label, number in ((1, 1), ("B", 1), ("0", 0), ("red", 0)):
        row = Row({"c": "it is", "a": "red", "b": "blue", "label": label}, "f:1")
        assert task.example(row).target == number
    assert task.example(row).texts == ("it is", "red", "blue")
    assert task.measure(examples([1, 0]), [np.array([0.1, 0.3]), np.array([0.1, 0.3])]) == {"accuracy": 0.5}
    race = named("race")
    row = Row(
        {"article": "x", "questions": ["q", "r"], "options": [["a", "b", "c", "d"]] * 2, "answers": ["D", "A"]}, "f:1"
    )
    found = [race.example(part) for part in race._unfolded(row)]
    assert [one.target for one in found] == [3, 0]
    assert found[1].texts == ("x", "r a", "r b", "r c", "r d")


def test_a_template_reads_several_fields() -> None:
    task = ClassificationTask(text="{word}: {sentence}", pair="{number} times", labels=("a", "b"))
    fields = {"word": "film", "sentence": "it was", "number": 3, "label": "b"}
    assert task.example(Row(fields, "f:1")).texts == ("film: it was", "3 times")
    with pytest.raises(UserError, match="f:1 has an empty text in 'sentence'"):
        task.example(Row(fields | {"sentence": " "}, "f:1"))
    assert task.example(Row(fields | {"word": ["film", "plot"]}, "f:1")).texts[0] == "film, plot: it was"
    with pytest.raises(UserError, match=r"f:1 has list \[1\] in 'word': a text is needed"):
        task.example(Row(fields | {"word": [1]}, "f:1"))
    with pytest.raises(UserError, match=r"f:1 has list \['x'\] in 'word': a text is needed"):
        replace(task, text="word").example(Row(fields | {"word": ["x"]}, "f:1"))


def test_numbers_that_are_kept_secret() -> None:
    fields = {"sentence1": "a", "sentence2": "b"}
    assert named("stsb").example(Row(fields | {"label": -1.0}, "f:1")).target is None
    assert named("stsb").example(Row(fields | {"label": "2.5"}, "f:1")).target == 2.5


def test_labels_by_name_and_by_number() -> None:
    task = named("mnli")
    fields = {"premise": "a", "hypothesis": "b"}
    for label, number in ((0, 0), ("contradiction", 2), (1, 1), ("neutral", 1)):
        assert task.example(Row(fields | {"label": label}, "f:1")).target == number
    assert task.example(Row(fields | {"label": -1}, "f:1")).target is None
    boolq = named("boolq")
    fields = {"passage": "a", "question": "b"}
    for label, number in ((True, 1), ("False", 0), (1, 1)):
        assert boolq.example(Row(fields | {"label": label}, "f:1")).target == number


def test_the_labels_are_tfds_s() -> None:
    glue = pytest.importorskip("tensorflow_datasets.text.glue")
    super_glue = pytest.importorskip("tensorflow_datasets.text.super_glue")
    builders = {config.name: config for config in glue.Glue.BUILDER_CONFIGS}
    for name, (_, labels, texts) in GLUE.items():
        assert tuple(builders[name].label_classes or ()) == labels, name
        assert set(builders[name].text_features) == set(texts), name
    others = {config.name: config for config in super_glue.SuperGlue.BUILDER_CONFIGS}
    for name, (_, labels, texts, _) in SUPER_GLUE.items():
        config = others[TFDS_NAMES.get(name, name)]
        assert tuple(config.label_classes) == labels, name
        needed = {field for text in texts for field in (FIELD.findall(text) or [text])}
        assert needed <= set(config.features), name


def test_the_entities_are_tfds_s() -> None:
    library = pytest.importorskip("tensorflow_datasets.core.dataset_builders.conll.conll_dataset_builder_utils")
    assert tuple(library.NER_TAGS) == ENTITIES


def test_every_name_makes_a_task_of_its_own() -> None:
    for name in TASKS:
        assert named(name) is not named(name)
        assert named(name).metrics, name

"""From SQuAD's JSON to a score, with a network's scores made by hand: windows, no answer, articles, several answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.data.templates import Template, xlnet_template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.finetune.backbones.encoder import EncoderBackbone, encoder_template
from plmjax.finetune.task_models.base import LengthLimits
from plmjax.finetune.task_models.question_answering import QuestionAnsweringModel
from plmjax.modules.bert import VARIANTS as BERT
from plmjax.modules.xlnet import VARIANTS as XLNET
from plmjax.tasks.spans import QuestionAnsweringTask
from tests.finetune.kit import recipe

FILLER = "the film was very dull and the plot it was rather a story " * 4
QUESTIONS = [
    # context, answers, is it answered
    ("The great actor was good.", ["The great actor", "great actor"]),
    (FILLER + "but a lovely scene, \u201cfine\u201d, was it " + FILLER, ["lovely scene"]),
    ("Nothing is said here.", []),
    (FILLER + "at the end stands good", ["good"]),
]


def squad_file(folder: Path) -> str:
    paragraphs = []
    for number, (context, answers) in enumerate(QUESTIONS):
        found = [{"text": text, "answer_start": context.index(text)} for text in answers]
        paragraphs.append(
            {"context": context, "qas": [{"id": f"q{number}", "question": "what was it ?", "answers": found}]}
        )
    file = folder / "dev.json"
    file.write_text(json.dumps({"version": "2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return str(file)


TEMPLATES: dict[str, Any] = {
    "bert": lambda vocabulary: encoder_template(BERT["tiny"], vocabulary),
    "xlnet": xlnet_template,
}


@pytest.fixture(params=list(TEMPLATES))
def made(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path: Path
) -> tuple[QuestionAnsweringModel, Any, Any, QuestionAnsweringTask]:
    task = QuestionAnsweringTask(
        train=squad_file(tmp_path), unanswerable=True, id="id", metric=("f1", "exact_match", "best_f1")
    )
    template: Template = TEMPLATES[request.param](tokenizer.vocabulary)
    config = BERT["tiny"] if request.param == "bert" else XLNET["tiny"]
    given = recipe()
    given.doc_stride = 10
    task_model = QuestionAnsweringModel(
        task, EncoderBackbone(config, tokenizer, template), LengthLimits(40, False), given
    )
    examples = task.splits()["train"]
    return task_model, examples, task_model.features(examples, learn=True), task


def oracle(features: Any) -> list[dict[str, np.ndarray]]:
    """High scores at the targets of each row, and low ones where nothing may stand."""
    rows = []
    for feature in features:
        row = {}
        for side in ("start", "end"):
            scores = np.where(feature.sequences["allowed"] > 0, 0.0, -1e9)
            scores[feature.values[f"answer_{side}"]] = 10.0
            row[side] = scores
        rows.append(row)
    return rows


def test_right_scores_give_the_right_answers(made: Any) -> None:
    task_model, examples, features, task = made
    assert all(feature.length <= 40 for feature in features)
    assert [example.id for example in examples] == ["q0", "q1", "q2", "q3"]
    rows = [sum(feature.example == number for feature in features) for number in range(4)]
    assert rows[0] == rows[2] == 1
    assert rows[1] > 3
    predictions = task_model.predictions(examples, features, oracle(features))
    assert [task.chosen(one) for one in predictions] == [
        "The great actor", "lovely scene", "", "good"
    ]  # fmt: skip
    assert task.measure(examples, predictions) == {"f1": 1.0, "exact_match": 1.0, "best_f1": 1.0}


def test_an_answer_is_a_target_only_where_all_of_it_is_shown(made: Any) -> None:
    _, examples, features, _ = made
    for feature in features:
        start, end = (int(feature.values[f"answer_{side}"]) for side in ("start", "end"))
        window = feature.origin
        if start == window.class_index:
            assert end == start
            continue
        context = examples[feature.example].texts[1]
        text = context[window.starts[start - window.first] : window.ends[end - window.first]].strip()
        assert text == examples[feature.example].target[0][0]


def test_an_answer_is_not_longer_than_it_may_be(made: Any) -> None:
    task_model, examples, features, task = made
    rows = oracle(features)
    rows[0]["end"][features[0].origin.first + len(features[0].origin.starts) - 1] = 11.0
    task_model.recipe.max_answer_length = 3
    text = task.chosen(task_model.predictions(examples, features, rows)[0])
    assert (
        len(task_model.backbone.tokenizer.encode(text)) <= 4
    )  # the article may take a piece more at the start of a text


def test_the_class_token_says_that_there_is_no_answer(made: Any) -> None:
    task_model, examples, features, task = made
    rows = oracle(features)
    at = features[0].origin.class_index
    rows[0]["start"][at] = rows[0]["end"][at] = 10.5
    found = task_model.predictions(examples, features, rows)[0]
    assert found.text == "The great actor"
    assert found.no_answer == pytest.approx(1.0)
    assert task.chosen(found) == ""
    task.unanswerable = False
    assert task.chosen(found) == "The great actor"

"""Tasks with labels done by writing: rows, and what is read off what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.data.tokenizers import Tokenizer
from plmjax.finetune.ways.text_to_text import TextToTextWay
from plmjax.tasks.classification import Classification
from plmjax.tasks.labelled import Example
from plmjax.tasks.wordings import worded
from tests.finetune.kit import recipe, write_jsonl
from tests.finetune.test_writing import torchless
from tests.finetune.text_kit import writing_way

ROWS = [("a film", "good"), ("the plot", "fine"), ("it was", "good")]


def made(tokenizer: Tokenizer, family: str, folder: Path) -> tuple[TextToTextWay, Any]:
    file = write_jsonl(folder / "a.jsonl", [{"text": text, "label": label} for text, label in ROWS])
    given = recipe()
    given.text_to_text = True
    task = worded(Classification(name="film", train=str(file), metric=("accuracy", "f1")))
    examples = task.splits()
    way, _ = writing_way(torchless(tokenizer, family), task, given)
    way.prepare(examples)
    return way, examples["train"]


@pytest.mark.parametrize("family", ["t5", "bart", "gpt"])
def test_rows_and_answers(family: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    way, examples = made(tokenizer, family, tmp_path)
    assert isinstance(way, TextToTextWay)
    v = tokenizer.vocabulary
    features = way.features([*examples, Example("x", "f:9", ("a film",), None)], learn=False)
    opening = [v.bos] if family == "bart" else []
    assert features[0].sequences["tokens"].tolist() == [*opening, *tokenizer.encode("film text: a film"), v.eos]
    target = [*opening, *tokenizer.encode("good"), v.eos]
    assert features[0].values["targets"][: len(target)].tolist() == target
    assert features[0].values["target_count"] == len(target)
    assert features[3].values["target_count"] == 0
    outputs = [row_of([*opening, *tokenizer.encode(text), v.eos]) for text in ("good", "fine", "goods")]
    outputs.append(row_of([*tokenizer.encode("fine")]))  # not ended
    found = way.predictions([*examples, examples[0]], features, outputs)
    assert way.task.labels == ("fine", "good")
    assert [one.tolist() for one in found[:2]] == [[0.0, 1.0], [1.0, 0.0]]
    assert np.isnan(found[2]).all()
    assert found[3].tolist() == [1.0, 0.0]
    scores = way.measure(0.5, examples, found[:3])
    assert scores == {"loss": 0.5, "accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3), "invalid_answers": 1.0}
    assert way.readable(examples[0], found[0], outputs[:1]) == {"prediction": "good", "written": "good"}
    assert way.readable(examples[2], found[2], outputs[2:3]) == {"prediction": None, "written": "goods"}


def row_of(tokens: list[int]) -> dict[str, np.ndarray]:
    return {"written": np.array([*tokens, 0, 0], np.int32), "written_count": np.int32(len(tokens))}

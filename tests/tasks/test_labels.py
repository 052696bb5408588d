"""Labels that are none are refused with their place, in training files and in test files."""

import json
from pathlib import Path
from typing import Any

import pytest

from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask

WRONG = {
    "null": (None, "has no label in 'label' (None): fill it"),
    "empty": ("", "has no label in 'label' (''): fill it"),
    "blank": (" \t", "has no label in 'label' (' \\\\t'): fill it"),
    "not a number": (float("nan"), "has no label in 'label' (nan): fill it"),
    "a list": (["a", "b"], "has ['a', 'b'] in 'label': an example has one label"),
    "an empty list": ([], "has [] in 'label': an example has one label"),
    "an object": ({"name": "a"}, "has {'name': 'a'} in 'label': an example has one label"),
}


def file_of(path: Path, *labels: Any) -> str:
    path.write_text("".join(json.dumps({"text": f"text {n}", "label": one}) + "\n" for n, one in enumerate(labels)))
    return str(path)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("named", [(), ("a", "b")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_no_label(name: str, named: tuple[str, ...], split: str, tmp_path: Path) -> None:
    value, sentence = WRONG[name]
    good, bad = file_of(tmp_path / "good.jsonl", "a", "b"), file_of(tmp_path / "bad.jsonl", "a", value)
    task = ClassificationTask(train=good, labels=named)
    if split == "train":
        task.train = bad
    else:
        task.test = (bad,)
    with pytest.raises(UserError) as caught:
        task.splits()
    assert str(caught.value).startswith(f"{tmp_path / 'bad.jsonl'}:2 {sentence}".replace("\\\\", "\\"))


def test_labels_of_other_kinds(tmp_path: Path) -> None:
    for values, expected in (((1, 0, 1), ("0", "1")), ((True, False), ("False", "True")), (("10", "9"), ("9", "10"))):
        task = ClassificationTask(train=file_of(tmp_path / "a.jsonl", *values))
        task.splits()
        assert task.labels == expected

"""Where commands take their texts from."""

from pathlib import Path

import pytest

from experiments.prompts import read_texts
from plmjax.errors import UserError


def test_texts_come_from_flags_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("one\n\ntwo  \n", encoding="utf-8")
    assert read_texts([], file) == ["one", "two  "]
    assert read_texts(["a", "b"], None) == ["a", "b"]
    for prompts, path in ([], None), (["a"], file):
        with pytest.raises(UserError, match="--prompt"):
            read_texts(prompts, path)
    with pytest.raises(UserError, match="can't be read"):
        read_texts([], tmp_path / "none")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="can't be read"):
        read_texts([], file)
    file.write_text("\n")
    with pytest.raises(UserError, match="no text"):
        read_texts([], file)

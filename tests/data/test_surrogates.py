"""Halves of surrogate pairs in scraped JSON are read as U+FFFD, wherever a text comes in."""

import json

import pytest

from plmjax.data.examples.rows import read_rows
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.surrogates import loads, without_surrogates

LINE = r'{"text": "the cat \ud83d sat", "more": [{"\udc00": "\ud83d\ude00 \udfff"}], "n": 3}'
CLEAN = {"text": "the cat \ufffd sat", "more": [{"\ufffd": "😀 \ufffd"}], "n": 3}


def test_strings_of_json():
    assert loads(LINE) == CLEAN
    assert without_surrogates("a\ud800b\udfffc😀é") == "a\ufffdb\ufffdc😀é"
    assert loads('{"a": "plain"}') == {"a": "plain"}
    with pytest.raises(json.JSONDecodeError):
        loads("{")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_rows(name, tmp_path):
    (tmp_path / name).write_text(LINE + "\n" + LINE + "\n")
    assert [dict(row.fields) for row in read_rows(str(tmp_path / name))] == [CLEAN, CLEAN]


def test_a_store(tmp_path):
    (tmp_path / "text.jsonl").write_text("".join(f"{LINE}\n" for _ in range(40)))
    sources = (str(tmp_path / "text.jsonl"),)
    options = PrepareOptions(sources=sources, validation_sources=sources, tokenizer="whitespace")
    store = prepare(options, tmp_path / "store", progress=False)
    assert "\ufffd" in store.tokenizer.decode(store.split("train").tokens[:60])

"""Texts in, texts out, and the lines that the generate script prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from plmjax.decode import GREEDY, continue_text, fill_sentinels, rewrite_text
from plmjax.decode.respond import Request, read_texts, respond
from plmjax.errors import UserError
from plmjax.modules import Bound

from .conftest import SAMPLED, WordTokenizer

TEXTS = ["w10 w20", "w30", "w10 w20 w40 w50"]


def test_continuations_do_not_depend_on_the_batch_size(gpt2: Bound, words: WordTokenizer) -> None:
    written = continue_text(gpt2, words, TEXTS, max_new_tokens=8, sampling=SAMPLED, batch_size=2)
    assert written == continue_text(gpt2, words, TEXTS, max_new_tokens=8, sampling=SAMPLED, batch_size=3)
    assert len(set(written)) == 3
    for text in written:
        # the text's own words are left out, the blank before the first new one stays, no special token is written
        assert text.startswith(" w")
        assert all(word.startswith("w") for word in text.split())


def test_a_text_may_be_alone_or_empty(gpt2: Bound, words: WordTokenizer) -> None:
    settings = {"max_new_tokens": 8, "sampling": SAMPLED}
    assert continue_text(gpt2, words, [], **settings) == []
    assert continue_text(gpt2, words, TEXTS[0], **settings) == continue_text(gpt2, words, TEXTS, **settings)[:1]
    [from_eos] = continue_text(gpt2, words, "", **settings)
    assert from_eos


def test_each_kind_does_what_it_can(gpt2: Bound, t5: Bound, words: WordTokenizer) -> None:
    with pytest.raises(UserError, match=r"T5, encoder-decoder.*can't continue a text"):
        continue_text(t5, words, TEXTS)
    with pytest.raises(UserError, match=r"GPT, decoder.*can't rewrite a text"):
        rewrite_text(gpt2, words, TEXTS)


def test_an_encoder_shows_candidates(bert: Bound, words: WordTokenizer) -> None:
    [block] = respond(bert, words, ["w10 [MASK] w20 [MASK]"], Request(top_k=2))
    lines = block.split("\n")
    assert lines[0] == "> w10 [MASK] w20 [MASK]"
    assert len(lines) == 5
    assert lines[1].startswith("mask 1") and lines[3].startswith("mask 2")
    assert "%" in lines[2]


def test_a_decoder_continues_a_text_as_often_as_asked(gpt2: Bound, words: WordTokenizer) -> None:
    request = Request(8, SAMPLED.temperature, SAMPLED.top_k, SAMPLED.top_p, samples=3)
    [block] = respond(gpt2, words, TEXTS[:1], request)
    first, *outputs = block.split("\n")
    assert first == "> w10 w20"
    assert len(set(outputs)) == 3
    assert all(output.startswith("w10 w20 w") for output in outputs)


def test_an_encoder_decoder_fills_blanks_and_rewrites_the_rest(t5: Bound, words: WordTokenizer) -> None:
    texts = ["w10 ___ w20", "w30"]
    filled, rewritten = respond(t5, words, texts, Request(max_new_tokens=8))
    assert filled == "> w10 ___ w20\n" + fill_sentinels(t5, words, texts[0], max_new_tokens=8)[0].text
    assert rewritten == "> w30\n" + rewrite_text(t5, words, "w30", max_new_tokens=8, sampling=GREEDY)[0]


def test_requests_that_make_no_sense_are_refused(gpt2: Bound, words: WordTokenizer) -> None:
    with pytest.raises(UserError, match="all 3 samples are the same"):
        list(respond(gpt2, words, TEXTS, Request(samples=3, temperature=0)))
    with pytest.raises(UserError, match="top_p is 2"):
        list(respond(gpt2, words, TEXTS, Request(top_p=2.0)))
    with pytest.raises(UserError, match="no tokenizer"):
        list(respond(gpt2, None, TEXTS, Request()))


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

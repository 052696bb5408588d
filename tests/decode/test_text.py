"""Texts in, texts out, and the lines that the generate script prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from plmjax.decode import GREEDY, continue_text, fill_sentinels, rewrite_text
from plmjax.decode import text as text_module
from plmjax.decode.beam_search import Beams
from plmjax.decode.respond import Request, read_texts, respond, stream
from plmjax.decode.text import stream_text
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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_streamed_text_is_the_text(gpt2: Bound, words: WordTokenizer, seed: int) -> None:
    pieces = list(stream_text(gpt2, words, TEXTS[0], max_new_tokens=9, sampling=SAMPLED, seed=seed))
    [whole] = continue_text(gpt2, words, TEXTS[:1], max_new_tokens=9, sampling=SAMPLED, seed=seed)
    assert "".join(pieces) == whole and len(pieces) > 1
    request = Request(9, SAMPLED.temperature, SAMPLED.top_k, SAMPLED.top_p, seed=seed)
    assert "".join(stream(gpt2, words, TEXTS[0], request)) == next(respond(gpt2, words, TEXTS[:1], request))


def test_characters_come_whole(gpt2: Bound, words: WordTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that are single bytes show nothing until the character is there."""
    spelled = "né".encode()
    ids = [[10], [11], [12]]
    monkeypatch.setattr(text_module, "stream_tokens", lambda *_, **__: iter(ids))
    monkeypatch.setattr(
        type(words),
        "decode",
        lambda self, tokens: spelled[: sum(t in (10, 11, 12) for t in tokens)].decode(errors="replace"),
    )
    monkeypatch.setattr(type(words), "encode", lambda self, text, special=False: [5])
    assert list(stream_text(gpt2, words, "x", max_new_tokens=3)) == ["n", "é"]


def test_beams_rules_and_ranks_reach_the_text(gpt2: Bound, words: WordTokenizer) -> None:
    settings = {"max_new_tokens": 12}
    for text in TEXTS:
        [direct] = continue_text(gpt2, words, text, sampling=Beams(3, 2.0, True), **settings)
        request = Request(beams=3, length_penalty=2.0, early_stopping=True, **settings)
        assert next(respond(gpt2, words, [text], request)) == f"> {text}\n{text}{direct}"
    plain, unrepeated = (
        next(respond(gpt2, words, TEXTS[:1], Request(temperature=0.0, **settings, **more))).split("\n")[1].split()
        for more in ({}, {"no_repeat_ngram": 1})
    )
    assert len(set(unrepeated)) == len(unrepeated) and len(set(plain)) < len(plain)
    ranked = next(respond(gpt2, words, TEXTS[:1], Request(best_of=4, **settings)))
    assert ranked == next(respond(gpt2, words, TEXTS[:1], Request(best_of=4, **settings)))
    for wrong, sentence in (
        ({"beams": 2, "temperature": 1.0}, "draws nothing"),
        ({"beams": 2, "best_of": 2}, "leave one of them out"),
        ({"length_penalty": 2.0}, "belong to a beam search"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
    ):
        with pytest.raises(UserError, match=sentence):
            list(respond(gpt2, words, TEXTS[:1], Request(**wrong)))
    with pytest.raises(UserError, match="leave out --stream"):
        list(stream(gpt2, words, TEXTS[0], Request(beams=2)))

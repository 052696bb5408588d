"""Texts in, texts out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plmjax.decode import GenerationConfig, Sampling, generate_text
from plmjax.decode import text as text_module
from plmjax.decode.text import stream_text
from plmjax.errors import UserError
from plmjax.modules import Bound

from .conftest import SAMPLED, WordTokenizer

TEXTS = ["w10 w20", "w30", "w10 w20 w40 w50"]
SAMPLES = GenerationConfig(
    max_new_tokens=8, do_sample=True, temperature=SAMPLED.temperature, top_k=SAMPLED.top_k, top_p=SAMPLED.top_p
)
GREEDY = GenerationConfig(max_new_tokens=12)


def test_continuations_do_not_depend_on_the_batch_size(gpt2: Bound, words: WordTokenizer) -> None:
    written = generate_text(gpt2, words, TEXTS, SAMPLES, batch_size=2)
    assert written == generate_text(gpt2, words, TEXTS, SAMPLES, batch_size=3)
    assert len({text for [text] in written}) == 3
    for [text] in written:
        # the text's own words are left out, the blank before the first new one stays, no special token is written
        assert text.startswith(" w")
        assert all(word.startswith("w") for word in text.split())


def test_a_text_may_be_alone_or_empty(gpt2: Bound, words: WordTokenizer) -> None:
    assert generate_text(gpt2, words, [], SAMPLES) == []
    assert generate_text(gpt2, words, TEXTS[:1], SAMPLES) == generate_text(gpt2, words, TEXTS, SAMPLES)[:1]
    [[from_eos]] = generate_text(gpt2, words, [""], SAMPLES)
    assert from_eos


def test_several_samples_and_the_best_of_a_search(gpt2: Bound, words: WordTokenizer) -> None:
    [samples, _] = generate_text(gpt2, words, TEXTS[:2], replace(SAMPLES, num_return_sequences=3), batch_size=4)
    assert len(set(samples)) == 3
    [best] = generate_text(gpt2, words, TEXTS[:1], replace(GREEDY, num_beams=3, num_return_sequences=2))
    assert len(set(best)) == 2
    assert best[:1] == generate_text(gpt2, words, TEXTS[:1], replace(GREEDY, num_beams=3))[0]


def test_each_kind_does_what_it_can(bert: Bound, t5: Bound, words: WordTokenizer) -> None:
    with pytest.raises(UserError, match=r"Bert, encoder.*can't generate text"):
        generate_text(bert, words, TEXTS)
    with pytest.raises(UserError, match=r"T5, encoder-decoder.*can't continue a text"):
        list(stream_text(t5, words, "w10"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_streamed_text_is_the_text(gpt2: Bound, words: WordTokenizer, seed: int) -> None:
    pieces = list(stream_text(gpt2, words, TEXTS[0], replace(SAMPLES, max_new_tokens=9, seed=seed)))
    [[whole]] = generate_text(gpt2, words, TEXTS[:1], replace(SAMPLES, max_new_tokens=9, seed=seed))
    assert "".join(pieces) == whole and len(pieces) > 1


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
    assert list(stream_text(gpt2, words, "x", GenerationConfig(max_new_tokens=3))) == ["n", "é"]


def test_beams_processors_and_ranks_reach_the_text(gpt2: Bound, words: WordTokenizer) -> None:
    plain, unrepeated = (
        generate_text(gpt2, words, TEXTS[:1], replace(GREEDY, no_repeat_ngram_size=size))[0][0].split()
        for size in (0, 1)
    )
    assert len(set(unrepeated)) == len(unrepeated) and len(set(plain)) < len(plain)
    best = replace(SAMPLES, best_of=4)
    assert generate_text(gpt2, words, TEXTS[:1], best) == generate_text(gpt2, words, TEXTS[:1], best)
    searched = replace(GREEDY, num_beams=3, length_penalty=2.0, early_stopping=True)
    assert generate_text(gpt2, words, TEXTS, searched) != generate_text(gpt2, words, TEXTS, GREEDY)
    for wrong in (replace(GREEDY, num_beams=2), replace(SAMPLES, best_of=2), replace(SAMPLES, num_return_sequences=2)):
        with pytest.raises(UserError, match="they can't be streamed"):
            next(stream_text(gpt2, words, TEXTS[0], wrong))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_beams": 2, "do_sample": True}, "samples nothing"),
        ({"num_beams": 2, "best_of": 2}, "leave one of them out"),
        ({"length_penalty": 2.0}, "belong to a beam search"),
        ({"best_of": 2}, "needs different candidates"),
        ({"num_return_sequences": 3}, "Greedy decoding gives one text, not 3"),
        ({"num_beams": 2, "num_return_sequences": 3}, "a search with 2 beams finds 2"),
        ({"do_sample": True, "top_p": 2.0}, "top_p is 2"),
        ({"do_sample": True, "top_k": -1}, "top_k is -1"),
        ({"num_beams": 0}, "num_beams is 0"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        GenerationConfig(**fields).strategy()


def test_settings_out_of_range_or_unknown_are_refused() -> None:
    with pytest.raises(UserError, match="repetition_penalty is 0.0"):
        GenerationConfig(repetition_penalty=0.0).logits_processors()
    with pytest.raises(UserError, match="Generation has no setting 'typical_p': it has bad_words_ids"):
        GenerationConfig().with_settings(typical_p=0.5)


def test_top_k_of_zero_keeps_every_token() -> None:
    """So does `transformers`."""
    assert GenerationConfig(do_sample=True, top_k=0).strategy() == Sampling()

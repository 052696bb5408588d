"""The blocks of lines that the generate script prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plmjax.decode import GenerationConfig, fill_sentinels, generate_text
from plmjax.errors import UserError
from plmjax.interop.registry import architecture_of
from plmjax.modules import Bound
from plmjax.pipelines import Model, lines
from tests.decode.conftest import SAMPLED, WordTokenizer, bert, gpt2, t5, words  # noqa: F401 (fixtures)

TEXTS = ["w10 w20", "w30", "w10 w20 w40 w50"]
SAMPLES: dict[str, Any] = {
    "max_new_tokens": 8, "temperature": SAMPLED.temperature, "top_k": SAMPLED.top_k, "top_p": SAMPLED.top_p,
}  # fmt: skip


def model(network: Bound, tokenizer: WordTokenizer | None) -> Model:
    special = {"eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 0}
    return Model(network.config, network.params, architecture_of(network.config), tokenizer, special)


def test_an_encoder_shows_candidates(bert: Bound, words: WordTokenizer) -> None:  # noqa: F811
    [block] = lines.blocks(model(bert, words), ["w10 [MASK] w20 [MASK]"], {"top_k": 2})
    shown = block.split("\n")
    assert shown[0] == "> w10 [MASK] w20 [MASK]"
    assert len(shown) == 5
    assert shown[1].startswith("mask 1") and shown[3].startswith("mask 2")
    assert "%" in shown[2]


def test_an_encoder_has_no_use_for_other_settings(bert: Bound, words: WordTokenizer) -> None:  # noqa: F811
    with pytest.raises(UserError, match="BertForMaskedLM fills masks, for which num_beams means nothing: leave it out"):
        list(lines.blocks(model(bert, words), ["w10 [MASK]"], {"num_beams": 4, "top_k": 2}))


def test_a_decoder_continues_a_text_as_often_as_asked(gpt2: Bound, words: WordTokenizer) -> None:  # noqa: F811
    [block] = lines.blocks(model(gpt2, words), TEXTS[:1], SAMPLES | {"num_return_sequences": 3})
    first, *outputs = block.split("\n")
    assert first == "> w10 w20"
    assert len(set(outputs)) == 3
    assert all(output.startswith("w10 w20 w") for output in outputs)


def test_a_decoder_samples_where_nothing_is_said(gpt2: Bound, words: WordTokenizer) -> None:  # noqa: F811
    decoder = model(gpt2, words)
    assert lines.with_defaults(decoder, {}) == {"max_new_tokens": 64, "do_sample": True}
    assert lines.with_defaults(decoder, {"temperature": 0.0, "max_new_tokens": 3}) == {
        "max_new_tokens": 3,
        "do_sample": False,
    }
    assert lines.with_defaults(decoder, {"num_beams": 4})["do_sample"] is False
    told = replace(decoder, generation={"do_sample": True, "max_new_tokens": 7})
    assert lines.with_defaults(told, {}) == {}
    text = f"> {TEXTS[0]}\n{TEXTS[0]}"
    [greedy] = generate_text(gpt2, words, TEXTS[:1], GenerationConfig(max_new_tokens=8))
    assert list(lines.blocks(decoder, TEXTS[:1], {"temperature": 0.0, "max_new_tokens": 8})) == [text + greedy[0]]


def test_an_encoder_decoder_fills_blanks_and_rewrites_the_rest(t5: Bound, words: WordTokenizer) -> None:  # noqa: F811
    texts = ["w10 ___ w20", "w30"]
    config = GenerationConfig(max_new_tokens=8)
    filled, rewritten = lines.blocks(model(t5, words), texts, {"max_new_tokens": 8})
    assert filled == "> w10 ___ w20\n" + fill_sentinels(t5, words, texts[:1], config)[0][0].text
    assert rewritten == "> w30\n" + generate_text(t5, words, texts[1:], config)[0][0]


def test_requests_that_make_no_sense_are_refused(gpt2: Bound, words: WordTokenizer) -> None:  # noqa: F811
    decoder = model(gpt2, words)
    with pytest.raises(UserError, match="Greedy decoding gives one text, not 3"):
        list(lines.blocks(decoder, TEXTS, {"num_return_sequences": 3, "temperature": 0.0}))
    with pytest.raises(UserError, match="top_p is 2"):
        list(lines.blocks(decoder, TEXTS, {"top_p": 2.0}))
    with pytest.raises(UserError, match="no tokenizer"):
        list(lines.blocks(model(gpt2, None), TEXTS, {}))
    with pytest.raises(UserError, match="they can't be streamed"):
        list(lines.stream(decoder, TEXTS[0], {"num_beams": 2}))


def test_a_streamed_block_is_the_block(gpt2: Bound, words: WordTokenizer) -> None:  # noqa: F811
    decoder = model(gpt2, words)
    settings = SAMPLES | {"max_new_tokens": 9, "seed": 2}
    assert "".join(lines.stream(decoder, TEXTS[0], settings)) == next(lines.blocks(decoder, TEXTS[:1], settings))

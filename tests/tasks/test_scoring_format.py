"""How a checkpoint is asked: by its family, by what it was trained on, by the flags."""

from __future__ import annotations

from typing import Any

import pytest

from plmjax.errors import UserError
from plmjax.interop.registry import BY_CLASS, architecture_of
from plmjax.modules import FAMILIES, Bound, build
from plmjax.tasks.scoring_format import ScoringFormat, find_scoring_format
from tests.decode.conftest import WordTokenizer

START = {"decoder_start_token_id": 0}
CODED = {"type": "plmjax.objectives.conditional_lm:ConditionalLM"}


def ask(family: str, kind: str, trained: dict[str, Any] | None = None, **settings: Any) -> ScoringFormat:
    special = settings.pop("special", START if kind == "encoder_decoder" else {})
    config = FAMILIES[family].config(vocab_size=8, **settings.pop("fields", {}))
    shown = BY_CLASS[architecture_of(config)].scoring_format
    is_prefix_lm = Bound(build(config), {}).is_prefix_lm
    return find_scoring_format(
        config, kind, WordTokenizer(), special, trained or {}, shown=shown, is_prefix_lm=is_prefix_lm, **settings
    )


def test_encoder_decoders_are_shown_what_they_were_trained_with() -> None:
    assert ask("t5", "encoder_decoder") == ScoringFormat(0, "sentinel")
    assert ask("t5", "encoder_decoder", {"type": "plmjax.objectives.prefix_lm:PrefixLM"}) == ScoringFormat(0, "")
    assert ask("bart", "encoder_decoder").shown == "mask"
    assert ask("marian", "encoder_decoder").shown == ""
    with pytest.raises(UserError, match="does not say which token its decoder starts from"):
        ask("t5", "encoder_decoder", special={})
    with pytest.raises(UserError, match="An mBART writes each text after its language's token"):
        ask("mbart", "encoder_decoder")
    with pytest.raises(UserError, match="A prefix LM sees its inputs whole"):
        ask("t5_prefix_lm", "decoder")


def test_a_control_code_comes_first_and_is_asked_for_where_it_is_needed() -> None:
    assert ask("ctrl", "decoder", CODED, code="w7 w8").prefix == (7, 8)
    assert ask("ctrl", "decoder").prefix == ()  # trained as any other decoder
    with pytest.raises(UserError, match="name that of the texts with --code"):
        ask("gpt", "decoder", CODED)
    with pytest.raises(UserError, match="no decoder, which alone reads control codes"):
        ask("bert", "encoder", code="w7")
    with pytest.raises(UserError, match="has no token"):
        ask("ctrl", "decoder", code=" ")


def test_a_language_is_asked_for_where_there_are_several() -> None:
    fields, trained = {"num_languages": 3}, {"type": "a:CrossLingualLM", "languages": ["en", "hi", "ne"]}
    assert ask("xlm", "encoder", trained, fields=fields, language="hi").language == 1
    assert ask("xlm", "decoder", {}, fields=fields, language="2").language == 2
    assert ask("xlm", "encoder", fields={"num_languages": 1}).language is None
    for language in ("", "fr", "3", "-1"):
        with pytest.raises(UserError, match=r"knows 3 languages.*give that of the texts, en, hi, ne, or 0 to 2"):
            ask("xlm", "encoder", trained, fields=fields, language=language)
    with pytest.raises(UserError, match="tells no languages apart"):
        ask("gpt", "decoder", language="en")

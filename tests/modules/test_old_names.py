"""Configurations of networks that were written under earlier names are still read."""

from dataclasses import replace

import pytest

from plmjax.checkpoints.serialize import first_difference, from_json, to_json
from plmjax.modules import FAMILIES
from plmjax.modules.bert import BertConfig
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig


def test_a_pair_of_networks() -> None:
    config = GeneratorDiscriminatorConfig(BertConfig(), BertConfig(num_layers=3), "tokens")
    written = to_json(config) | {"type": "plmjax.modules.pair:PairConfig"}
    assert from_json(written) == config


OLD = ("token", "sentence", "detection", "class", "tag", "answer", "chain", "beam_answer")
NEW = (
    *("token", "next_sentence", "replaced_token_detection", "sequence_classification", "token_classification"),
    *("question_answering", "crf", "beam_question_answering"),
)
# These never had another head than the vocabulary's, or said it by a number.
WITHOUT = {"elmo", "transformer_xl", "gpt", "gpt3", "gpt_neo", "ctrl", "modernbert"}


def with_old_heads() -> list[str]:
    return [name for name, one in FAMILIES.items() if hasattr(one.variants["tiny"], "heads") and name not in WITHOUT]


@pytest.mark.parametrize("family", with_old_heads())
def test_heads(family: str) -> None:
    config = FAMILIES[family].variants["tiny"]
    assert from_json(to_json(replace(config, heads=OLD))) == replace(config, heads=NEW)


@pytest.mark.parametrize("family", ["gpt", "gpt3", "gpt_neo", "ctrl"])
@pytest.mark.parametrize("labels", [0, 3])
def test_the_classes_of_a_decoder(family: str, labels: int) -> None:
    config = FAMILIES[family].variants["tiny"]
    written = {key: value for key, value in to_json(config).items() if key not in ("heads", "num_labels")}
    today = replace(config, heads=("sequence_classification",), num_labels=3) if labels else config
    assert from_json(written | {"classes": labels}) == today
    assert first_difference(written | {"classes": labels}, to_json(today)) is None

"""Configurations of networks that were written under earlier names are still read."""

from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.modules.bert import BertConfig
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig


def test_a_pair_of_networks() -> None:
    config = GeneratorDiscriminatorConfig(BertConfig(), BertConfig(num_layers=3), "tokens")
    written = to_json(config) | {"type": "plmjax.modules.pair:PairConfig"}
    assert from_json(written) == config

"""ELECTRA: the discriminator and the generator, each a directory of its own."""

from collections.abc import Mapping
from dataclasses import replace

from jax import Array

from plmjax.interop.bert import IGNORED, INPUTS, bert_states, trunk
from plmjax.interop.bert import read_config as read_bert_config
from plmjax.interop.bert import write_config as write_bert_config
from plmjax.interop.family import JSON, Family, Outputs
from plmjax.interop.heads import architecture_of_heads, chosen, fine_tuned, head_entries
from plmjax.interop.tokenizer_format import BERT_FORMAT, FAST
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, layer_norm
from plmjax.modules import Bound
from plmjax.modules.electra import ElectraConfig

GENERATOR_HEAD, GENERATOR_TABLE = "generator_predictions", "generator_lm_head"
DISCRIMINATOR_HEAD = "discriminator_predictions"


def electra_table(config: ElectraConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """ELECTRA's names."""
    entries = trunk(config, "electra.", 0)
    if config.embedding_width not in (0, config.d_model):
        entries += dense("embeddings/projection", "electra.embeddings_project", LINEAR)
    if "token" in config.heads:
        entries[0] = entries[0]._replace(aliases=(f"{GENERATOR_TABLE}.weight",))
        entries += dense("token_head/dense", f"{GENERATOR_HEAD}.dense", LINEAR)
        entries += layer_norm("token_head/norm", f"{GENERATOR_HEAD}.LayerNorm")
        entries.append(Entry(("token_head/bias",), f"{GENERATOR_TABLE}.bias", SAME))
    if "replaced_token_detection" in config.heads:
        entries += dense("detection_head/dense", f"{DISCRIMINATOR_HEAD}.dense", LINEAR)
        entries += dense("detection_head/out", f"{DISCRIMINATOR_HEAD}.dense_prediction", LINEAR)
    class_head = dense("class_head/dense", "classifier.dense", LINEAR)
    return entries + head_entries(config.heads, class_head + dense("class_head/out", "classifier.out_proj", LINEAR))


def read_config(given: JSON, names: set[str]) -> ElectraConfig:
    """The config of plmjax; its heads are those whose tensors are there."""
    given = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024, "embedding_size": 128} | given
    bert = read_bert_config(given, names, roberta=False)
    fields = {name: getattr(bert, name) for name in type(bert).__slots__}
    heads = list(bert.heads)
    if any(name.startswith(f"{GENERATOR_HEAD}.") for name in names):
        heads.insert(0, "token")
    if any(name.startswith(f"{DISCRIMINATOR_HEAD}.") for name in names):
        heads.append("replaced_token_detection")
    return ElectraConfig(**(fields | {"heads": tuple(heads), "embedding_width": given["embedding_size"]}))


def write_config(config: ElectraConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    width = config.embedding_width or config.d_model
    return write_bert_config(config, special, roberta=False) | {"embedding_size": width}


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states."""
    return {"last_hidden_state": bert_states(network, inputs, special)}


def generator(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens."""
    return {"logits": network.token_logits(bert_states(network, inputs, special))}


def discriminator(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Above 0 where a token seems replaced."""
    return {"logits": network.replaced_token_logits(bert_states(network, inputs, special))}


def choose(names: set[str], stated: str | None) -> str:
    """The class whose head is there."""
    if any(name.startswith(GENERATOR_HEAD) for name in names):
        return "ElectraForMaskedLM"
    if any(name.startswith(DISCRIMINATOR_HEAD) for name in names):
        return "ElectraForPreTraining"
    return chosen("Electra", names) or "ElectraModel"


def architecture(config: ElectraConfig) -> str | None:
    """The class that holds the heads of a config."""
    heads: tuple[str, ...] = config.heads
    if "replaced_token_detection" in heads:
        return "ElectraForPreTraining"
    return "ElectraForMaskedLM" if "token" in heads else architecture_of_heads("Electra", heads) or "ElectraModel"


ELECTRA = Family(
    model_type="electra",
    prefix="electra.",
    base_model="ElectraModel",
    forward={
        "ElectraModel": base_model,
        "ElectraForMaskedLM": generator,
        "ElectraForPreTraining": discriminator,
        **fine_tuned("Electra", bert_states),
    },
    inputs=lambda architecture: INPUTS,
    ignored=IGNORED,
    read_config=read_config,
    write_config=write_config,
    table=electra_table,
    choose=choose,
    special={"pad_token_id": 0},
    config_classes=(ElectraConfig,),
    architecture=architecture,
    tokenizer=replace(BERT_FORMAT, wordpiece=FAST),
)

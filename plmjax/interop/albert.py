"""ALBERT. Legend: E embedding width, D model width, G groups."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.bert import IGNORED, INPUTS, base_model, bert_states, has_pooler, masked_lm
from plmjax.interop.bert import read_config as read_bert_config
from plmjax.interop.bert import write_config as write_bert_config
from plmjax.interop.family import JSON, Family, Outputs
from plmjax.interop.heads import architecture_of_heads, chosen, fine_tuned, head_entries
from plmjax.interop.tokenizer_format import ACCENTS_AND_CASE, BERT_FORMAT, FAST
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, heads_bias, heads_in, heads_out, layer_norm
from plmjax.modules import Bound
from plmjax.modules.albert import AlbertConfig

DEFAULTS: JSON = {
    "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, "num_hidden_layers": 12, "num_hidden_groups": 1,
    "num_attention_heads": 64, "intermediate_size": 16384, "inner_group_num": 1, "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
TOKEN_HEAD, SENTENCE_HEAD = "predictions", "sop_classifier"
MAP = "albert.encoder.embedding_hidden_mapping_in"


def table(config: AlbertConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """ALBERT's names."""
    heads, inner = config.num_heads, config.inner_group_num
    width, groups = config.d_model // heads, _groups(config) * inner
    native, hf = "encoder/layers", "albert.encoder.albert_layer_groups.{}.albert_layers.{}"
    entries = [Entry(("embeddings/tokens/embedding",), "albert.embeddings.word_embeddings.weight", SAME)]
    for name, table in (("positions", "position_embeddings"), ("token_types", "token_type_embeddings")):
        entries.append(Entry((f"embeddings/{name}/embedding",), f"albert.embeddings.{table}.weight", SAME))
    entries += layer_norm("embeddings/norm", "albert.embeddings.LayerNorm")
    if config.embedding_width:
        entries += dense("embeddings/projection", MAP, LINEAR)
    entries += [
        *layer_norm(f"{native}/attention_norm", f"{hf}.attention.LayerNorm", groups),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.full_layer_layer_norm", groups),
        *dense(f"{native}/attention/out", f"{hf}.attention.dense", heads_in(heads, width), groups),
        *dense(f"{native}/mlp/up", f"{hf}.ffn", LINEAR, groups),
        *dense(f"{native}/mlp/down", f"{hf}.ffn_output", LINEAR, groups),
    ]
    for name in ("query", "key", "value"):
        kernel, bias = heads_out(heads, width), heads_bias(heads, width)
        entries += dense(f"{native}/attention/{name}", f"{hf}.attention.{name}", kernel, groups, bias)
    entries = [entry._replace(inner=inner) if entry.layers else entry for entry in entries]
    if has_pooler(config):
        entries += dense("pooler", "albert.pooler", LINEAR)
    if "token" in config.heads:
        entries[0] = entries[0]._replace(aliases=(f"{TOKEN_HEAD}.decoder.weight",))
        entries += dense("token_head/dense", f"{TOKEN_HEAD}.dense", LINEAR)
        entries += layer_norm("token_head/norm", f"{TOKEN_HEAD}.LayerNorm")
        entries.append(Entry(("token_head/bias",), f"{TOKEN_HEAD}.bias", SAME, aliases=(f"{TOKEN_HEAD}.decoder.bias",)))
    if "next_sentence" in config.heads:
        entries += dense("sentence_head", f"{SENTENCE_HEAD}.classifier", LINEAR)
    return entries + head_entries(config.heads, dense("class_head", "classifier", LINEAR))


def _groups(config: AlbertConfig) -> int:
    """Returns the layers that Hugging Face's class stores; UserError for sharing that it does not know."""
    if config.sharing == "none":
        return config.num_layers
    if config.sharing != "all":
        raise UserError(
            f"Hugging Face's ALBERT shares all of a layer or nothing, but this network's sharing is "
            f"{config.sharing!r}: it can't be exported."
        )
    return config.groups


def read_config(given: JSON, names: set[str]) -> AlbertConfig:
    """The config of plmjax; its heads are those whose tensors are there."""
    given = DEFAULTS | given
    bert = read_bert_config(given, names, roberta=False)
    heads = list(bert.heads)
    if any(name.startswith(f"{SENTENCE_HEAD}.") for name in names):
        heads = [head for head in heads if head != "pool"] + ["next_sentence"]
    if any(name.startswith(f"{TOKEN_HEAD}.") for name in names):
        heads.insert(0, "token")
    fields = {name: getattr(bert, name) for name in type(bert).__slots__}
    sizes = {
        "embedding_width": given["embedding_size"],
        "groups": given["num_hidden_groups"],
        "inner_group_num": given["inner_group_num"],
        "sharing": "all",
    }
    return AlbertConfig(**(fields | sizes | {"heads": tuple(heads)}))


def write_config(config: AlbertConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    return write_bert_config(config, special, roberta=False) | {
        "embedding_size": config.embedding_width or config.d_model,
        "num_hidden_groups": _groups(config),
        "inner_group_num": config.inner_group_num,
        "classifier_dropout_prob": config.dropout,
    }


def constants(config: AlbertConfig, architecture: str) -> dict[str, np.ndarray]:
    """Hugging Face's map from the embeddings is always there: the identity where plmjax has none."""
    if config.embedding_width:
        return {}
    eye = np.eye(config.d_model, dtype=np.float32)
    return {f"{MAP}.weight": eye, f"{MAP}.bias": np.zeros(config.d_model, np.float32)}


def pretraining(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens, and of (in order, swapped)."""
    x_BLD = bert_states(network, inputs, special)
    return {"prediction_logits": network.token_logits(x_BLD), "sop_logits": network.next_sentence_logits(x_BLD)}


def choose(names: set[str], stated: str | None) -> str:
    """The class that holds all the heads there are."""
    if any(name.startswith(f"{SENTENCE_HEAD}.") for name in names):
        return "AlbertForPreTraining"
    if any(name.startswith(f"{TOKEN_HEAD}.") for name in names):
        return "AlbertForMaskedLM"
    return chosen("Albert", names) or "AlbertModel"


def architecture(config: AlbertConfig) -> str | None:
    """The class that holds the heads of a config."""
    if "next_sentence" in config.heads:
        return "AlbertForPreTraining"
    if "token" in config.heads:
        return "AlbertForMaskedLM"
    return architecture_of_heads("Albert", config.heads) or "AlbertModel"


ALBERT = Family(
    model_type="albert",
    prefix="albert.",
    base_model="AlbertModel",
    forward={
        "AlbertModel": base_model,
        "AlbertForMaskedLM": masked_lm,
        "AlbertForPreTraining": pretraining,
        **fine_tuned("Albert", bert_states),
    },
    inputs=lambda architecture: INPUTS,
    ignored=IGNORED,
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    config_classes=(AlbertConfig,),
    architecture=architecture,
    constants=constants,
    tokenizer=replace(BERT_FORMAT, wordpiece=FAST, sentencepiece="AlbertTokenizer", settings=ACCENTS_AND_CASE),
)

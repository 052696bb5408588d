"""BERT and RoBERTa. Legend: H heads, K head width, N layers."""

from collections.abc import Mapping
from functools import partial
from typing import cast

import jax.numpy as jnp
import numpy as np
from jax import Array

from plmjax.interop.family import JSON, SPECIAL_ROLES, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import (
    architecture_of_heads,
    chosen,
    fine_tuned,
    found_heads,
    head_entries,
    label_fields,
    num_labels,
)
from plmjax.interop.tokenizer_format import BERT_FORMAT, ROBERTA_FORMAT
from plmjax.interop.weight_map import (
    LINEAR,
    SAME,
    Entry,
    dense,
    heads_bias,
    heads_in,
    heads_out,
    layer_norm,
    rows_from,
)
from plmjax.modules import Bound, build
from plmjax.modules.bert import BertConfig
from plmjax.modules.encoder import Encoder

BERT_DEFAULTS: JSON = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}  # fmt: skip
ROBERTA_DEFAULTS: JSON = BERT_DEFAULTS | {"vocab_size": 50265, "pad_token_id": 1}
BERT_TOKEN_HEAD = "cls.predictions"
ROBERTA_TOKEN_HEAD = "lm_head"
SENTENCE_HEAD = "cls.seq_relationship"
# SpanBERT's second head, which no class of Hugging Face has: it is written beside the others and left unread there.
SPAN_HEAD = "cls.sbo"


def has_pooler(config: BertConfig) -> bool:
    """Whether the network has a pooler, as its module decides."""
    return cast(Encoder, build(config)).has_pooler


def trunk(config: BertConfig, prefix: str, position_row: int) -> list[Entry]:
    """Embeddings, layers and pooler; `position_row`: of position 0 in Hugging Face's table."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "encoder/layers", f"{prefix}encoder.layer.{{}}"
    positions = rows_from(config.position_offset, position_row)
    entries = [
        Entry(("embeddings/tokens/embedding",), f"{prefix}embeddings.word_embeddings.weight", SAME),
        Entry(("embeddings/positions/embedding",), f"{prefix}embeddings.position_embeddings.weight", positions),
        *layer_norm("embeddings/norm", f"{prefix}embeddings.LayerNorm"),
        *layer_norm(f"{native}/attention_norm", f"{hf}.attention.output.LayerNorm", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.output.LayerNorm", layers),
        *dense(f"{native}/attention/out", f"{hf}.attention.output.dense", heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", f"{hf}.intermediate.dense", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.output.dense", LINEAR, layers),
    ]
    for name in ("query", "key", "value"):
        kernel, bias = heads_out(heads, width), heads_bias(heads, width)
        entries += dense(f"{native}/attention/{name}", f"{hf}.attention.self.{name}", kernel, layers, bias)
    if config.token_type_vocab:
        entries.append(
            Entry(("embeddings/token_types/embedding",), f"{prefix}embeddings.token_type_embeddings.weight", SAME)
        )
    if has_pooler(config):
        entries += dense("pooler", f"{prefix}pooler.dense", LINEAR)
    return entries


def bert_table(config: BertConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """BERT's names."""
    entries = trunk(config, "bert.", 0)
    if "token" in config.heads:
        entries += dense("token_head/dense", f"{BERT_TOKEN_HEAD}.transform.dense", LINEAR)
        entries += layer_norm("token_head/norm", f"{BERT_TOKEN_HEAD}.transform.LayerNorm")
        entries += _tied_head(entries, BERT_TOKEN_HEAD)
    if "next_sentence" in config.heads:
        entries += dense("sentence_head", SENTENCE_HEAD, LINEAR)
    if "span" in config.heads:
        entries += span_head()
    return entries + head_entries(config.heads, dense("class_head", "classifier", LINEAR))


def span_head() -> list[Entry]:
    """SpanBERT's head under names that are plmjax's own."""
    entries = [
        Entry(("span_head/positions",), f"{SPAN_HEAD}.position_embeddings.weight", SAME),
        Entry(("span_head/bias",), f"{SPAN_HEAD}.bias", SAME),
    ]
    for name in ("first", "second"):
        entries += dense(f"span_head/{name}", f"{SPAN_HEAD}.{name}.dense", LINEAR)
        entries += layer_norm(f"span_head/{name}_norm", f"{SPAN_HEAD}.{name}.LayerNorm")
    return entries


def roberta_table(config: BertConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """RoBERTa's names; position 0 has the row after padding's, which has the number of the padding token."""
    entries = trunk(config, "roberta.", special["pad_token_id"] + 1)
    if "token" in config.heads:
        entries += dense("token_head/dense", f"{ROBERTA_TOKEN_HEAD}.dense", LINEAR)
        entries += layer_norm("token_head/norm", f"{ROBERTA_TOKEN_HEAD}.layer_norm")
        entries += _tied_head(entries, ROBERTA_TOKEN_HEAD)
    class_head = dense("class_head/dense", "classifier.dense", LINEAR)
    return entries + head_entries(config.heads, class_head + dense("class_head/out", "classifier.out_proj", LINEAR))


def _tied_head(entries: list[Entry], head: str) -> list[Entry]:
    """The head's bias, whose second name is the output layer's; that layer's table becomes an alias of the tokens'."""
    entries[0] = entries[0]._replace(aliases=(f"{head}.decoder.weight",))
    return [Entry(("token_head/bias",), f"{head}.bias", SAME, aliases=(f"{head}.decoder.bias",))]


def read_config(given: JSON, names: set[str], *, roberta: bool) -> BertConfig:
    """The config of plmjax; its heads are those whose tensors are there."""
    refuse(given, "position_embedding_type", "absolute")
    refuse(given, "is_decoder", False)
    refuse(given, "add_cross_attention", False)
    c = (ROBERTA_DEFAULTS if roberta else BERT_DEFAULTS) | given
    offset = c["pad_token_id"] + 1 if roberta else 0
    heads = []
    if any(name.startswith((f"{BERT_TOKEN_HEAD}.", f"{ROBERTA_TOKEN_HEAD}.")) for name in names):
        heads.append("token")
    if any(name.startswith(f"{SENTENCE_HEAD}.") for name in names):
        heads.append("next_sentence")
    if any(name.startswith(f"{SPAN_HEAD}.") for name in names):
        heads.append("span")
    heads += found_heads(given, names)
    brought = "next_sentence" in heads or ("sequence_classification" in heads and not roberta)  # these bring the pooler
    if not brought and any(name.startswith("pooler.") for name in names):
        heads.append("pool")
    return BertConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"] - offset,
        position_offset=offset,
        token_type_vocab=c["type_vocab_size"],
        num_layers=c["num_hidden_layers"],
        num_heads=c["num_attention_heads"],
        d_model=c["hidden_size"],
        d_ff=c["intermediate_size"],
        activation=activation(c["hidden_act"], "hidden_act"),
        norm_eps=c["layer_norm_eps"],
        dropout=c["hidden_dropout_prob"],
        attention_dropout=c["attention_probs_dropout_prob"],
        init_std=c["initializer_range"],
        heads=tuple(heads),
        num_labels=num_labels(given),
    )


def write_config(config: BertConfig, special: Mapping[str, int], *, roberta: bool) -> JSON:
    """The fields of config.json."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_ff,
        "hidden_act": hf_activation(config.activation),
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_positions + (special["pad_token_id"] + 1 if roberta else 0),
        "type_vocab_size": config.token_type_vocab or 1,
        "initializer_range": config.init_std,
        "layer_norm_eps": config.norm_eps,
        "position_embedding_type": "absolute",
        **label_fields(config),
    }


def missing_types(config: BertConfig, architecture: str, *, prefix: str) -> dict[str, np.ndarray]:
    """Hugging Face's classes always have a table of token types: a row of zeros where plmjax has none."""
    if config.token_type_vocab:
        return {}
    return {f"{prefix}embeddings.token_type_embeddings.weight": np.zeros((1, config.d_model), np.float32)}


def bert_states(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Array:
    """[B, L, D]; RoBERTa counts positions over the tokens that are no padding, whatever the mask says."""
    tokens_BL = inputs["input_ids"]
    positions_BL = inputs.get("position_ids")
    offset = network.config.position_offset
    if offset and positions_BL is not None:
        positions_BL = positions_BL - offset
    elif offset:
        real_BL = (tokens_BL != special["pad_token_id"]).astype(jnp.int32)
        positions_BL = jnp.cumsum(real_BL, axis=1) * real_BL - 1
    return network.encode(tokens_BL, inputs.get("token_type_ids"), positions_BL, inputs.get("attention_mask"))


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states, pooled too when there is a pooler."""
    x_BLD = bert_states(network, inputs, special)
    pooled = {"pooler_output": network.pool(x_BLD)} if has_pooler(network.config) else {}
    return {"last_hidden_state": x_BLD} | pooled


def masked_lm(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens."""
    return {"logits": network.token_logits(bert_states(network, inputs, special))}


def next_sentence(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of (follows, random)."""
    return {"logits": network.next_sentence_logits(bert_states(network, inputs, special))}


def pretraining(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens and of (follows, random)."""
    x_BLD = bert_states(network, inputs, special)
    return {
        "prediction_logits": network.token_logits(x_BLD),
        "seq_relationship_logits": network.next_sentence_logits(x_BLD),
    }


def choose_bert(names: set[str], stated: str | None) -> str:
    """The class that holds all the heads there are."""
    sentence = any(name.startswith(SENTENCE_HEAD) for name in names)
    if any(name.startswith(BERT_TOKEN_HEAD) for name in names):
        return "BertForPreTraining" if sentence else "BertForMaskedLM"
    return "BertForNextSentencePrediction" if sentence else chosen("Bert", names) or "BertModel"


def choose_roberta(names: set[str], stated: str | None) -> str:
    """Returns the class that holds all the heads there are."""
    if any(name.startswith(ROBERTA_TOKEN_HEAD) for name in names):
        return "RobertaForMaskedLM"
    return chosen("Roberta", names) or "RobertaModel"


def bert_architecture(config: BertConfig) -> str | None:
    """The class that holds all heads of a config; RoBERTa's too where a sentence's label is among them.

    RoBERTa's classes have no such head: BERT's hold it, its position table without the offset.
    """
    heads = config.heads
    if "next_sentence" in heads:
        return "BertForPreTraining" if "token" in heads else "BertForNextSentencePrediction"
    if config.position_offset:
        return None
    return "BertForMaskedLM" if "token" in heads else architecture_of_heads("Bert", heads) or "BertModel"


def roberta_architecture(config: BertConfig) -> str | None:
    """Returns the class of a config with RoBERTa's positions; None for BERT's."""
    if not config.position_offset:
        return None
    return (
        "RobertaForMaskedLM"
        if "token" in config.heads
        else architecture_of_heads("Roberta", config.heads) or "RobertaModel"
    )


INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
IGNORED = r".*embeddings\.(position_ids|token_type_ids)"

BERT = Family(
    model_type="bert",
    prefix="bert.",
    base_model="BertModel",
    forward={
        "BertModel": base_model,
        "BertForMaskedLM": masked_lm,
        "BertLMHeadModel": masked_lm,  # with is_decoder false, which read_config demands, it is the same network
        "BertForNextSentencePrediction": next_sentence,
        "BertForPreTraining": pretraining,
        **fine_tuned("Bert", bert_states),
    },
    inputs=lambda architecture: INPUTS,
    ignored=IGNORED,
    read_config=partial(read_config, roberta=False),
    write_config=partial(write_config, roberta=False),
    table=bert_table,
    choose=choose_bert,
    special={"pad_token_id": 0},
    config_classes=(BertConfig,),
    architecture=bert_architecture,
    constants=partial(missing_types, prefix="bert."),
    tokenizer=BERT_FORMAT,
)
ROBERTA = Family(
    model_type="roberta",
    prefix="roberta.",
    base_model="RobertaModel",
    forward={"RobertaModel": base_model, "RobertaForMaskedLM": masked_lm, **fine_tuned("Roberta", bert_states)},
    inputs=lambda architecture: INPUTS,
    ignored=IGNORED,
    read_config=partial(read_config, roberta=True),
    write_config=partial(write_config, roberta=True),
    table=roberta_table,
    choose=choose_roberta,
    special={"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    config_classes=(BertConfig,),
    architecture=roberta_architecture,
    constants=partial(missing_types, prefix="roberta."),
    tokenizer=ROBERTA_FORMAT,
    special_roles=SPECIAL_ROLES | {"bos_token_id": "cls_or_bos", "eos_token_id": "sep_or_eos"},
)

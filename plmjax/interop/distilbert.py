"""DistilBERT. Legend: N layers."""

from collections.abc import Mapping

from plmjax.interop.bert import INPUTS, base_model, bert_states, masked_lm
from plmjax.interop.family import JSON, Family, activation, hf_activation, refuse
from plmjax.interop.heads import (
    architecture_of_heads,
    chosen,
    fine_tuned,
    found_heads,
    head_entries,
    label_fields,
    num_labels,
)
from plmjax.interop.tokenizer_format import TokenizerFormat, cls_sep
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, heads_bias, heads_in, heads_out, layer_norm
from plmjax.modules.distilbert import DistilBertConfig

DEFAULTS: JSON = {
    "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768, "hidden_dim": 3072,
    "dropout": 0.1, "attention_dropout": 0.1, "activation": "gelu", "initializer_range": 0.02,
}  # fmt: skip
NORM_EPS = 1e-12  # written in Hugging Face's code
TOKEN_HEAD = "vocab_transform"


def table(config: DistilBertConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """DistilBERT's names."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "encoder/layers", "distilbert.transformer.layer.{}"
    entries = [
        Entry(("embeddings/tokens/embedding",), "distilbert.embeddings.word_embeddings.weight", SAME),
        Entry(("embeddings/positions/embedding",), "distilbert.embeddings.position_embeddings.weight", SAME),
        *layer_norm("embeddings/norm", "distilbert.embeddings.LayerNorm"),
        *layer_norm(f"{native}/attention_norm", f"{hf}.sa_layer_norm", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.output_layer_norm", layers),
        *dense(f"{native}/attention/out", f"{hf}.attention.out_lin", heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", f"{hf}.ffn.lin1", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.ffn.lin2", LINEAR, layers),
    ]
    for name in ("query", "key", "value"):
        kernel, bias = heads_out(heads, width), heads_bias(heads, width)
        entries += dense(f"{native}/attention/{name}", f"{hf}.attention.{name[0]}_lin", kernel, layers, bias)
    if "token" in config.heads:
        entries[0] = entries[0]._replace(aliases=("vocab_projector.weight",))
        entries += dense("token_head/dense", TOKEN_HEAD, LINEAR)
        entries += layer_norm("token_head/norm", "vocab_layer_norm")
        entries.append(Entry(("token_head/bias",), "vocab_projector.bias", SAME))
    class_head = dense("class_head/dense", "pre_classifier", LINEAR) + dense("class_head/out", "classifier", LINEAR)
    return entries + head_entries(config.heads, class_head)


def read_config(given: JSON, names: set[str]) -> DistilBertConfig:
    """The config of plmjax; its heads are those whose tensors are there. Sinusoidal positions are stored as a table."""
    refuse(given, "sinusoidal_pos_embds", False, True)
    c = DEFAULTS | given
    heads = ["token"] if any(name.startswith(f"{TOKEN_HEAD}.") for name in names) else []
    heads += found_heads(given, names)
    return DistilBertConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"],
        num_layers=c["n_layers"],
        num_heads=c["n_heads"],
        d_model=c["dim"],
        d_ff=c["hidden_dim"],
        activation=activation(c["activation"], "activation"),
        norm_eps=NORM_EPS,
        dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
        init_std=c["initializer_range"],
        heads=tuple(heads),
        num_labels=num_labels(given),
    )


def write_config(config: DistilBertConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "n_layers": config.num_layers,
        "n_heads": config.num_heads,
        "dim": config.d_model,
        "hidden_dim": config.d_ff,
        "activation": hf_activation(config.activation),
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
        "sinusoidal_pos_embds": False,
        **label_fields(config),
    }


def choose(names: set[str], stated: str | None) -> str:
    """The class whose head is there."""
    if any(name.startswith(f"{TOKEN_HEAD}.") for name in names):
        return "DistilBertForMaskedLM"
    return chosen("DistilBert", names) or "DistilBertModel"


def architecture(config: DistilBertConfig) -> str | None:
    """The class that holds the heads of a config."""
    if "token" in config.heads:
        return "DistilBertForMaskedLM"
    return architecture_of_heads("DistilBert", config.heads) or "DistilBertModel"


DISTILBERT = Family(
    model_type="distilbert",
    prefix="distilbert.",
    base_model="DistilBertModel",
    forward={
        "DistilBertModel": base_model,
        "DistilBertForMaskedLM": masked_lm,
        **fine_tuned("DistilBert", bert_states),
    },
    inputs=lambda architecture: tuple(name for name in INPUTS if name not in ("token_type_ids", "position_ids")),
    ignored=r".*embeddings\.position_ids",
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"pad_token_id": 0},
    config_classes=(DistilBertConfig,),
    architecture=architecture,
    tokenizer=TokenizerFormat(cls_sep()),
)

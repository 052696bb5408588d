"""CTRL. Its positions are computed, so that a checkpoint holds none."""

from collections.abc import Mapping

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family
from plmjax.interop.gpt import INPUTS, base_model, causal_lm, classify
from plmjax.interop.heads import classifier_fields, label_fields
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, heads_bias, heads_in, heads_out, layer_norm
from plmjax.modules.ctrl import CTRLConfig

DEFAULTS: JSON = {
    "vocab_size": 246534, "n_positions": 256, "n_embd": 1280, "dff": 8192, "n_layer": 48, "n_head": 16,
    "resid_pdrop": 0.1, "embd_pdrop": 0.1, "layer_norm_epsilon": 1e-6, "initializer_range": 0.02,
}  # fmt: skip


def table(config: CTRLConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """CTRL's names."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "decoder/layers", "transformer.h.{}"
    attention = f"{hf}.multi_head_attention"
    kernel, bias = heads_out(heads, width), heads_bias(heads, width)
    entries = [
        Entry(("embeddings/tokens/embedding",), "transformer.w.weight", SAME, aliases=("lm_head.weight",)),
        *dense(f"{native}/attention/query", f"{attention}.Wq", kernel, layers, bias),
        *dense(f"{native}/attention/key", f"{attention}.Wk", kernel, layers, bias),
        *dense(f"{native}/attention/value", f"{attention}.Wv", kernel, layers, bias),
        *dense(f"{native}/attention/out", f"{attention}.dense", heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", f"{hf}.ffn.0", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.ffn.2", LINEAR, layers),
        *layer_norm(f"{native}/attention_norm", f"{hf}.layernorm1", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.layernorm2", layers),
        *layer_norm("decoder/final_norm", "transformer.layernorm"),
    ]
    if "sequence_classification" in config.heads:
        entries.append(Entry(("class_head/kernel",), "classifier.weight", LINEAR))
    if architecture == "CTRLLMHeadModel":  # the others' checkpoints have no such bias
        entries.append(Entry(("token_head/bias",), "lm_head.bias", SAME))
    return entries


def read_config(given: JSON, names: set[str]) -> CTRLConfig:
    """The config of plmjax."""
    c = DEFAULTS | given
    return CTRLConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["n_positions"],
        num_layers=c["n_layer"],
        num_heads=c["n_head"],
        d_model=c["n_embd"],
        d_ff=c["dff"],
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["resid_pdrop"],
        init_std=c["initializer_range"],
        **classifier_fields(c, "classifier.weight" in names),
    )


def write_config(config: CTRLConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; UserError for what Hugging Face's class can't have."""
    only_these = {
        "activation": "relu",
        "norm": "pre",
        "attention_dropout": 0.0,
        "scale_attn_by_inverse_layer_idx": False,
    }
    for name, only in only_these.items():
        if getattr(config, name) != only:
            raise UserError(
                f"Hugging Face's CTRL has only {name} {only!r}, but this network has {getattr(config, name)!r}: it "
                "can't be exported."
            )
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.max_positions,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_embd": config.d_model,
        "dff": config.d_ff,
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "initializer_range": config.init_std,
    } | label_fields(config)


def choose(names: set[str], stated: str | None) -> str:
    """The class with the head where it is there."""
    if "classifier.weight" in names:
        return "CTRLForSequenceClassification"
    return "CTRLLMHeadModel" if "lm_head.bias" in names or stated == "CTRLLMHeadModel" else "CTRLModel"


CTRL = Family(
    model_type="ctrl",
    prefix="transformer.",
    base_model="CTRLModel",
    forward={"CTRLModel": base_model, "CTRLLMHeadModel": causal_lm, "CTRLForSequenceClassification": classify},
    inputs=lambda architecture: INPUTS,
    ignored=r"pos_encoding",
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={},
    config_classes=(CTRLConfig,),
    architecture=lambda config: (
        "CTRLForSequenceClassification" if "sequence_classification" in config.heads else "CTRLLMHeadModel"
    ),
)

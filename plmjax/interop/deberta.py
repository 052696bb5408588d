"""DeBERTa: version 1 ("deberta"), and versions 2 and 3 ("deberta-v2"). Legend: D model width, H heads, K head width."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import (
    architecture_of_heads,
    chosen,
    fine_tuned,
    found_heads,
    head_entries,
    label_fields,
    num_labels,
)
from plmjax.interop.tokenizer_format import BERT_FORMAT, FAST
from plmjax.interop.weight_map import (
    LINEAR,
    SAME,
    Entry,
    Transform,
    dense,
    heads_bias,
    heads_in,
    heads_out,
    layer_norm,
)
from plmjax.modules import Bound
from plmjax.modules.deberta import DebertaConfig

DEFAULTS: JSON = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512, "type_vocab_size": 0, "initializer_range": 0.02, "layer_norm_eps": 1e-7,
    "max_relative_positions": -1, "position_buckets": -1, "position_biased_input": True, "share_att_key": False,
    "norm_rel_ebd": "none", "conv_kernel_size": 0, "conv_act": "tanh", "pos_att_type": [],
}  # fmt: skip
V1_DEFAULTS: JSON = DEFAULTS | {"vocab_size": 50265}
V2_DEFAULTS: JSON = DEFAULTS | {
    "vocab_size": 128100, "hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24,
    "intermediate_size": 6144,
}  # fmt: skip
# The head of a masked LM, as older checkpoints name it and as newer ones do; written as the former.
TOKEN_HEAD, NEW_TOKEN_HEAD = "cls.predictions", "lm_predictions.lm_head"
# Version 3's discriminator, which no class of Hugging Face has; they leave it unread. The names are the released
# checkpoints' (microsoft/DeBERTa, apps/models/replaced_token_detection_model.py:33-36 and 83).
DETECTION_HEAD = "mask_predictions"


def fused_by_head(heads: int, width: int) -> Transform:
    """Query, key and value of one head after the other: Hugging Face's [H * 3 * K, D], plmjax's three [D, H, K]."""
    return Transform(
        lambda x: [part.transpose(2, 0, 1) for part in np.moveaxis(x.reshape(heads, 3, width, -1), 1, 0)],
        lambda native: np.stack([part.transpose(1, 2, 0) for part in native], axis=1).reshape(
            heads * 3 * width, native[0].shape[0]
        ),
    )


CONVOLUTION = Transform(
    lambda x: [x.transpose(2, 1, 0)], lambda native: native[0].transpose(2, 1, 0)
)  # [out, in, width]


def table(config: DebertaConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """The names of both versions."""
    layers = config.num_layers
    native, hf = "encoder/layers", "deberta.encoder.layer.{}"
    entries = [Entry(("embeddings/tokens/embedding",), "deberta.embeddings.word_embeddings.weight", SAME)]
    for name, there, has in (
        ("positions", "position_embeddings", config.absolute_input),
        ("token_types", "token_type_embeddings", config.token_type_vocab),
    ):
        if has:
            entries.append(Entry((f"embeddings/{name}/embedding",), f"deberta.embeddings.{there}.weight", SAME))
    if config.embedding_width not in (0, config.d_model):
        entries.append(Entry(("embeddings/projection/kernel",), "deberta.embeddings.embed_proj.weight", LINEAR))
    entries += [
        *layer_norm("embeddings/norm", "deberta.embeddings.LayerNorm"),
        Entry(("encoder/relative/embedding",), "deberta.encoder.rel_embeddings.weight", SAME),
        *layer_norm(f"{native}/attention_norm", f"{hf}.attention.output.LayerNorm", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.output.LayerNorm", layers),
        *dense(f"{native}/mlp/up", f"{hf}.intermediate.dense", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.output.dense", LINEAR, layers),
        *_attention(config, f"{native}/attention", f"{hf}.attention"),
    ]
    if config.relative_norm:
        entries += layer_norm("encoder/relative_norm", "deberta.encoder.LayerNorm")
    if config.convolution:
        entries += dense("encoder/convolution", "deberta.encoder.conv.conv", CONVOLUTION)
        entries += layer_norm("encoder/convolution/norm", "deberta.encoder.conv.LayerNorm")
    return entries + _heads(config, entries)


def _attention(config: DebertaConfig, native: str, hf: str) -> list[Entry]:
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    kernel, bias = heads_out(heads, width), heads_bias(heads, width)
    entries = dense(f"{native}/out", f"{hf}.output.dense", heads_in(heads, width), layers)
    if config.key_bias:  # versions 2 and 3
        for name in ("query", "key", "value"):
            entries += dense(f"{native}/{name}", f"{hf}.self.{name}_proj", kernel, layers, bias)
        positions = {"c2p": ("position_key", "pos_key_proj"), "p2c": ("position_query", "pos_query_proj")}
    else:
        paths = tuple(f"{native}/{name}/kernel" for name in ("query", "key", "value"))
        entries.append(Entry(paths, f"{hf}.self.in_proj.weight", fused_by_head(heads, width), layers))
        for name in ("query", "value"):
            entries.append(Entry((f"{native}/{name}/bias",), f"{hf}.self.{name[0]}_bias", bias, layers))
        positions = {"c2p": ("position_key", "pos_proj"), "p2c": ("position_query", "pos_q_proj")}
    for term in () if config.share_key else config.position_terms:
        path, name = positions[term]
        both = dense(f"{native}/{path}", f"{hf}.self.{name}", kernel, layers, bias)
        entries += both if config.key_bias or term == "p2c" else both[:1]
    return entries


def _heads(config: DebertaConfig, trunk: list[Entry]) -> list[Entry]:
    entries: list[Entry] = []
    if "token" in config.heads and not config.enhanced_mask_decoder:
        trunk[0] = trunk[0]._replace(aliases=(f"{TOKEN_HEAD}.decoder.weight",))
        for path, name in (("dense", "dense"), ("norm", "LayerNorm")):
            make: Any = layer_norm if path == "norm" else partial(dense, kernel=LINEAR)
            new = make(f"token_head/{path}", f"{NEW_TOKEN_HEAD}.{name}")
            for entry, other in zip(make(f"token_head/{path}", f"{TOKEN_HEAD}.transform.{name}"), new, strict=True):
                entries.append(entry._replace(aliases=(other.name,)))
        names = (f"{TOKEN_HEAD}.decoder.bias", f"{NEW_TOKEN_HEAD}.bias")
        entries.append(Entry(("token_head/bias",), f"{TOKEN_HEAD}.bias", SAME, aliases=names))
    # No released checkpoint has the head's earlier form: see DebertaDetectionHead.
    if "replaced_token_detection" in config.heads and config.detection_head == "context":
        entries += dense("detection_head/dense", f"{DETECTION_HEAD}.dense", LINEAR)
        entries += layer_norm("detection_head/norm", f"{DETECTION_HEAD}.LayerNorm")
        entries += dense("detection_head/out", f"{DETECTION_HEAD}.classifier", LINEAR)
    class_head = dense("class_head/dense", "pooler.dense", LINEAR) + dense("class_head/out", "classifier", LINEAR)
    return entries + head_entries(config.heads, class_head)


def read_config(given: JSON, names: set[str], *, later: bool) -> DebertaConfig:
    """The config of plmjax.

    Its heads are those whose tensors are there; it has no enhanced mask decoder, which Hugging Face's classes lack.
    """
    refuse(given, "relative_attention", True)
    refuse(given, "conv_groups", 1)
    refuse(given, "talking_head", False)
    refuse(given, "pooler_hidden_act", "gelu")
    c = (V2_DEFAULTS if later else V1_DEFAULTS) | given
    terms = c["pos_att_type"] or []
    terms = terms.split("|") if isinstance(terms, str) else terms
    if unknown := [term for term in terms if term not in ("c2p", "p2c")]:
        raise UserError(
            f"config.json has pos_att_type with {unknown[0]!r}, which plmjax's network does not support: it knows "
            "c2p and p2c."
        )
    span = c["max_relative_positions"] if c["max_relative_positions"] > 0 else c["max_position_embeddings"]
    heads = []
    if any(name.startswith((f"{TOKEN_HEAD}.", f"{NEW_TOKEN_HEAD}.")) for name in names):
        heads.append("token")
    if any(name.startswith(f"{DETECTION_HEAD}.") for name in names):
        heads.append("replaced_token_detection")
    width = c.get("embedding_size", c["hidden_size"])
    return DebertaConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"],
        num_layers=c["num_hidden_layers"],
        num_heads=c["num_attention_heads"],
        d_model=c["hidden_size"],
        d_ff=c["intermediate_size"],
        embedding_width=0 if width == c["hidden_size"] else width,
        token_type_vocab=c["type_vocab_size"],
        absolute_input=c["position_biased_input"],
        position_terms=tuple(term for term in ("c2p", "p2c") if term in terms),
        relative_span=span,
        buckets=max(c["position_buckets"], 0) if later else 0,
        share_key=c["share_att_key"] if later else False,
        key_bias=later,
        relative_norm=later and "layer_norm" in c["norm_rel_ebd"].lower(),
        convolution=c["conv_kernel_size"] if later else 0,
        convolution_activation=c["conv_act"],
        enhanced_mask_decoder=False,
        activation=activation(c["hidden_act"], "hidden_act"),
        norm_eps=c["layer_norm_eps"],
        dropout=c["hidden_dropout_prob"],
        attention_dropout=c["attention_probs_dropout_prob"],
        init_std=c["initializer_range"],
        heads=tuple(heads + found_heads(given, names)),
        num_labels=num_labels(given),
    )


def write_config(config: DebertaConfig, special: Mapping[str, int], *, later: bool) -> JSON:
    """The fields of config.json; UserError for what Hugging Face's class of its version can't have."""
    if later != config.key_bias:
        raise UserError("This DeBERTa has the attention of another version than the class that it is written as.")
    if config.p2c_distance != "query_to_key":
        raise UserError(
            f"model.p2c_distance is {config.p2c_distance!r}, which no class of transformers has: it stays a plmjax "
            "checkpoint."
        )
    written = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "embedding_size": config.embedding_width or config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_ff,
        "hidden_act": hf_activation(config.activation),
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.token_type_vocab,
        "initializer_range": config.init_std,
        "layer_norm_eps": config.norm_eps,
        "relative_attention": True,
        "max_relative_positions": config.relative_span,
        "position_biased_input": config.absolute_input,
        "pos_att_type": list(config.position_terms),
        "pooler_hidden_size": config.d_model,
        "pooler_hidden_act": "gelu",
        "legacy": True,
        **label_fields(config),
    }
    if later:
        written |= {
            "position_buckets": config.buckets or -1,
            "share_att_key": config.share_key,
            "norm_rel_ebd": "layer_norm" if config.relative_norm else "none",
            "conv_kernel_size": config.convolution,
            "conv_act": config.convolution_activation,
        }
    return written


def states(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Array:
    """[B, L, D]."""
    arrays = (inputs.get(name) for name in ("token_type_ids", "position_ids", "attention_mask"))
    return network.encode(inputs["input_ids"], *arrays)


def detection(network: Bound, x_BLD: Array) -> Outputs:
    """`replaced_token_logits` [B, L], above 0 where a token seems replaced, where the network has version 3's head."""
    if "replaced_token_detection" not in network.config.heads:
        return {}
    return {"replaced_token_logits": network.replaced_token_logits(x_BLD)}


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states, and whether each token was replaced."""
    x_BLD = states(network, inputs, special)
    return {"last_hidden_state": x_BLD, **detection(network, x_BLD)}


def masked_lm(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens, and whether each was replaced."""
    x_BLD = states(network, inputs, special)
    return {"logits": network.token_logits(x_BLD), **detection(network, x_BLD)}


def choose(names: set[str], stated: str | None, *, name: str) -> str:
    """The class whose head is there."""
    if any(tensor.startswith((f"{TOKEN_HEAD}.", f"{NEW_TOKEN_HEAD}.")) for tensor in names):
        return f"{name}ForMaskedLM"
    return chosen(name, names) or f"{name}Model"


def architecture(config: DebertaConfig, *, name: str, later: bool) -> str | None:
    """The class that holds the heads of a config, None for one of the other version.

    Hugging Face's have no enhanced mask decoder: a network with one goes without its token head, which reads it.
    """
    if config.key_bias != later:
        return None
    if "token" in config.heads and not config.enhanced_mask_decoder:
        return f"{name}ForMaskedLM"
    return architecture_of_heads(name, config.heads) or f"{name}Model"


def _family(model_type: str, name: str, later: bool) -> Family:
    return Family(
        model_type=model_type,
        prefix="deberta.",
        base_model=f"{name}Model",
        forward={f"{name}Model": base_model, f"{name}ForMaskedLM": masked_lm, **fine_tuned(name, states)},
        inputs=lambda architecture: ("input_ids", "attention_mask", "token_type_ids", "position_ids"),
        # Checkpoints for pre-training carry positions that only the enhanced mask decoder read, and of disentangled
        # sharing the differences `_weight`, which their tables have in them (rtd_task.py:113-122).
        ignored=r".*embeddings\.(position_(ids|embeddings\.weight)|(word|position)_embeddings\._weight)",
        read_config=partial(read_config, later=later),
        write_config=partial(write_config, later=later),
        table=table,
        choose=partial(choose, name=name),
        special={"pad_token_id": 0},
        config_classes=(DebertaConfig,),
        architecture=partial(architecture, name=name, later=later),
        tokenizer=replace(BERT_FORMAT, wordpiece=FAST),
    )


DEBERTA = _family("deberta", "Deberta", later=False)
DEBERTA_V2 = _family("deberta-v2", "DebertaV2", later=True)

"""GPT-1 (openai-gpt) and GPT-2. Hugging Face's dense kernels are Conv1D's, [in, out].

Legend: H heads, K head width, N layers.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import classifier_fields, label_fields
from plmjax.interop.tokenizer_format import TokenizerFormat
from plmjax.interop.weight_map import (
    LINEAR,
    SAME,
    Entry,
    conv_heads_in,
    dense,
    fused_heads_bias,
    fused_heads_out,
    layer_norm,
)
from plmjax.modules import Bound
from plmjax.modules.gpt import GPTConfig

GPT2_DEFAULTS: JSON = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None,
    "activation_function": "gelu_new", "resid_pdrop": 0.1, "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02, "scale_attn_by_inverse_layer_idx": False,
}  # fmt: skip
GPT1_DEFAULTS: JSON = GPT2_DEFAULTS | {"vocab_size": 40478, "n_positions": 512, "afn": "gelu"}
# GPT-1's configurations say "gelu" for the tanh form.
GPT1_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu"}


def layers_of(config: GPTConfig) -> list[Entry]:
    """The blocks: the same names in both."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "decoder/layers", "transformer.h.{}"
    fused = [f"{native}/attention/{name}" for name in ("query", "key", "value")]
    kernels, biases = (tuple(f"{path}/{leaf}" for path in fused) for leaf in ("kernel", "bias"))
    return [
        Entry(kernels, f"{hf}.attn.c_attn.weight", fused_heads_out(heads, width), layers),
        Entry(biases, f"{hf}.attn.c_attn.bias", fused_heads_bias(heads, width), layers),
        *dense(f"{native}/attention/out", f"{hf}.attn.c_proj", conv_heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", f"{hf}.mlp.c_fc", SAME, layers),
        *dense(f"{native}/mlp/down", f"{hf}.mlp.c_proj", SAME, layers),
        *layer_norm(f"{native}/attention_norm", f"{hf}.ln_1", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.ln_2", layers),
    ]


def class_entries(config: GPTConfig) -> list[Entry]:
    """The class head, where there is one."""
    return [Entry(("class_head/kernel",), "score.weight", LINEAR)] if "sequence_classification" in config.heads else []


def gpt2_table(config: GPTConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """GPT-2's names."""
    return [
        Entry(("embeddings/tokens/embedding",), "transformer.wte.weight", SAME, aliases=("lm_head.weight",)),
        Entry(("embeddings/positions/embedding",), "transformer.wpe.weight", SAME),
        *layers_of(config),
        *layer_norm("decoder/final_norm", "transformer.ln_f"),
        *class_entries(config),
    ]


def gpt1_table(config: GPTConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """GPT-1's names."""
    return [
        Entry(("embeddings/tokens/embedding",), "transformer.tokens_embed.weight", SAME, aliases=("lm_head.weight",)),
        Entry(("embeddings/positions/embedding",), "transformer.positions_embed.weight", SAME),
        *layers_of(config),
        *class_entries(config),
    ]


def _read(c: JSON, names: set[str], **fields: Any) -> GPTConfig:
    return GPTConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["n_positions"],
        num_layers=c["n_layer"],
        num_heads=c["n_head"],
        d_model=c["n_embd"],
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["resid_pdrop"],
        attention_dropout=c["attn_pdrop"],
        init_std=c["initializer_range"],
        **classifier_fields(c, "score.weight" in names),
        **fields,
    )


def _write(config: GPTConfig) -> JSON:
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.max_positions,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_embd": config.d_model,
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "initializer_range": config.init_std,
    } | label_fields(config)


def read_gpt2_config(given: JSON, names: set[str]) -> GPTConfig:
    """The config of plmjax."""
    refuse(given, "add_cross_attention", False)
    refuse(given, "scale_attn_weights", True)
    c = GPT2_DEFAULTS | given
    return _read(
        c,
        names,
        d_ff=c["n_inner"] or 4 * c["n_embd"],
        activation=activation(c["activation_function"], "activation_function"),
        norm="pre",
        scale_attn_by_inverse_layer_idx=c["scale_attn_by_inverse_layer_idx"],
    )


def write_gpt2_config(config: GPTConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    return _write(config) | {
        "n_inner": config.d_ff,
        "activation_function": hf_activation(config.activation),
        "scale_attn_by_inverse_layer_idx": config.scale_attn_by_inverse_layer_idx,
    }


def read_gpt1_config(given: JSON, names: set[str]) -> GPTConfig:
    """The config of plmjax."""
    refuse(given, "afn", *GPT1_ACTIVATIONS)
    c = GPT1_DEFAULTS | given
    return _read(
        c, names, d_ff=4 * c["n_embd"], activation=GPT1_ACTIVATIONS[c["afn"]], norm="post",
        position_init_std=c["initializer_range"], residual_init_scale=1.0,
    )  # fmt: skip


def write_gpt1_config(config: GPTConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; UserError for sizes that GPT-1's class can't have."""
    if config.d_ff != 4 * config.d_model:
        raise UserError(
            f"Hugging Face's GPT-1 has a feed-forward width of 4 * {config.d_model}, but this network has "
            f"{config.d_ff}: "
            "it can't be exported."
        )
    if config.scale_attn_by_inverse_layer_idx:
        raise UserError("Hugging Face's GPT-1 has no scale_attn_by_inverse_layer_idx: the network can't be exported.")
    names = {native: hf for hf, native in GPT1_ACTIVATIONS.items()}
    if config.activation not in names:
        raise UserError(f"Hugging Face's GPT-1 has no activation {config.activation!r}: the network can't be exported.")
    return _write(config) | {"afn": names[config.activation]}


def states(network: Bound, inputs: dict[str, Array]) -> Array:
    """[B, L, D]; positions count from the left end, padding or not, unless they are given."""
    return network.decode(inputs["input_ids"], inputs.get("position_ids"), inputs.get("attention_mask"))


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states."""
    return {"last_hidden_state": states(network, inputs)}


def causal_lm(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the next token."""
    return {"logits": network.token_logits(states(network, inputs))}


def classify(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the classes, from the last token that is no padding, whatever the mask says; without a padding token
    from the last that the mask shows."""
    tokens_BL = inputs["input_ids"]
    real_BL = inputs.get("attention_mask", jnp.ones_like(tokens_BL))
    if "pad_token_id" in special:
        real_BL = (tokens_BL != special["pad_token_id"]).astype(jnp.int32)
    last_B = jnp.argmax(real_BL * jnp.arange(tokens_BL.shape[1])[None], axis=1)
    x_B1D = jnp.take_along_axis(states(network, inputs), last_B[:, None, None], axis=1)
    return {"logits": network.class_logits(x_B1D)}


def choose(names: set[str], stated: str | None, *, head: str, classifier: str = "") -> str:
    """The class with the head unless the base model is stated: the head is the token table, which is always there."""
    if classifier and "score.weight" in names:
        return classifier
    return stated if stated and "lm_head.weight" not in names else head


def _class(name: str, config: GPTConfig) -> str:
    return f"{name}ForSequenceClassification" if "sequence_classification" in config.heads else f"{name}LMHeadModel"


INPUTS = ("input_ids", "attention_mask", "position_ids")

GPT2 = Family(
    model_type="gpt2",
    prefix="transformer.",
    base_model="GPT2Model",
    forward={"GPT2Model": base_model, "GPT2LMHeadModel": causal_lm, "GPT2ForSequenceClassification": classify},
    inputs=lambda architecture: INPUTS,
    ignored=r"h\.\d+\.attn\.(bias|masked_bias)",
    read_config=read_gpt2_config,
    write_config=write_gpt2_config,
    table=gpt2_table,
    choose=partial(choose, head="GPT2LMHeadModel", classifier="GPT2ForSequenceClassification"),
    special={"bos_token_id": 50256, "eos_token_id": 50256},
    config_classes=(GPTConfig,),
    architecture=lambda config: _class("GPT2", config) if config.norm == "pre" else None,
    tokenizer=TokenizerFormat(byte_level="GPT2Tokenizer"),
)
GPT1 = Family(
    model_type="openai-gpt",
    prefix="transformer.",
    base_model="OpenAIGPTModel",
    forward={
        "OpenAIGPTModel": base_model,
        "OpenAIGPTLMHeadModel": causal_lm,
        "OpenAIGPTForSequenceClassification": classify,
    },
    inputs=lambda architecture: INPUTS,
    ignored=r"(h\.\d+\.attn\.bias|position_ids)",
    read_config=read_gpt1_config,
    write_config=write_gpt1_config,
    table=gpt1_table,
    choose=partial(choose, head="OpenAIGPTLMHeadModel", classifier="OpenAIGPTForSequenceClassification"),
    special={},
    config_classes=(GPTConfig,),
    architecture=lambda config: _class("OpenAIGPT", config) if config.norm == "post" else None,
)

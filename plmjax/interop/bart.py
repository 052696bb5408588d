"""BART, mBART and Marian, and their decoders alone: one set of names. Legend: H heads, K head width, N layers."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from tokenizers import processors

from plmjax.data.templates import Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.interop.family import JSON, SPECIAL_ROLES, Family, activation, hf_activation, refuse
from plmjax.interop.gpt import causal_lm
from plmjax.interop.heads import ANSWER, CLASS, label_fields, num_labels
from plmjax.interop.seq2seq import (
    DECODER_INPUTS,
    ENCODER_INPUTS,
    LABELS,
    Shift,
    check_ends,
    class_of_heads,
    forwards,
    found_heads,
    head_entries,
    rotate,
    shift_right,
)
from plmjax.interop.templates import (
    bart_pair,
    bart_source,
    bart_target,
    marian_source,
    mbart_pair,
    mbart_source,
    mbart_target,
)
from plmjax.interop.tokenizer_format import TokenizerFormat, ended, is_byte_level
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
from plmjax.modules.bart import BartConfig, MarianConfig, MBartConfig
from plmjax.modules.bart_decoder import BartDecoderConfig, MarianDecoderConfig, MBartDecoderConfig
from plmjax.modules.positions import sinusoidal_table

DEFAULTS: JSON = {
    "vocab_size": 50265, "max_position_embeddings": 1024, "encoder_layers": 12, "decoder_layers": 12,
    "encoder_attention_heads": 16, "decoder_attention_heads": 16, "encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096,
    "d_model": 1024, "activation_function": "gelu", "scale_embedding": False, "dropout": 0.1, "attention_dropout": 0.0,
    "activation_dropout": 0.0, "init_std": 0.02,
}  # fmt: skip
# What the classes of the three have for defaults of their own.
BART_DEFAULTS = DEFAULTS | {"num_labels": 3}
MBART_DEFAULTS = DEFAULTS | {"num_labels": 2}
MARIAN_DEFAULTS = MBART_DEFAULTS | {"vocab_size": 58101}
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
MBART_SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
MARIAN_SPECIAL = {"pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100}
CONDITIONAL, TRANSLATION, ALONE = "ForConditionalGeneration", "MTModel", "ForCausalLM"
# fairseq's number of a layout, which BART's published files have and no class reads (transformers,
# modeling_bart.py, `_keys_to_ignore_on_load_unexpected`).
VERSIONS = r"((en|de)coder\.)?version"
ALONE_CONFIGS: dict[type[BartConfig], type[BartConfig]] = {
    BartConfig: BartDecoderConfig,
    MBartConfig: MBartDecoderConfig,
    MarianConfig: MarianDecoderConfig,
}
ROW: Transform = Transform(lambda x: [x.reshape(-1)], lambda native: native[0].reshape(1, -1))


def stack(config: BartConfig, name: str) -> list[Entry]:
    """One stack and what comes before it."""
    is_decoder = name == "decoder"
    layers = config.num_decoder_layers if is_decoder else config.num_layers
    heads = (is_decoder and config.num_decoder_heads) or config.num_heads
    native, hf = f"{name}/layers", f"model.{name}.layers.{{}}"
    entries = [
        *_attention(config, heads, f"{native}/attention", f"{hf}.self_attn", layers),
        *layer_norm(f"{native}/attention_norm", f"{hf}.self_attn_layer_norm", layers),
        *dense(f"{native}/mlp/up", f"{hf}.fc1", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.fc2", LINEAR, layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.final_layer_norm", layers),
    ]
    if is_decoder:
        entries += _attention(config, heads, f"{native}/cross_attention", f"{hf}.encoder_attn", layers)
        entries += layer_norm(f"{native}/cross_norm", f"{hf}.encoder_attn_layer_norm", layers)
    if not isinstance(config, MarianConfig):
        positions = f"{name}_embeddings/positions/embedding"
        entries.append(Entry((positions,), f"model.{name}.embed_positions.weight", SAME))
        entries += layer_norm(f"{name}_embeddings/norm", f"model.{name}.layernorm_embedding")
    if isinstance(config, MBartConfig):
        entries += layer_norm(f"{name}/final_norm", f"model.{name}.layer_norm")
    return entries


def _attention(config: BartConfig, heads: int, path: str, name: str, layers: int) -> list[Entry]:
    width = config.d_model // heads
    out, bias = heads_out(heads, width), heads_bias(heads, width)
    split = (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
    entries = [e for native, hf in split for e in dense(f"{path}/{native}", f"{name}.{hf}", out, layers, bias)]
    return [*entries, *dense(f"{path}/out", f"{name}.out_proj", heads_in(heads, width), layers)]


def table(config: BartConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """Hugging Face's names."""
    native = "embeddings/tokens/embedding"
    if is_alone(config):
        tokens = Entry((native,), "model.decoder.embed_tokens.weight", SAME, aliases=("lm_head.weight",))
        return [tokens, *stack(config, "decoder")]
    aliases = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    entries = [
        Entry((native,), "model.shared.weight", SAME, aliases=aliases),
        *stack(config, "encoder"),
        *stack(config, "decoder"),
        *head_entries(config.heads),
    ]
    if "token" in config.heads:
        entries.append(Entry(("token_head/bias",), "final_logits_bias", ROW))
    return entries


def is_alone(config: BartConfig) -> bool:
    """Whether it is of a decoder without an encoder."""
    return type(config) in ALONE_CONFIGS.values()


def read_config(given: JSON, names: set[str], *, config: type[BartConfig], defaults: JSON) -> BartConfig:
    """The config of plmjax."""
    c = defaults | given
    alone = given["architectures"][0].endswith(ALONE)
    refuse(given, "is_decoder", alone)
    refuse(given, "tie_word_embeddings", True)
    refuse(given, "share_encoder_decoder_embeddings", True)
    heads = ["token"] if alone or "final_logits_bias" in names else []
    sides = ("decoder", "decoder") if alone else ("encoder", "decoder")
    (num_heads, decoder_heads), (d_ff, decoder_d_ff) = (
        [c[f"{side}_{name}"] for side in sides] for name in ("attention_heads", "ffn_dim")
    )
    return (ALONE_CONFIGS[config] if alone else config)(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"],
        num_layers=c["encoder_layers"],
        num_decoder_layers=c["decoder_layers"],
        num_heads=num_heads,
        num_decoder_heads=None if decoder_heads == num_heads else decoder_heads,
        d_model=c["d_model"],
        d_ff=d_ff,
        decoder_d_ff=None if decoder_d_ff == d_ff else decoder_d_ff,
        activation=activation(c["activation_function"], "activation_function"),
        scale_embeddings=c["scale_embedding"],
        dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
        activation_dropout=c["activation_dropout"],
        init_std=c["init_std"],
        heads=(*heads, *found_heads(names)),
        num_labels=num_labels(given, defaults["num_labels"]),
    )


def write_config(config: BartConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; UserError for what Hugging Face's classes can't have."""
    if config.norm_eps != 1e-5:
        raise UserError(
            f"Hugging Face's BART has only norm_eps 1e-5, but this network has {config.norm_eps}: it can't be exported."
        )
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "encoder_layers": config.num_layers,
        "decoder_layers": config.num_decoder_layers,
        "num_hidden_layers": config.num_layers,
        "encoder_attention_heads": config.num_heads,
        "decoder_attention_heads": config.num_decoder_heads or config.num_heads,
        "encoder_ffn_dim": config.d_ff,
        "decoder_ffn_dim": config.decoder_d_ff or config.d_ff,
        "d_model": config.d_model,
        "activation_function": hf_activation(config.activation),
        "scale_embedding": config.scale_embeddings,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "init_std": config.init_std,
        "is_encoder_decoder": not is_alone(config),
        "is_decoder": is_alone(config),
        **label_fields(config),
    }


def constants(config: BartConfig, architecture: str) -> dict[str, np.ndarray]:
    """Marian's positions, which two of its classes store."""
    stacks = {"MarianModel": ("encoder", "decoder"), "MarianForCausalLM": ("decoder",)}.get(architecture, ())
    if not stacks:
        return {}
    columns = sinusoidal_table(config.max_positions, config.d_model)
    table_LD = np.concatenate([columns[:, 0::2], columns[:, 1::2]], axis=1)
    return {f"model.{name}.embed_positions.weight": table_LD for name in stacks}


def choose(names: set[str], stated: str | None, *, name: str, classes: Mapping[str, str]) -> str:
    """The class that the tensors make up, that with the token head where nothing is stated and no other is there."""
    if not any(tensor.startswith("encoder.") for tensor in names):
        return name + ALONE
    heads = ["token"] * ("final_logits_bias" in names) + found_heads(names)
    return class_of_heads(heads, classes, stated or classes["token"])


def architecture_of(config: BartConfig, *, name: str, classes: Mapping[str, str]) -> str:
    """The class of a network; the base model's where no class has its heads."""
    return name + ALONE if is_alone(config) else class_of_heads(config.heads, classes, f"{name}Model")


def _family(
    model_type: str,
    name: str,
    head: str,
    config: type[BartConfig],
    defaults: JSON,
    special: Mapping[str, int],
    shift: Shift,
    ending: int,
) -> Family:
    base_model, writer = f"{name}Model", name + head
    # Marian's classes end here; BART and mBART have some for fine-tuning too.
    tuned = {"sequence_classification": name + CLASS, "question_answering": name + ANSWER}
    classes = {"token": writer} | ({} if config is MarianConfig else tuned)
    known = (base_model, *classes.values())
    forward = {key: one for key, one in forwards(base_model, writer, name, shift).items() if key in known}

    def inputs_of(architecture: str) -> tuple[str, ...]:
        if architecture == name + ALONE:
            return ENCODER_INPUTS
        return ENCODER_INPUTS + DECODER_INPUTS + (LABELS if architecture == writer else ())

    return Family(
        model_type=model_type,
        prefix="model.",
        base_model=base_model,
        forward=forward | {name + ALONE: causal_lm},
        inputs=inputs_of,
        ignored=VERSIONS + (r"|((en|de)coder\.)?embed_positions\.weight" if config is MarianConfig else ""),
        read_config=partial(read_config, config=config, defaults=defaults),
        write_config=write_config,
        table=table,
        choose=partial(choose, name=name, classes=classes),
        special=special,
        config_classes=(config, ALONE_CONFIGS[config]),
        architecture=partial(architecture_of, name=name, classes=classes),
        constants=constants,
        optional=lambda architecture: () if config is MarianConfig else DECODER_INPUTS,
        check=check_ends,
        generation={"forced_eos_token_id": ending},
    )


def template(v: Vocabulary) -> Template | None:
    """<s> A </s> B </s>, without <s> where the vocabulary has none."""
    return None if v.eos is None else Template(() if v.bos is None else (v.bos,), (v.eos,), (v.eos,))


def around(tokenizer: Tokenizer, backend: Any) -> Any:
    """<s> A </s></s> B </s> around pieces of bytes; None for other pieces, or without these tokens."""
    v, names = tokenizer.vocabulary, tokenizer.special_names
    if not is_byte_level(backend) or v.bos is None or v.eos is None:
        return None
    return processors.RobertaProcessing((names[v.eos], v.eos), (names[v.bos], v.bos), add_prefix_space=False)


BART = replace(
    _family("bart", "Bart", CONDITIONAL, BartConfig, BART_DEFAULTS, SPECIAL, shift_right, 2),
    tokenizer=TokenizerFormat(
        template,
        post_processor=around,
        roles={"cls": "cls_or_bos", "sep": "sep_or_eos"},
        byte_level="BartTokenizer",
    ),
    special_roles=SPECIAL_ROLES | {"decoder_start_token_id": "eos"},
    source_template=bart_source,
    target_template=bart_target,
    pair_template=bart_pair,
    scoring_format="mask",
)
MBART = replace(  # its decoder starts with the language that it is to write
    _family("mbart", "MBart", CONDITIONAL, MBartConfig, MBART_DEFAULTS, MBART_SPECIAL, rotate, 2),
    tokenizer=TokenizerFormat(ended),
    source_template=mbart_source,
    target_template=mbart_target,
    pair_template=mbart_pair,
    scoring_format=None,  # each text is written after its language's token
)
MARIAN = replace(
    _family("marian", "Marian", TRANSLATION, MarianConfig, MARIAN_DEFAULTS, MARIAN_SPECIAL, shift_right, 0),
    tokenizer=TokenizerFormat(ended),
    special_roles=SPECIAL_ROLES | {"decoder_start_token_id": "padding"},
    source_template=marian_source,
)

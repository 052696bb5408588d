"""T5 1.0 and 1.1, mT5 and UMT5. Legend: H heads, K head width, N layers."""

from collections.abc import Mapping
from functools import partial

from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, SPECIAL_ROLES, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import ANSWER, CLASS, TAG, label_fields, num_labels
from plmjax.interop.seq2seq import (
    DECODER_INPUTS,
    ENCODER_INPUTS,
    LABELS,
    check_ends,
    class_of_heads,
    forwards,
    found_heads,
    head_entries,
    shift_right,
)
from plmjax.interop.tokenizer_format import TokenizerFormat, ended
from plmjax.interop.weight_map import LINEAR, SAME, Entry, Transform, heads_in, heads_out
from plmjax.modules import Bound
from plmjax.modules.t5 import T5Config

DEFAULTS: JSON = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu", "tie_word_embeddings": True,
}  # fmt: skip
# What the classes of mT5 and UMT5 have for defaults of their own.
MT5_DEFAULTS = DEFAULTS | {
    "vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6, "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}  # fmt: skip
UMT5_DEFAULTS = MT5_DEFAULTS | {"tie_word_embeddings": True}
PREFIX = "transformer."  # before the trunk's names in two of the classes
WRITER, ENCODER_ONLY = "ForConditionalGeneration", "EncoderModel"  # behind the family's name


def classes(name: str) -> dict[str, str]:
    """The classes of the heads, the first whose head is there."""
    return {
        "token": name + WRITER,
        "sequence_classification": name + CLASS,
        "token_classification": name + TAG,
        "question_answering": name + ANSWER,
    }


def stack(config: T5Config, name: str) -> list[Entry]:
    """One stack; the relative biases are stored in its first block, or in each."""
    decoder = name == "decoder"
    layers = config.num_decoder_layers if decoder else config.num_layers
    native, hf = f"{name}/layers", f"{name}.block.{{}}.layer"
    number, tables = ("{}", layers) if config.relative_bias_per_layer else ("0", 0)
    bias = f"{name}.block.{number}.layer.0.SelfAttention.relative_attention_bias.weight"
    entries = [
        Entry((f"{name}/relative_bias/embedding",), bias, SAME, tables),
        Entry((f"{name}/final_norm/scale",), f"{name}.final_layer_norm.weight", SAME),
        *_attention(config, f"{native}/attention", f"{hf}.0.SelfAttention", layers),
        Entry((f"{native}/attention_norm/scale",), f"{hf}.0.layer_norm.weight", SAME, layers),
    ]
    if decoder:
        entries += _attention(config, f"{native}/cross_attention", f"{hf}.1.EncDecAttention", layers)
        entries.append(Entry((f"{native}/cross_norm/scale",), f"{hf}.1.layer_norm.weight", SAME, layers))
    last = f"{hf}.{2 if decoder else 1}"
    # Hugging Face's wi_0 goes through the activation: it is plmjax's gate.
    inward = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    entries += [
        _kernel(f"{native}/mlp/{path}", f"{last}.DenseReluDense.{theirs_}", LINEAR, layers)
        for path, theirs_ in (inward | {"down": "wo"}).items()
    ]
    return [*entries, Entry((f"{native}/mlp_norm/scale",), f"{last}.layer_norm.weight", SAME, layers)]


def _attention(config: T5Config, path: str, name: str, layers: int) -> list[Entry]:
    heads, width = config.num_heads, config.d_kv
    split = [("query", "q"), ("key", "k"), ("value", "v")]
    entries = [_kernel(f"{path}/{native}", f"{name}.{hf}", heads_out(heads, width), layers) for native, hf in split]
    return [*entries, _kernel(f"{path}/out", f"{name}.o", heads_in(heads, width), layers)]


def _kernel(path: str, name: str, transform: Transform, layers: int) -> Entry:
    return Entry((f"{path}/kernel",), f"{name}.weight", transform, layers)


def table(config: T5Config, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """T5's names. Two of the classes have the trunk's under another."""
    aliases: tuple[str, ...] = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    if config.tied:
        aliases += ("lm_head.weight",)
    trunk = [
        Entry(("embeddings/tokens/embedding",), "shared.weight", SAME, aliases=aliases),
        *stack(config, "encoder"),
    ]
    if not architecture.endswith((ENCODER_ONLY, TAG)):
        trunk += stack(config, "decoder")
    if architecture.endswith((CLASS, TAG)):
        trunk = [under(PREFIX, entry) for entry in trunk]
    heads = head_entries(config.heads)
    if "token" in config.heads and not config.tied:
        heads.append(Entry(("token_head/embedding",), "lm_head.weight", SAME))
    return trunk + heads


def under(prefix: str, entry: Entry) -> Entry:
    """The entry with a word before Hugging Face's names."""
    return entry._replace(name=prefix + entry.name, aliases=tuple(prefix + alias for alias in entry.aliases))


def read_config(given: JSON, names: set[str], *, defaults: JSON, per_layer: bool) -> T5Config:
    """The config of plmjax; the token head is there where its class is, for a tied one has no tensors of its own."""
    refuse(given, "is_decoder", False)
    c = defaults | given
    writes = given["architectures"][0].endswith(WRITER) or "lm_head.weight" in names
    projection = c["feed_forward_proj"]
    gated = projection.startswith("gated-")
    # Hugging Face's takes "gated-gelu" for the tanh form, as the 1.1 checkpoints were trained.
    act = (
        "gelu_tanh"
        if projection == "gated-gelu"
        else activation(projection.removeprefix("gated-"), "feed_forward_proj")
    )
    return T5Config(
        vocab_size=c["vocab_size"],
        num_layers=c["num_layers"],
        num_decoder_layers=c.get("num_decoder_layers") or c["num_layers"],
        num_heads=c["num_heads"],
        d_model=c["d_model"],
        d_kv=c["d_kv"],
        d_ff=c["d_ff"],
        gated=gated,
        activation=act,
        tied=c["tie_word_embeddings"],
        relative_buckets=c["relative_attention_num_buckets"],
        relative_max_distance=c["relative_attention_max_distance"],
        relative_bias_per_layer=per_layer,
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["dropout_rate"],
        heads=(("token",) if writes else ()) + tuple(found_heads(names)),
        num_labels=num_labels(given),
    )


def write_config(config: T5Config, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    projection = hf_activation(config.activation)
    if config.gated:
        if projection == "gelu":
            raise UserError(
                "Hugging Face's gated T5 has no exact GELU, only the tanh form: the network can't be exported."
            )
        projection = "gated-gelu" if projection == "gelu_new" else f"gated-{projection}"
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.norm_eps,
        "feed_forward_proj": projection,
        "tie_word_embeddings": config.tied,
        "is_encoder_decoder": True,
        **label_fields(config),
    }


def encoder(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The encoder's states."""
    return {"last_hidden_state": network.encode(inputs["input_ids"], None, inputs.get("attention_mask"))}


def tag(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of each token's classes, from the encoder alone."""
    return {"logits": network.token_classification_logits(encoder(network, inputs, special)["last_hidden_state"])}


def inputs_of(architecture: str) -> tuple[str, ...]:
    """The inputs that a class takes."""
    if architecture.endswith((ENCODER_ONLY, TAG)):
        return ENCODER_INPUTS
    return ENCODER_INPUTS + DECODER_INPUTS + (LABELS if architecture.endswith(WRITER) else ())


def optional(architecture: str) -> tuple[str, ...]:
    """The class whose decoder may be given labels, and those that shift what the encoder reads."""
    return DECODER_INPUTS if architecture.endswith((CLASS, ANSWER)) else ()


def choose(names: set[str], stated: str | None, *, name: str) -> str:
    """The class that the tensors make up; a tied head leaves none, and is there unless the base model is stated."""
    if "lm_head.weight" in names:
        return name + WRITER
    has_decoder = any(tensor.startswith("decoder.block.") for tensor in names)
    usual = stated or name + (WRITER if has_decoder else ENCODER_ONLY)
    return class_of_heads(found_heads(names), classes(name), usual)


def _family(model_type: str, name: str, defaults: JSON, *, per_layer: bool = False) -> Family:
    base_model = f"{name}Model"
    forward = forwards(base_model, name + WRITER, name, shift_right)
    return Family(
        model_type=model_type,
        prefix=PREFIX,
        base_model=base_model,
        forward=forward | {name + ENCODER_ONLY: encoder, name + TAG: tag},
        inputs=inputs_of,
        # Early checkpoints carry relative biases of the cross-attention, which nothing reads.
        ignored=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
        read_config=partial(read_config, defaults=defaults, per_layer=per_layer),
        write_config=write_config,
        table=table,
        choose=partial(choose, name=name),
        special={"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0},
        config_classes=(T5Config,),
        architecture=lambda config: (
            class_of_heads(config.heads, classes(name), base_model)
            if config.relative_bias_per_layer == per_layer
            else None
        ),
        optional=optional,
        check=check_ends,
        tokenizer=TokenizerFormat(ended, sentencepiece="T5Tokenizer"),
        special_roles=SPECIAL_ROLES | {"decoder_start_token_id": "padding"},
        scoring_format="sentinel",
    )


T5 = _family("t5", "T5", DEFAULTS)
MT5 = _family("mt5", "MT5", MT5_DEFAULTS)
UMT5 = _family("umt5", "UMT5", UMT5_DEFAULTS, per_layer=True)

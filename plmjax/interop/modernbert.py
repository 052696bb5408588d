"""ModernBERT. Legend: D model width, F feed-forward width, H heads, K head width, N layers."""

from collections.abc import Mapping

import numpy as np
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import ANSWER, CLASS, TAG, architecture_of_heads, fine_tuned, label_fields, num_labels
from plmjax.interop.tokenizer_format import TokenizerFormat, cls_sep
from plmjax.interop.weight_map import LINEAR, SAME, Entry, Transform, fused_heads_out, heads_in
from plmjax.modules import Bound
from plmjax.modules.modernbert import ModernBertConfig

DEFAULTS: JSON = {
    "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
    "num_attention_heads": 12, "hidden_activation": "gelu", "max_position_embeddings": 8192, "initializer_range": 0.02,
    "norm_eps": 1e-5, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "attention_dropout": 0.0,
    "global_attn_every_n_layers": 3, "local_attention": 128, "mlp_dropout": 0.0, "classifier_dropout": 0.0,
    "classifier_pooling": "cls",
}  # fmt: skip
SPECIAL = {
    "pad_token_id": 50283, "bos_token_id": 50281, "eos_token_id": 50282, "cls_token_id": 50281, "sep_token_id": 50282,
}  # fmt: skip
INPUTS = ("input_ids", "attention_mask", "position_ids")
HEAD_PATHS = {
    "sequence_classification": "class_head", "token_classification": "tag_head", "question_answering": "answer_head",
}  # fmt: skip


def turned(transform: Transform) -> Transform:
    """Does to a Linear's tensor [out, in] what `transform` does to a Conv1D's [in, out]."""
    return Transform(lambda x: transform.from_hf(x.T), lambda native: transform.to_hf(native).T)


GATE_AND_UP = Transform(lambda x: np.split(x, 2, axis=1), lambda native: np.concatenate(native, axis=1))  # [D, 2 F]


def scale(path: str, name: str, layers: int = 0, lacking: int = 0) -> Entry:
    """A norm without a bias."""
    return Entry((f"{path}/scale",), f"{name}.weight", SAME, layers, lacking=lacking)


def table(config: ModernBertConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """ModernBERT's names. Its first layer has no norm before the attention, where the network's is not read."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "encoder/layers", "model.layers.{}"
    fused = tuple(f"{native}/attention/{name}/kernel" for name in ("query", "key", "value"))
    tied = ("decoder.weight",) if "token" in config.heads else ()
    entries = [
        Entry(("embeddings/tokens/embedding",), "model.embeddings.tok_embeddings.weight", SAME, aliases=tied),
        scale("embeddings/norm", "model.embeddings.norm"),
        scale(f"{native}/attention_norm", f"{hf}.attn_norm", layers, lacking=1),
        Entry(fused, f"{hf}.attn.Wqkv.weight", turned(fused_heads_out(heads, width)), layers),
        Entry((f"{native}/attention/out/kernel",), f"{hf}.attn.Wo.weight", heads_in(heads, width), layers),
        scale(f"{native}/mlp_norm", f"{hf}.mlp_norm", layers),
        Entry(
            (f"{native}/mlp/gate/kernel", f"{native}/mlp/up/kernel"), f"{hf}.mlp.Wi.weight", turned(GATE_AND_UP), layers
        ),
        Entry((f"{native}/mlp/down/kernel",), f"{hf}.mlp.Wo.weight", LINEAR, layers),
        scale("encoder/final_norm", "model.final_norm"),
    ]
    path = next((path for head, path in HEAD_PATHS.items() if head in config.heads), None)
    if "token" in config.heads:
        path = "token_head"
        entries.append(Entry(("token_head/bias",), "decoder.bias", SAME))
    elif path is not None:
        entries += [
            Entry((f"{path}/out/kernel",), "classifier.weight", LINEAR),
            Entry((f"{path}/out/bias",), "classifier.bias", SAME),
        ]
    if path is not None:
        entries += [Entry((f"{path}/dense/kernel",), "head.dense.weight", LINEAR), scale(f"{path}/norm", "head.norm")]
    return entries


def read_config(given: JSON, names: set[str]) -> ModernBertConfig:
    """The config; its head is the one whose tensors are there, of three under one name the one that the class has."""
    for name in ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias"):
        refuse(given, name, False)
    refuse(given, "decoder_bias", True)
    c = DEFAULTS | given
    refuse(c, "embedding_dropout", c["mlp_dropout"])
    refuse(c, "classifier_activation", c["hidden_activation"])
    heads: tuple[str, ...] = ()
    if "decoder.bias" in names:
        heads = ("token",)
    elif "classifier.weight" in names:
        stated = next(iter(given.get("architectures") or []), "")
        ends = {TAG: "token_classification", ANSWER: "question_answering"}
        heads = (next((head for end, head in ends.items() if stated.endswith(end)), "sequence_classification"),)
    return ModernBertConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"],
        num_layers=c["num_hidden_layers"],
        num_heads=c["num_attention_heads"],
        d_model=c["hidden_size"],
        d_ff=c["intermediate_size"],
        global_every=c["global_attn_every_n_layers"],
        local_attention=c["local_attention"],
        global_rope_theta=c["global_rope_theta"],
        local_rope_theta=c["local_rope_theta"] or c["global_rope_theta"],
        activation=activation(c["hidden_activation"], "hidden_activation"),
        norm_eps=c["norm_eps"],
        dropout=c["mlp_dropout"],
        attention_dropout=c["attention_dropout"],
        attention_out_dropout=c["attention_dropout"],  # one rate for both in Hugging Face's code
        classifier_dropout=c["classifier_dropout"],
        pooling=c["classifier_pooling"],
        init_std=c["initializer_range"],
        heads=heads,
        num_labels=num_labels(given),
    )


def write_config(config: ModernBertConfig, special: Mapping[str, int]) -> JSON:
    """config.json of a config; UserError for several heads, of which each of Hugging Face's classes has one."""
    if len(set(config.heads)) > 1:
        raise UserError(
            "Each of Hugging Face's ModernBERT classes has one head, but this network has "
            f"{', '.join(config.heads)}: it "
            "can't be exported."
        )
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "hidden_activation": hf_activation(config.activation),
        "classifier_activation": hf_activation(config.activation),
        "max_position_embeddings": config.max_positions,
        "initializer_range": config.init_std,
        "norm_eps": config.norm_eps,
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "classifier_bias": False,
        "decoder_bias": True,
        "global_attn_every_n_layers": config.global_every,
        "local_attention": config.local_attention,
        "global_rope_theta": config.global_rope_theta,
        "local_rope_theta": config.local_rope_theta,
        "embedding_dropout": config.dropout,
        "mlp_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "classifier_dropout": config.classifier_dropout,
        "classifier_pooling": config.pooling,
        **label_fields(config),
    }


def states(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Array:
    """[B, L, D]."""
    return network.encode(inputs["input_ids"], None, inputs.get("position_ids"), inputs.get("attention_mask"))


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states."""
    return {"last_hidden_state": states(network, inputs, special)}


def masked_lm(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens."""
    return {"logits": network.token_logits(states(network, inputs, special))}


def classify(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of a text's classes."""
    summary_B1D = network.summary(states(network, inputs, special), inputs.get("attention_mask"))
    return {"logits": network.class_logits(summary_B1D)}


def choose(names: set[str], stated: str | None) -> str:
    """The class whose head is there; three have theirs under one name."""
    if "decoder.bias" in names:
        return "ModernBertForMaskedLM"
    if "classifier.weight" in names:
        return stated if stated in FINE_TUNED else f"ModernBert{CLASS}"
    return "ModernBertModel"


def architecture(config: ModernBertConfig) -> str | None:
    """The class that holds the head of a config."""
    if "token" in config.heads:
        return "ModernBertForMaskedLM"
    return architecture_of_heads("ModernBert", config.heads) or "ModernBertModel"


FINE_TUNED = fine_tuned("ModernBert", states) | {f"ModernBert{CLASS}": classify}
MODERNBERT = Family(
    model_type="modernbert",
    prefix="model.",
    base_model="ModernBertModel",
    forward={"ModernBertModel": base_model, "ModernBertForMaskedLM": masked_lm, **FINE_TUNED},
    inputs=lambda architecture: INPUTS,
    ignored=r".*rotary_emb\.inv_freq",
    null_fields=("local_rope_theta",),
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special=SPECIAL,
    config_classes=(ModernBertConfig,),
    architecture=architecture,
    tokenizer=TokenizerFormat(cls_sep()),
)

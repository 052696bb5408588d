"""XLNet. Legend: B batch, L length, M predicted tokens, T memory, D model width, H heads, K head width, N layers."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from plmjax.data.templates import Template, xlnet_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, activation, hf_activation, refuse
from plmjax.interop.heads import answer, beam_answer, label_fields, num_labels
from plmjax.interop.tokenizer_format import ACCENTS_AND_CASE, TokenizerFormat
from plmjax.interop.weight_map import LINEAR, SAME, Entry, Transform, dense, layer_norm
from plmjax.modules import Bound
from plmjax.modules.memory import Memory
from plmjax.modules.xlnet import XLNetConfig, XLNetOutput

DEFAULTS: JSON = {
    "vocab_size": 32000, "d_model": 1024, "n_layer": 24, "n_head": 16, "d_inner": 4096, "ff_activation": "gelu",
    "attn_type": "bi", "initializer_range": 0.02, "layer_norm_eps": 1e-12, "dropout": 0.1, "mem_len": 512,
    "reuse_len": None, "use_mems_eval": True, "clamp_len": -1, "start_n_top": 5, "end_n_top": 5,
}  # fmt: skip
ALL = 1 << 20  # plmjax's memory_length where Hugging Face's is null, which keeps every state
OUT = Transform(
    lambda x: [x.transpose(1, 2, 0)], lambda native: native[0].transpose(2, 0, 1)
)  # Hugging Face's [D, H, K]
VECTOR = Transform(lambda x: [x.reshape(-1)], lambda native: native[0].reshape(1, 1, -1))
# The head and its tensors' first word, as the classes are told apart; "token" last, for it has a name in the trunk too.
CLASSES = {
    "sequence_classification": ("XLNetForSequenceClassification", "logits_proj"),
    "token_classification": ("XLNetForTokenClassification", "classifier"),
    "question_answering": ("XLNetForQuestionAnsweringSimple", "qa_outputs"),
    "beam_question_answering": ("XLNetForQuestionAnswering", "answer_class"),
    "token": ("XLNetLMHeadModel", "lm_loss"),
}


def table(config: XLNetConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """XLNet's names."""
    layers, native, hf = config.num_layers, "encoder/layers", "transformer.layer.{}"
    attention, rel = f"{native}/attention", f"{hf}.rel_attn"
    entries = [
        Entry(("embeddings/tokens/embedding",), "transformer.word_embedding.weight", SAME, 0, ("lm_loss.weight",)),
        Entry(("embeddings/query",), "transformer.mask_emb", VECTOR),
        Entry((f"{attention}/out/kernel",), f"{rel}.o", OUT, layers),
        *layer_norm(f"{native}/attention_norm", f"{rel}.layer_norm", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.ff.layer_norm", layers),
        *dense(f"{native}/mlp/up", f"{hf}.ff.layer_1", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.ff.layer_2", LINEAR, layers),
    ]
    alike = {
        "query/kernel": "q",
        "key/kernel": "k",
        "value/kernel": "v",
        "position/kernel": "r",
        "biases/relative/content_bias": "r_w_bias",
        "biases/relative/position_bias": "r_r_bias",
        "biases/segment_bias": "r_s_bias",
        "segment_embedding": "seg_embed",
    }
    entries += [Entry((f"{attention}/{path}",), f"{rel}.{name}", SAME, layers) for path, name in alike.items()]
    for head in config.heads:
        entries += _head_table(head)
    return entries


def _head_table(head: str) -> list[Entry]:
    match head:
        case "token":
            return [Entry(("token_head/bias",), "lm_loss.bias", SAME)]
        case "sequence_classification":
            summary = dense("class_head/dense", "sequence_summary.summary", LINEAR)
            return summary + dense("class_head/out", "logits_proj", LINEAR)
        case "token_classification":
            return dense("tag_head", "classifier", LINEAR)
        case "question_answering":
            return dense("answer_head", "qa_outputs", LINEAR)
        case "beam_question_answering":
            native = "beam_answer_head"
            return [
                *dense(f"{native}/start", "start_logits.dense", LINEAR),
                *dense(f"{native}/end_dense", "end_logits.dense_0", LINEAR),
                *layer_norm(f"{native}/end_norm", "end_logits.LayerNorm"),
                *dense(f"{native}/end_out", "end_logits.dense_1", LINEAR),
                *dense(f"{native}/class_dense", "answer_class.dense_0", LINEAR),
                Entry((f"{native}/class_out/kernel",), "answer_class.dense_1.weight", LINEAR),
            ]
    raise UserError(f"The head {head!r} has no place in Hugging Face's XLNet: it can't be exported.")


def read_config(given: JSON, names: set[str]) -> XLNetConfig:
    """The config of plmjax; its heads are those whose tensors are there."""
    refuse(given, "bi_data", False)
    refuse(given, "same_length", False)
    refuse(given, "attn_type", "bi", "uni")
    c = DEFAULTS | given
    heads = [head for head, (_, tensors) in CLASSES.items() if any(name.startswith(f"{tensors}.") for name in names)]
    if "sequence_classification" in heads:
        refuse(given, "summary_type", "last")
        refuse(given, "summary_use_proj", True)
        refuse(given, "summary_activation", "tanh")
    return XLNetConfig(
        vocab_size=c["vocab_size"],
        num_layers=c["n_layer"],
        num_heads=c["n_head"],
        d_model=c["d_model"],
        d_ff=c["d_inner"],
        activation=activation(c["ff_activation"], "ff_activation"),
        norm_eps=c["layer_norm_eps"],
        dropout=c["dropout"],
        attention_dropout=c["dropout"],
        init_std=c["initializer_range"],
        causal=c["attn_type"] == "uni",
        clamp=max(c["clamp_len"], 0),
        memory_length=(c["mem_len"] or ALL) if c["use_mems_eval"] else 0,
        reuse_length=c["reuse_len"] or 0,
        heads=tuple(heads),
        num_labels=num_labels(given),
        start_beams=c["start_n_top"],
        end_beams=c["end_n_top"],
    )


def write_config(config: XLNetConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; Hugging Face's class has one dropout for all."""
    if config.tie_biases:
        raise UserError("Hugging Face's XLNet has its biases in each layer: one with tie_biases can't be exported.")
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "d_inner": config.d_ff,
        "ff_activation": hf_activation(config.activation),
        "untie_r": True,
        "attn_type": "uni" if config.causal else "bi",
        "initializer_range": config.init_std,
        "layer_norm_eps": config.norm_eps,
        "dropout": config.dropout,
        "mem_len": config.memory_length if 0 < config.memory_length < ALL else None,
        "reuse_len": config.reuse_length or None,
        "use_mems_eval": config.memory_length > 0,
        "clamp_len": config.clamp or -1,
        "start_n_top": config.start_beams,
        "end_n_top": config.end_beams,
        **label_fields(config),
    }


def streams(network: Bound, inputs: dict[str, Array]) -> tuple[Array, Outputs]:
    """The states that a head reads, of g where tokens are predicted, and the output `mems` [N, T, B, D] if any."""
    mask_BL = inputs.get("attention_mask")
    if mask_BL is None and "input_mask" in inputs:
        mask_BL = (inputs["input_mask"] == 0).astype(jnp.int32)
    memory_NTBD, memory = inputs.get("mems"), None
    if memory_NTBD is not None:
        states_BNTD = jnp.moveaxis(memory_NTBD, 2, 0)
        memory = Memory(states_BNTD, jnp.ones((states_BNTD.shape[0], states_BNTD.shape[2]), jnp.bool_))
    given: XLNetOutput = network.two_streams(
        inputs["input_ids"],
        inputs.get("perm_mask"),
        inputs.get("target_mapping"),
        inputs.get("token_type_ids"),
        mask_BL,
        memory,
    )
    mems = {} if given.memory is None else {"mems": jnp.moveaxis(given.memory.states, 0, 2)}
    return given.h if given.g is None else given.g, mems


def _forward(outputs: Any) -> Any:
    """The function of a class from what it makes of the states."""

    def run(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
        x, mems = streams(network, inputs)
        return outputs(network, x, inputs) | mems

    return run


FORWARD = {
    "XLNetModel": lambda network, x, inputs: {"last_hidden_state": x},
    "XLNetLMHeadModel": lambda network, x, inputs: {"logits": network.token_logits(x)},
    "XLNetForSequenceClassification": lambda network, x, inputs: {"logits": network.class_logits(x)},
    "XLNetForTokenClassification": lambda network, x, inputs: {"logits": network.token_classification_logits(x)},
    "XLNetForQuestionAnsweringSimple": answer,
    "XLNetForQuestionAnswering": beam_answer,
}
INPUTS = ("input_ids", "attention_mask", "input_mask", "token_type_ids", "perm_mask", "target_mapping", "mems")


def choose(names: set[str], stated: str | None) -> str:
    """The class of the first head that is there, the language model's where there is one."""
    found = [name for name, tensors in CLASSES.values() if any(tensor.startswith(f"{tensors}.") for tensor in names)]
    return found[-1] if found else "XLNetModel"


def architecture(config: XLNetConfig) -> str:
    """The class that holds the network's head; the language model's where there are several."""
    found = [name for head, (name, _) in CLASSES.items() if head in config.heads]
    return found[-1] if found else "XLNetModel"


def template(v: Vocabulary) -> Template | None:
    """A <sep> B <sep> <cls>; None where the vocabulary lacks one of them."""
    return None if None in (v.cls, v.sep) else xlnet_template(v)


XLNET = Family(
    model_type="xlnet",
    prefix="transformer.",
    base_model="XLNetModel",
    forward={name: _forward(outputs) for name, outputs in FORWARD.items()},
    inputs=lambda architecture: (
        (*INPUTS, "p_mask", "cls_index") if architecture == "XLNetForQuestionAnswering" else INPUTS
    ),
    ignored=r"(?!)",  # nothing
    null_fields=("mem_len", "reuse_len", "summary_activation"),
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"pad_token_id": 5, "bos_token_id": 1, "eos_token_id": 2},
    config_classes=(XLNetConfig,),
    architecture=architecture,
    tokenizer=TokenizerFormat(
        template,
        sentencepiece="XLNetTokenizer",
        settings=ACCENTS_AND_CASE | {"padding_side": "left"},  # the last token is the one that is classified
        lists_additional=True,
    ),
)

"""XLM. Legend: B batch, L length, D model width, H heads, K head width, N layers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from plmjax.data.templates import Template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, refuse
from plmjax.interop.heads import answer, beam_answer, label_fields, num_labels
from plmjax.interop.tokenizer_format import TokenizerFormat
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, heads_bias, heads_in, heads_out, layer_norm
from plmjax.modules import Bound
from plmjax.modules.positions import sinusoidal_table
from plmjax.modules.xlm import XLMConfig

DEFAULTS: JSON = {
    "vocab_size": 30145, "emb_dim": 2048, "n_layers": 12, "n_heads": 16, "dropout": 0.1, "attention_dropout": 0.1,
    "gelu_activation": True, "sinusoidal_embeddings": False, "causal": False, "n_langs": 1, "use_lang_emb": True,
    "max_position_embeddings": 512, "layer_norm_eps": 1e-12, "init_std": 0.02, "start_n_top": 5, "end_n_top": 5,
}  # fmt: skip
DEFAULT_EMBED_INIT_STD = 2048**-0.5
HEAD = "pred_layer.proj"
# The head and what its tensors' names begin with, as the classes are told apart.
CLASSES = {
    "token": ("XLMWithLMHeadModel", f"{HEAD}."),
    "sequence_classification": ("XLMForSequenceClassification", "sequence_summary."),
    "token_classification": ("XLMForTokenClassification", "classifier."),
    "beam_question_answering": ("XLMForQuestionAnswering", "qa_outputs.start_logits."),
    "question_answering": ("XLMForQuestionAnsweringSimple", "qa_outputs."),
}


def table(config: XLMConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """XLM's names."""
    layers, heads, native = config.num_layers, config.num_heads, "encoder/layers"
    width = config.d_model // heads
    attention = "transformer.attentions.{}"
    entries = [
        Entry(("embeddings/tokens/embedding",), "transformer.embeddings.weight", SAME, 0, (f"{HEAD}.weight",)),
        *layer_norm("embeddings/norm", "transformer.layer_norm_emb"),
        *layer_norm(f"{native}/attention_norm", "transformer.layer_norm1.{}", layers),
        *layer_norm(f"{native}/mlp_norm", "transformer.layer_norm2.{}", layers),
        *dense(f"{native}/attention/out", f"{attention}.out_lin", heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", "transformer.ffns.{}.lin1", LINEAR, layers),
        *dense(f"{native}/mlp/down", "transformer.ffns.{}.lin2", LINEAR, layers),
    ]
    for name in ("query", "key", "value"):
        kernel, bias = heads_out(heads, width), heads_bias(heads, width)
        entries += dense(f"{native}/attention/{name}", f"{attention}.{name[0]}_lin", kernel, layers, bias)
    if config.positions == "learned":
        entries.append(Entry(("embeddings/positions/embedding",), "transformer.position_embeddings.weight", SAME))
    if config.num_languages > 1:
        entries.append(Entry(("embeddings/token_types/embedding",), "transformer.lang_embeddings.weight", SAME))
    for head in config.heads:
        entries += _head_table(head)
    return entries


def _head_table(head: str) -> list[Entry]:
    match head:
        case "token":
            return [Entry(("token_head/bias",), f"{HEAD}.bias", SAME)]
        case "sequence_classification":
            return dense("class_head", "sequence_summary.summary", LINEAR)
        case "token_classification":
            return dense("tag_head", "classifier", LINEAR)
        case "question_answering":
            return dense("answer_head", "qa_outputs", LINEAR)
        case "beam_question_answering":
            native, hf = "beam_answer_head", "qa_outputs"
            return [
                *dense(f"{native}/start", f"{hf}.start_logits.dense", LINEAR),
                *dense(f"{native}/end_dense", f"{hf}.end_logits.dense_0", LINEAR),
                *layer_norm(f"{native}/end_norm", f"{hf}.end_logits.LayerNorm"),
                *dense(f"{native}/end_out", f"{hf}.end_logits.dense_1", LINEAR),
                *dense(f"{native}/class_dense", f"{hf}.answer_class.dense_0", LINEAR),
                Entry((f"{native}/class_out/kernel",), f"{hf}.answer_class.dense_1.weight", LINEAR),
            ]
    raise UserError(f"The head {head!r} has no place in Hugging Face's XLM: it can't be exported.")


def found(names: set[str]) -> list[str]:
    """The heads whose tensors are there."""
    heads = [head for head, (_, start) in CLASSES.items() if any(name.startswith(start) for name in names)]
    if "beam_question_answering" in heads:
        heads.remove("question_answering")  # whose name is the start of the other's
    return heads


def read_config(given: JSON, names: set[str]) -> XLMConfig:
    """The config of plmjax; its heads are those whose tensors are there."""
    refuse(given, "asm", False)
    refuse(given, "is_encoder", True)
    refuse(given, "pruned_heads", {})
    c = DEFAULTS | ({"vocab_size": given["n_words"]} if "n_words" in given else {}) | given
    heads = found(names)
    if "sequence_classification" in heads:
        refuse(given, "summary_type", "first")
        refuse(given, "summary_use_proj", True)
        refuse(given, "summary_activation", None)
        refuse(given, "summary_proj_to_labels", True)
    return XLMConfig(
        vocab_size=c["vocab_size"],
        num_languages=c["n_langs"] if c["use_lang_emb"] and c["n_langs"] > 1 else 0,
        max_positions=c["max_position_embeddings"],
        positions="sinusoidal" if c["sinusoidal_embeddings"] else "learned",
        causal=c["causal"],
        num_layers=c["n_layers"],
        num_heads=c["n_heads"],
        d_model=c["emb_dim"],
        d_ff=4 * c["emb_dim"],
        activation="gelu" if c["gelu_activation"] else "relu",
        norm_eps=c["layer_norm_eps"],
        dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
        embedding_init_std=c.get("embed_init_std", DEFAULT_EMBED_INIT_STD),
        init_std=c["init_std"],
        heads=tuple(heads),
        num_labels=num_labels(given),
        start_beams=c["start_n_top"],
        end_beams=c["end_n_top"],
    )


def write_config(config: XLMConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; UserError for a width or activation that Hugging Face's class can't have."""
    if config.d_ff != 4 * config.d_model:
        raise UserError(
            f"Hugging Face's XLM has feed-forward layers of 4 * d_model = {4 * config.d_model} units: one with d_ff="
            f"{config.d_ff} can't be exported."
        )
    if config.activation not in ("gelu", "relu"):
        raise UserError(f"Hugging Face's XLM has no activation {config.activation!r}: it can't be exported.")
    return {
        "vocab_size": config.vocab_size,
        "emb_dim": config.d_model,
        "n_layers": config.num_layers,
        "n_heads": config.num_heads,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "gelu_activation": config.activation == "gelu",
        "sinusoidal_embeddings": config.positions == "sinusoidal",
        "causal": config.causal,
        "n_langs": max(config.num_languages, 1),
        "use_lang_emb": config.num_languages > 1,
        "max_position_embeddings": config.max_positions,
        "embed_init_std": config.embedding_init_std or config.d_model**-0.5,
        "layer_norm_eps": config.norm_eps,
        "init_std": config.init_std,
        "start_n_top": config.start_beams,
        "end_n_top": config.end_beams,
        "pad_index": special.get(
            "pad_token_id", 2
        ),  # what Hugging Face's class takes for padding where no mask is given
        **label_fields(config),
    }


def fixed_positions(config: XLMConfig, architecture: str) -> dict[str, np.ndarray]:
    """Hugging Face's sinusoids lie in the file like a learned table."""
    if config.positions == "learned":
        return {}
    return {"transformer.position_embeddings.weight": sinusoidal_table(config.max_positions, config.d_model)}


def states(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Array:
    """[B, L, D]; without a mask the padding token is hidden. Without `langs` no language is added."""
    tokens_BL, mask_BL = inputs["input_ids"], inputs.get("attention_mask")
    if mask_BL is None and "pad_token_id" in special:
        # Hugging Face's class counts the tokens that are no padding and takes so many from the left.
        count_B1 = jnp.sum(tokens_BL != special["pad_token_id"], axis=1, keepdims=True)
        mask_BL = (jnp.arange(tokens_BL.shape[1])[None] < count_B1).astype(jnp.int32)
    return network.encode(tokens_BL, inputs.get("langs"), inputs.get("position_ids"), mask_BL)


def _forward(outputs: Any) -> Callable[[Bound, dict[str, Any], Mapping[str, int]], Outputs]:
    """The function of a class from what it makes of the states."""

    def run(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
        return outputs(network, states(network, inputs, special), inputs)

    return run


FORWARD = {
    "XLMModel": lambda network, x, inputs: {"last_hidden_state": x},
    "XLMWithLMHeadModel": lambda network, x, inputs: {"logits": network.token_logits(x)},
    "XLMForSequenceClassification": lambda network, x, inputs: {"logits": network.class_logits(x)},
    "XLMForTokenClassification": lambda network, x, inputs: {"logits": network.token_classification_logits(x)},
    "XLMForQuestionAnsweringSimple": answer,
    "XLMForQuestionAnswering": beam_answer,
}
INPUTS = ("input_ids", "attention_mask", "langs", "position_ids")


def architecture(config: XLMConfig) -> str:
    """The class that holds the network's head; the language model's where there are several."""
    return next((name for head, (name, _) in CLASSES.items() if head in config.heads), "XLMModel")


def choose(names: set[str], stated: str | None) -> str:
    """The class of the first head that is there, the language model's where there is one."""
    return next((CLASSES[head][0] for head in found(names)), "XLMModel")


def template(v: Vocabulary) -> Template | None:
    """</s> A </s> </s> B </s>: each side of a translation is between two ends of a sentence."""
    return None if v.eos is None else Template((v.eos,), (v.eos, v.eos), (v.eos,))


XLM = Family(
    model_type="xlm",
    prefix="transformer.",
    base_model="XLMModel",
    forward={name: _forward(outputs) for name, outputs in FORWARD.items()},
    inputs=lambda architecture: (
        (*INPUTS, "p_mask", "cls_index") if architecture == "XLMForQuestionAnswering" else INPUTS
    ),
    ignored=r"position_ids|position_embeddings\.weight",  # where it is fixed; a learned one is in the table
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1},
    config_classes=(XLMConfig,),
    architecture=architecture,
    # The merges of its own files are of words that Moses's scripts have split.
    tokenizer=TokenizerFormat(template, roles={"cls": "eos", "sep": "eos"}),
    constants=fixed_positions,
)

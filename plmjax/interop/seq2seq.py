"""Outputs that Hugging Face's encoder-decoders share, and labels that become the decoder's inputs.

Legend: B batch, L length of what the decoder reads, S of what the encoder reads, D model width, C classes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import Outputs
from plmjax.interop.heads import ANSWER, CLASS, Forward
from plmjax.interop.weight_map import LINEAR, Entry, dense
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.modules import Bound

ENCODER_INPUTS = ("input_ids", "attention_mask")
DECODER_INPUTS = ("decoder_input_ids", "decoder_attention_mask")
LABELS = ("labels",)
IGNORED = -100  # a label that has no loss

Inputs = dict[str, Array]
Shift = Callable[[Array, Mapping[str, int]], Array]
"""(labels [B, L], special ids) -> what the decoder reads to predict them [B, L]."""


def shift_right(labels_BL: Array, special: Mapping[str, int]) -> Array:
    """The decoder's start token, then the labels but for the last; ignored ones are padding."""
    start_B1 = jnp.full((labels_BL.shape[0], 1), special["decoder_start_token_id"], labels_BL.dtype)
    return jnp.concatenate([start_B1, _without_ignored(labels_BL, special)[:, :-1]], axis=1)


def rotate(labels_BL: Array, special: Mapping[str, int]) -> Array:
    """mBART's: the last label that is no padding, the language, comes first (Liu et al. 2020, Sec. 2.2)."""
    labels_BL = _without_ignored(labels_BL, special)
    last_B1 = (labels_BL != special["pad_token_id"]).sum(axis=1, keepdims=True) - 1
    return jnp.concatenate([jnp.take_along_axis(labels_BL, last_B1, axis=1), labels_BL[:, :-1]], axis=1)


def _without_ignored(labels_BL: Array, special: Mapping[str, int]) -> Array:
    return jnp.where(labels_BL == IGNORED, special["pad_token_id"], labels_BL)


def states(network: Bound, inputs: Inputs, special: Mapping[str, int], shift: Shift) -> tuple[Array, Array]:
    """The decoder's states [B, L, D] and the memory [B, S, D]; the decoder reads `labels`, or else what the encoder
    reads, shifted, where it is given nothing."""
    tokens_BL = inputs.get("decoder_input_ids")
    if tokens_BL is None:
        tokens_BL = shift(inputs.get("labels", inputs["input_ids"]), special)
    mask_BS = inputs.get("attention_mask")
    memory_BSD = network.encode(inputs["input_ids"], None, mask_BS)
    x_BLD = network.decode(tokens_BL, memory_BSD, mask_BS, None, inputs.get("decoder_attention_mask"))
    return x_BLD, memory_BSD


def base_model(network: Bound, inputs: Inputs, special: Mapping[str, int], *, shift: Shift) -> Outputs:
    """The states of both stacks."""
    x_BLD, memory_BSD = states(network, inputs, special, shift)
    return {"last_hidden_state": x_BLD, "encoder_last_hidden_state": memory_BSD}


def conditional_generation(network: Bound, inputs: Inputs, special: Mapping[str, int], *, shift: Shift) -> Outputs:
    """Scores of the next token, and the memory; with labels, the mean loss of those that are not ignored."""
    x_BLD, memory_BSD = states(network, inputs, special, shift)
    outputs = {"logits": network.token_logits(x_BLD), "encoder_last_hidden_state": memory_BSD}
    if "labels" not in inputs:
        return outputs
    labels_BL = inputs["labels"]
    counted_BL = (labels_BL != IGNORED).astype(jnp.float32)
    targets_BL = jnp.where(labels_BL == IGNORED, 0, labels_BL)
    head = network.token_head(x_BLD)
    rows = len(head.table)
    total = cross_entropy(head.h, head.table, head.bias, targets_BL, counted_BL, size=rows).total
    return outputs | {"loss": total.mean()}


def classify(network: Bound, inputs: Inputs, special: Mapping[str, int], *, shift: Shift) -> Outputs:
    """Scores of a text's classes [B, C], from the decoder's state at the place of the encoder's last EOS."""
    x_BLD, memory_BSD = states(network, inputs, special, shift)
    tokens_BS = inputs["input_ids"]
    positions_S = jnp.arange(tokens_BS.shape[1])
    last_B = jnp.where(tokens_BS == special["eos_token_id"], positions_S[None], 0).max(axis=1)
    return {"logits": network.class_logits(x_BLD, last_B), "encoder_last_hidden_state": memory_BSD}


def answer(network: Bound, inputs: Inputs, special: Mapping[str, int], *, shift: Shift) -> Outputs:
    """Scores of an answer's start and end at each of the decoder's tokens."""
    x_BLD, memory_BSD = states(network, inputs, special, shift)
    logits_BL2 = network.question_answering_logits(x_BLD)
    return {
        "start_logits": logits_BL2[..., 0],
        "end_logits": logits_BL2[..., 1],
        "encoder_last_hidden_state": memory_BSD,
    }


def forwards(base_class: str, writing_class: str, name: str, shift: Shift) -> dict[str, Forward]:
    """{class: forward} of the four classes that are an encoder-decoder whole."""
    return {
        base_class: partial(base_model, shift=shift),
        writing_class: partial(conditional_generation, shift=shift),
        name + CLASS: partial(classify, shift=shift),
        name + ANSWER: partial(answer, shift=shift),
    }


def check_ends(architecture: str, inputs: Mapping[str, np.ndarray], special: Mapping[str, int]) -> None:
    """Raises UserError for a row without the EOS at which its class is read, or with too few decoder tokens."""
    if not architecture.endswith(CLASS):
        return
    is_end_BS = inputs["input_ids"] == special["eos_token_id"]
    if not is_end_BS.any(axis=1).all():
        row = int(np.argmin(is_end_BS.any(axis=1)))
        raise UserError(
            f"Row {row} of input_ids has no EOS ({special['eos_token_id']}), at which {architecture} reads the class: "
            "end every text with it."
        )
    length = inputs.get("decoder_input_ids", inputs["input_ids"]).shape[1]
    if length != is_end_BS.shape[1]:
        raise UserError(
            f"decoder_input_ids are {length} tokens long and input_ids {is_end_BS.shape[1]}: {architecture} needs the "
            "same length, or no decoder_input_ids."
        )


def found_heads(names: set[str]) -> list[str]:
    """Those of "sequence_classification", "token_classification" and "question_answering" whose tensors are there."""
    marks = {
        "sequence_classification": "classification_head.",
        "token_classification": "classifier.",
        "question_answering": "qa_outputs.",
    }
    return [head for head, mark in marks.items() if any(name.startswith(mark) for name in names)]


def head_entries(heads: tuple[str, ...]) -> list[Entry]:
    """The tables of those three heads, as far as the network has them."""
    entries = []
    if "sequence_classification" in heads:
        entries += dense("class_head/dense", "classification_head.dense", LINEAR)
        entries += dense("class_head/out", "classification_head.out_proj", LINEAR)
    if "token_classification" in heads:
        entries += dense("tag_head", "classifier", LINEAR)
    if "question_answering" in heads:
        entries += dense("answer_head", "qa_outputs", LINEAR)
    return entries


def class_of_heads(heads: Any, classes: Mapping[str, str], without: str) -> str:
    """The first of {head: class} whose head is there; `without` where none is."""
    return next((name for head, name in classes.items() if head in heads), without)

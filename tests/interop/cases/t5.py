"""T5 1.0 and 1.1."""

from typing import Any

import numpy as np

from plmjax.interop.heads import TAG
from tests.interop.case import DECODER_LENGTH, ENDS, MEMORY, STATE, VOCABULARY, Arrays, Case, tokens_and_mask

T5 = {
    "vocab_size": VOCABULARY, "d_model": 36, "d_kv": 10, "d_ff": 53, "num_layers": 2, "num_decoder_layers": 3,
    "num_heads": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10,
    "decoder_start_token_id": 0,
}  # fmt: skip
T5_1_1 = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def decoder_inputs(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """The decoder's tokens, padded on the encoder's side."""
    side = "right" if mask[1, 0] else "left"
    decoder_tokens, decoder_mask = tokens_and_mask(rng, DECODER_LENGTH, side, pad=0)
    return {"decoder_input_ids": decoder_tokens, "decoder_attention_mask": decoder_mask}


def classifier(name: str, config: dict[str, Any], eos: int, version: str = "") -> Case:
    """The case of `<name>ForSequenceClassification`: every text has two EOS, the last of which is read."""

    def with_ends(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
        tokens = np.where(tokens == eos, eos + 1, tokens)
        for row, real in enumerate(mask):
            places = np.flatnonzero(real)
            tokens[row, [places[0], places[-1]]] = eos
        # Not of the padding token: torch keeps that row of BART's table as it is.
        decoder_tokens = np.where(mask == 1, rng.integers(3, VOCABULARY, mask.shape), 0)
        return {"input_ids": tokens, "decoder_input_ids": decoder_tokens, "decoder_attention_mask": mask}

    architecture = f"{name}ForSequenceClassification"
    config = config | {"num_labels": 3, "eos_token_id": eos}
    return Case(
        architecture, config, ("logits", MEMORY), architecture + version, pooled=("logits",), pooled_at=None, labels=3,
        extra=with_ends,
    )  # fmt: skip


CASES = []
for sizes, version in ((T5, ""), (T5_1_1, "-1.1")):
    CASES += [
        Case("T5Model", sizes, (STATE, MEMORY), f"T5Model{version}", extra=decoder_inputs),
        Case("T5EncoderModel", sizes, (STATE,), f"T5EncoderModel{version}"),
        Case(
            "T5ForConditionalGeneration", sizes, ("logits", MEMORY), f"T5ForConditionalGeneration{version}",
            extra=decoder_inputs,
        ),
        classifier("T5", sizes, 1, version),
        Case(f"T5{TAG}", sizes | {"num_labels": 3}, name=f"T5{TAG}{version}", labels=3),
        Case(
            "T5ForQuestionAnswering", sizes, (*ENDS, MEMORY), f"T5ForQuestionAnswering{version}",
            extra=decoder_inputs, own_loss=False,
        ),
    ]  # fmt: skip
GATED = T5 | {"feed_forward_proj": "gated-gelu"}
for name, sizes in (("MT5", T5_1_1), ("UMT5", GATED)):  # in transformers' class, UMT5's head is tied
    CASES += [
        Case(f"{name}Model", sizes, (STATE, MEMORY), extra=decoder_inputs),
        Case(f"{name}EncoderModel", sizes, (STATE,)),
        Case(f"{name}ForConditionalGeneration", sizes, ("logits", MEMORY), extra=decoder_inputs),
        classifier(name, sizes, 1),
    ]

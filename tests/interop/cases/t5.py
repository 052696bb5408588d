"""T5 1.0 and 1.1."""

import numpy as np

from tests.interop.case import DECODER_LENGTH, MEMORY, STATE, VOCABULARY, Arrays, Case, tokens_and_mask

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


CASES = [
    Case(name, config, outputs, f"{name}{version}", extra=None if outputs == (STATE,) else decoder_inputs)
    for config, version in ((T5, ""), (T5_1_1, "-1.1"))
    for name, outputs in (
        ("T5Model", (STATE, MEMORY)),
        ("T5EncoderModel", (STATE,)),
        ("T5ForConditionalGeneration", ("logits", MEMORY)),
    )
]

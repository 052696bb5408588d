"""BART, mBART and Marian."""

from tests.interop.case import MEMORY, STATE, VOCABULARY, Case
from tests.interop.cases.t5 import decoder_inputs

SIZES = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 17, "d_model": 36, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 53, "decoder_ffn_dim": 53,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
}  # fmt: skip
SCALED = SIZES | {"scale_embedding": True}
MARIAN = SCALED | {"activation_function": "swish"}
STATES, SCORES = (STATE, MEMORY), ("logits", MEMORY)

CASES = [
    Case("BartModel", SIZES, STATES, extra=decoder_inputs),
    Case("BartForConditionalGeneration", SIZES, SCORES, extra=decoder_inputs),
    Case("BartForConditionalGeneration", SCALED, SCORES, name="Bart-scaled", extra=decoder_inputs),
    Case("MBartModel", SCALED, STATES, extra=decoder_inputs),
    Case("MBartForConditionalGeneration", SCALED, SCORES, extra=decoder_inputs),
    Case("MarianModel", MARIAN, STATES, extra=decoder_inputs),
    Case("MarianMTModel", MARIAN, SCORES, extra=decoder_inputs),
]

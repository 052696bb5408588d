"""BART, mBART and Marian."""

from typing import Any

from tests.interop.case import ENDS, MEMORY, STATE, VOCABULARY, Case
from tests.interop.cases.t5 import classifier, decoder_inputs

SIZES = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 17, "d_model": 36, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 53, "decoder_ffn_dim": 53,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
}  # fmt: skip
SCALED = SIZES | {"scale_embedding": True}
UNLIKE = SIZES | {"decoder_attention_heads": 2, "decoder_ffn_dim": 31}
MARIAN = SCALED | {"activation_function": "swish"}
STATES, SCORES = (STATE, MEMORY), ("logits", MEMORY)
EOS = SIZES["eos_token_id"]
ALONE = {"encoder_layers": SIZES["decoder_layers"]}  # their cache of a decoder has as many layers as the encoder


def alike(name: str, config: dict[str, Any]) -> list[Case]:
    """The classes that BART and mBART have alike."""
    return [
        Case(f"{name}Model", config, STATES, extra=decoder_inputs),
        Case(f"{name}ForConditionalGeneration", config, SCORES, extra=decoder_inputs),
        classifier(name, config, EOS),
        Case(f"{name}ForQuestionAnswering", config, (*ENDS, MEMORY), extra=decoder_inputs, own_loss=False),
        Case(f"{name}ForCausalLM", config | ALONE, shifted=True, own_loss=False),
    ]


CASES = [
    *alike("Bart", SIZES),
    Case("BartForConditionalGeneration", SCALED, SCORES, name="Bart-scaled", extra=decoder_inputs),
    Case("BartForConditionalGeneration", UNLIKE, SCORES, name="Bart-unlike-sides", extra=decoder_inputs),
    Case("BartForCausalLM", UNLIKE | ALONE, name="BartForCausalLM-unlike-sides", shifted=True, own_loss=False),
    *alike("MBart", SCALED),
    Case("MBartForConditionalGeneration", SCALED | UNLIKE, SCORES, name="MBart-unlike-sides", extra=decoder_inputs),
    Case("MarianModel", MARIAN, STATES, extra=decoder_inputs),
    Case("MarianMTModel", MARIAN, SCORES, extra=decoder_inputs),
    Case("MarianForCausalLM", MARIAN | ALONE, shifted=True, own_loss=False),
]

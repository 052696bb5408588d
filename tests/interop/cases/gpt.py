"""GPT-1 and GPT-2."""

from tests.interop.case import STATE, VOCABULARY, Case

GPT = {"vocab_size": VOCABULARY, "n_positions": 17, "n_embd": 36, "n_layer": 2, "n_head": 3}
GPT2 = GPT | {"n_inner": 53, "bos_token_id": 2, "eos_token_id": 2}

CASES = [
    Case("GPT2Model", GPT2, (STATE,)),
    Case("GPT2LMHeadModel", GPT2, shifted=True),
    Case("OpenAIGPTModel", GPT, (STATE,)),
    Case("OpenAIGPTLMHeadModel", GPT, shifted=True),
]

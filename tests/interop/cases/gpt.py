"""GPT-1, GPT-2, GPT-Neo and CTRL."""

from tests.interop.case import STATE, VOCABULARY, Case

GPT = {"vocab_size": VOCABULARY, "n_positions": 17, "n_embd": 36, "n_layer": 2, "n_head": 3}
GPT2 = GPT | {"n_inner": 53, "bos_token_id": 2, "eos_token_id": 2}
# Its attention by PyTorch's own kernel, transformers' usual one, leaves the division out.
MISTRAL = GPT2 | {
    "n_layer": 3, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True,
    "attn_implementation": "eager",
}  # fmt: skip
CLASSES = {"pad_token_id": 0, "num_labels": 3}
CTRL = GPT | {"dff": 53}
NEO = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 17, "hidden_size": 36, "num_layers": 2, "num_heads": 3,
    "intermediate_size": 53, "attention_types": [[["global", "local"], 1]], "window_size": 3, "bos_token_id": 2,
    "eos_token_id": 2,
}  # fmt: skip
LOCAL = NEO | {"num_layers": 3, "attention_types": [[["local"], 3]], "window_size": 4}

CASES = [
    Case("CTRLModel", CTRL, (STATE,)),
    Case("CTRLLMHeadModel", CTRL, shifted=True),
    Case("CTRLForSequenceClassification", CTRL | CLASSES, pooled=("logits",), pooled_at=None, labels=3),
    Case("GPT2Model", GPT2, (STATE,)),
    Case("GPT2LMHeadModel", GPT2, shifted=True),
    Case(
        "GPT2LMHeadModel",
        MISTRAL,
        name="GPT2LMHeadModel-mistral",
        shifted=True,
    ),
    Case("GPT2ForSequenceClassification", GPT2 | CLASSES, pooled=("logits",), pooled_at=None, labels=3),
    Case("GPTNeoModel", NEO, (STATE,)),
    Case("GPTNeoForCausalLM", NEO, shifted=True),
    Case("GPTNeoForSequenceClassification", NEO | CLASSES, pooled=("logits",), pooled_at=None, labels=3),
    Case("GPTNeoForCausalLM", LOCAL, name="GPTNeoForCausalLM-local", shifted=True),
    Case("OpenAIGPTModel", GPT, (STATE,)),
    Case("OpenAIGPTLMHeadModel", GPT, shifted=True),
    Case("OpenAIGPTForSequenceClassification", GPT | CLASSES, pooled=("logits",), pooled_at=None, labels=3),
]

"""ModernBERT: five layers, which the pattern of global and local ones does not divide; windows of five tokens."""

from tests.interop.case import SIZES, STATE, VOCABULARY, Case, fine_tuned

MODERNBERT = SIZES | {
    "vocab_size": VOCABULARY, "num_hidden_layers": 5, "max_position_embeddings": 17, "local_attention": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2,
    "reference_compile": False, "global_rope_theta": 50.0, "local_rope_theta": 10.0,
}  # fmt: skip
MEAN = MODERNBERT | {"classifier_pooling": "mean", "num_labels": 3}

CASES = [
    Case("ModernBertModel", MODERNBERT, (STATE,)),
    Case("ModernBertForMaskedLM", MODERNBERT),
    *fine_tuned("ModernBert", MODERNBERT),
    Case("ModernBertForSequenceClassification", MEAN, name="ModernBert, mean", pooled=("logits",), labels=3),
]

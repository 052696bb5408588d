"""DistilBERT."""

from tests.interop.case import STATE, VOCABULARY, Case, fine_tuned

DISTILBERT = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 17, "n_layers": 2, "n_heads": 3, "dim": 36, "hidden_dim": 53,
}  # fmt: skip

CASES = [
    Case("DistilBertModel", DISTILBERT, (STATE,)),
    Case("DistilBertForMaskedLM", DISTILBERT),
    *fine_tuned("DistilBert", DISTILBERT),
]

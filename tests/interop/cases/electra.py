"""ELECTRA, with embeddings of the network's width and narrower ones."""

from tests.interop.case import SIZES, STATE, VOCABULARY, Case, fine_tuned, token_types

ELECTRA = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 17, "type_vocab_size": 2, "embedding_size": 23}
WIDE = ELECTRA | {"embedding_size": 36}

CASES = [
    Case("ElectraModel", ELECTRA, (STATE,), extra=token_types),
    Case("ElectraModel", WIDE, (STATE,), name="ElectraModel-wide", extra=token_types),
    Case("ElectraForMaskedLM", ELECTRA, extra=token_types),
    Case(
        "ElectraForMaskedLM",
        ELECTRA | {"hidden_act": "gelu_new"},
        name="ElectraForMaskedLM-gelu_new",
        extra=token_types,
    ),
    Case("ElectraForPreTraining", ELECTRA, extra=token_types, directed=True, own_loss=False),
    *fine_tuned("Electra", ELECTRA, token_types),
]

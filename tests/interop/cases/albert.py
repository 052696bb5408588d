"""ALBERT: one group and two, the map from embeddings of the network's own width too."""

from tests.interop.case import SIZES, STATE, VOCABULARY, Case, fine_tuned, token_types

ALBERT = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 17, "type_vocab_size": 2, "embedding_size": 23}
SOP = "sop_logits"

CASES = [
    Case("AlbertModel", ALBERT, (STATE, "pooler_output"), pooled=("pooler_output",), extra=token_types),
    Case("AlbertForMaskedLM", ALBERT | {"num_hidden_groups": 2}, name="AlbertForMaskedLM-2", extra=token_types),
    Case(
        "AlbertForMaskedLM",
        ALBERT | {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2},
        name="AlbertForMaskedLM-inner",
        extra=token_types,
    ),
    Case("AlbertForMaskedLM", ALBERT | {"embedding_size": 36}, extra=token_types),
    Case(
        "AlbertForPreTraining",
        ALBERT,
        ("prediction_logits", SOP),
        pooled=(SOP,),
        extra=token_types,
        label_names={SOP: "sentence_order_label"},
    ),
    *fine_tuned("Albert", ALBERT, token_types),
]

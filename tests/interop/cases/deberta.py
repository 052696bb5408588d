"""DeBERTa 1 with each of its position terms, and 2 and 3 with what each adds."""

from tests.interop.case import SIZES, STATE, VOCABULARY, Case, fine_tuned, token_types

V1 = SIZES | {
    "vocab_size": VOCABULARY, "max_position_embeddings": 17, "type_vocab_size": 2, "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"], "max_relative_positions": -1, "position_biased_input": False,
    "pooler_hidden_size": 36,
}  # fmt: skip
# 11 tokens go past the exact buckets, which end at 2, and into the logarithmic ones.
V2 = V1 | {"position_buckets": 4, "share_att_key": True, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0}
APART = V2 | {"share_att_key": False, "norm_rel_ebd": "none", "position_buckets": -1, "max_relative_positions": 5}

CASES = [
    Case("DebertaModel", V1, (STATE,), extra=token_types),
    Case("DebertaModel", V1 | {"pos_att_type": ["c2p"]}, (STATE,), name="DebertaModel-c2p", extra=token_types),
    Case("DebertaModel", V1 | {"pos_att_type": "p2c"}, (STATE,), name="DebertaModel-p2c", extra=token_types),
    Case("DebertaModel", V1 | {"position_biased_input": True}, (STATE,), name="DebertaModel-absolute"),
    Case("DebertaForMaskedLM", V1, extra=token_types),
    *fine_tuned("Deberta", V1, token_types),
    Case("DebertaV2Model", V2, (STATE,)),
    Case("DebertaV2Model", APART, (STATE,), name="DebertaV2Model-apart"),
    Case("DebertaV2Model", V2 | {"conv_kernel_size": 3, "conv_act": "gelu"}, (STATE,), name="DebertaV2Model-conv"),
    Case("DebertaV2ForMaskedLM", V2 | {"embedding_size": 23}),
    *fine_tuned("DebertaV2", V2),
]

"""BERT and RoBERTa."""

from tests.interop.case import SIZES, STATE, VOCABULARY, Case, fine_tuned, token_types

BERT = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 17, "type_vocab_size": 2}
ROBERTA = BERT | {"max_position_embeddings": 19, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
SENTENCE = "seq_relationship_logits"

CASES = [
    Case("BertModel", BERT, (STATE, "pooler_output"), pooled=("pooler_output",), extra=token_types),
    Case("BertForMaskedLM", BERT, extra=token_types),
    Case("BertForMaskedLM", BERT | {"hidden_act": "gelu_new"}, name="BertForMaskedLM-gelu_new", extra=token_types),
    Case("BertLMHeadModel", BERT, shifted=True, extra=token_types),
    Case("BertForNextSentencePrediction", BERT, pooled=("logits",), extra=token_types),
    Case(
        "BertForPreTraining",
        BERT,
        ("prediction_logits", SENTENCE),
        pooled=(SENTENCE,),
        extra=token_types,
        label_names={SENTENCE: "next_sentence_label"},
    ),
    *fine_tuned("Bert", BERT, token_types),
    Case("RobertaModel", ROBERTA, (STATE, "pooler_output"), pooled=("pooler_output",)),
    Case("RobertaForMaskedLM", ROBERTA),
    *fine_tuned("Roberta", ROBERTA),
]

"""XLM, with languages, and XLM-RoBERTa, which is RoBERTa under another name."""

from typing import Any

import numpy as np

from tests.interop.case import ENDS, SIZES, STATE, VOCABULARY, Arrays, Case, fine_tuned

XLM: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "emb_dim": 36,
    "n_layers": 2,
    "n_heads": 3,
    "n_langs": 4,
    "max_position_embeddings": 17,
    "embed_init_std": 0.1,
}
XLMR = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 19, "type_vocab_size": 1, "pad_token_id": 1}
BEAM = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits")


def languages(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """A language for each token, and positions that start again in the middle, as of translations."""
    length = mask.shape[1]
    positions = np.broadcast_to(np.r_[np.arange(length // 2), np.arange(length - length // 2)], mask.shape)
    return {"langs": rng.integers(0, 4, mask.shape), "position_ids": positions}


def no_padding(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Causal XLM of transformers reads padding on the left; ours does not."""
    whole = np.ones_like(mask) if not mask[1, 0] else mask
    return languages(rng, tokens, mask) | {"attention_mask": whole}


def no_answer_in_padding(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Languages, where no answer may stand, and [CLS] at the last real token."""
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return languages(rng, tokens, mask) | {"p_mask": (1.0 - mask).astype(np.float32), "cls_index": last}


THREE = XLM | {"num_labels": 3}
CASES = [
    Case("XLMModel", XLM, (STATE,), extra=languages),
    Case("XLMModel", XLM | {"n_langs": 1}, (STATE,), name="XLMModel-one-language"),
    Case("XLMModel", XLM | {"causal": True}, (STATE,), name="XLMModel-causal", extra=no_padding),
    Case("XLMWithLMHeadModel", XLM, extra=languages),
    Case("XLMWithLMHeadModel", XLM | {"gelu_activation": False}, name="XLMWithLMHeadModel-no-languages-given"),
    Case("XLMWithLMHeadModel", XLM | {"causal": True}, name="XLMWithLMHeadModel-causal", extra=no_padding),
    Case("XLMForSequenceClassification", THREE, pooled=("logits",), labels=3, extra=languages),
    Case("XLMForTokenClassification", THREE, labels=3, extra=languages),
    Case("XLMForQuestionAnsweringSimple", XLM, ENDS, extra=languages, own_loss=False),
    Case(
        "XLMForQuestionAnswering",
        XLM | {"start_n_top": 3, "end_n_top": 2},
        BEAM,
        pooled=BEAM,
        pooled_at=None,
        directed=True,
        extra=no_answer_in_padding,
        own_loss=False,
    ),
    Case("XLMRobertaModel", XLMR, (STATE, "pooler_output"), pooled=("pooler_output",)),
    Case("XLMRobertaForMaskedLM", XLMR),
    *fine_tuned("XLMRoberta", XLMR),
]

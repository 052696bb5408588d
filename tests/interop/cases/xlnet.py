"""XLNet: with a random order and predicted tokens, and as it is fine-tuned. Memory: test_xlnet.py."""

from typing import Any

import numpy as np

from tests.interop.case import ENDS, STATE, VOCABULARY, Arrays, Case

XLNET: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 36,
    "n_layer": 2,
    "n_head": 3,
    "d_inner": 53,
    "use_mems_eval": False,
    "pad_token_id": 0,
}
BEAM = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits")
PREDICTED = 4


def types(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Token types of A, B and [CLS]."""
    return {"token_type_ids": rng.integers(0, 3, mask.shape)}


def random_order(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Types, a random perm_mask, and distinct predicted tokens that see something."""
    batch, length = mask.shape
    hidden = (rng.random((batch, length, length)) < 0.5).astype(np.float32)
    mapping = np.zeros((batch, PREDICTED, length), np.float32)
    for row in range(batch):
        real = np.flatnonzero(mask[row])
        chosen = rng.choice(real, min(PREDICTED, len(real)), replace=False)
        mapping[row, np.arange(len(chosen)), chosen] = 1
        hidden[row, chosen, real[0]] = 0  # transformers takes the mean of everything where nothing is seen
    return types(rng, tokens, mask) | {"perm_mask": hidden, "target_mapping": mapping}


def order_alone(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """A random perm_mask for the content stream."""
    return {"perm_mask": random_order(rng, tokens, mask)["perm_mask"]}


def no_answer_in_padding(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Types, where no answer may stand, and [CLS] at the last real token."""
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return types(rng, tokens, mask) | {"p_mask": (1.0 - mask).astype(np.float32), "cls_index": last}


THREE = XLNET | {"num_labels": 3}
CASES = [
    Case("XLNetModel", XLNET, (STATE,), extra=types),
    Case("XLNetModel", XLNET, (STATE,), name="XLNetModel-order", extra=order_alone),
    Case("XLNetModel", XLNET, (STATE,), name="XLNetModel-two-streams", extra=random_order),
    Case("XLNetLMHeadModel", XLNET, extra=types),
    Case("XLNetLMHeadModel", XLNET, name="XLNetLMHeadModel-two-streams", extra=random_order),
    Case(
        "XLNetLMHeadModel",
        XLNET | {"clamp_len": 4, "ff_activation": "relu"},
        name="XLNetLMHeadModel-clamped",
        extra=random_order,
    ),
    Case("XLNetForSequenceClassification", THREE, pooled=("logits",), pooled_at=-1, labels=3, extra=types),
    Case("XLNetForTokenClassification", THREE, labels=3, extra=types),
    Case("XLNetForQuestionAnsweringSimple", XLNET, ENDS, extra=types, own_loss=False),
    Case(
        "XLNetForQuestionAnswering",
        XLNET | {"start_n_top": 3, "end_n_top": 2},
        BEAM,
        pooled=BEAM,
        pooled_at=None,
        directed=True,
        extra=no_answer_in_padding,
        own_loss=False,
    ),
]

"""What a family gives to be compared with `transformers`: a class, a tiny configuration, the outputs that count."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

VOCABULARY, LENGTH, DECODER_LENGTH = 101, 11, 7
SIZES = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 53}
STATE, MEMORY = "last_hidden_state", "encoder_last_hidden_state"
ENDS = ("start_logits", "end_logits")

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A class, its configuration, and the outputs to compare.

    Attributes:
        architecture: the class of `transformers`.
        config: of the class's configuration.
        outputs: names of the outputs to compare.
        name: of the case, where one class has several.
        pooled: of the outputs, those with no axis of positions.
        pooled_at: the token that they are read from, which must be real for them to mean something; None: none.
        labels: how many classes the logits tell apart; None: 2 for what is pooled, else the vocabulary's.
        shifted: logits predict the next token, and the class's own loss takes the inputs as labels.
        extra: (generator, tokens, mask) -> further inputs.
        label_names: the class's argument that takes the labels of an output, where it is not "labels".
        directed: gradients are taken of a fixed random product of the outputs, as of states, not of a cross-entropy.
        own_loss: whether the class's own loss is the cross-entropy of its logits at the places that count.
    """

    architecture: str
    config: dict[str, Any]
    outputs: tuple[str, ...] = ("logits",)
    name: str = ""
    pooled: tuple[str, ...] = field(default=())
    pooled_at: int | None = 0
    labels: int | None = None
    shifted: bool = False
    extra: Callable[[np.random.Generator, np.ndarray, np.ndarray], Arrays] | None = None
    label_names: dict[str, str] = field(default_factory=dict)
    directed: bool = False
    own_loss: bool = True

    def __str__(self) -> str:
        return self.name or self.architecture


def tokens_and_mask(rng: np.random.Generator, length: int, side: str, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Three rows, the first without padding, the others padded on `side`."""
    mask = np.ones((3, length), np.int64)
    for row, count in ((1, 2), (2, length - 3)):
        mask[row, : count if side == "left" else 0] = 0
        mask[row, length - (count if side == "right" else 0) :] = 0
    return np.where(mask == 1, rng.integers(3, VOCABULARY, mask.shape), pad), mask


def token_types(rng: np.random.Generator, tokens: np.ndarray, mask: np.ndarray) -> Arrays:
    """Token types of two kinds, 0 at padding."""
    return {"token_type_ids": rng.integers(0, 2, mask.shape) * mask}


def fine_tuned(name: str, config: dict[str, Any], extra: Any = None) -> list[Case]:
    """The cases of `<name>ForSequenceClassification`, `ForTokenClassification` and `ForQuestionAnswering`."""
    three = config | {"num_labels": 3}
    return [
        Case(f"{name}ForSequenceClassification", three, pooled=("logits",), labels=3, extra=extra),
        Case(f"{name}ForTokenClassification", three, labels=3, extra=extra),
        Case(f"{name}ForQuestionAnswering", config, ENDS, extra=extra, own_loss=False),
    ]

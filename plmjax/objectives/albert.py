"""ALBERT's pre-training: runs of words masked, plus the order of two segments (Lan et al. 2020, Sec. 3.1)."""

from dataclasses import dataclass, field
from typing import Any

from plmjax.data.windows import SentenceOrderPair
from plmjax.objectives.base import EncoderObjective, Part
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.sentence_pair import SentenceOrder


def _masking() -> Masking:
    return Masking(choice="ngrams")


@dataclass(slots=True)
class AlbertPretraining(EncoderObjective):
    """Masked LM on n-grams + sentence order, their losses added as they are."""

    window: Any = field(default_factory=SentenceOrderPair)
    masking: Masking = field(default_factory=_masking)
    sentence_order: SentenceOrder = field(default_factory=SentenceOrder)
    static: bool = False  # True: an example has the same mask in every epoch

    def parts(self) -> tuple[Part, ...]:
        return (self.masking, self.sentence_order)

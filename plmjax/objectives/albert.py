"""ALBERT's pre-training: runs of words masked, plus the order of two segments (Lan et al. 2020, Sec. 3.1)."""

from dataclasses import dataclass, field
from typing import Any

from plmjax.data.windows import SentenceOrderPair
from plmjax.objectives.base import EncoderObjective, LossTerm
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.sentence_pair import SentenceOrderPrediction


def _masking() -> Masking:
    return Masking(strategy="ngrams")


@dataclass(slots=True)
class AlbertPretraining(EncoderObjective):
    """Masked LM on n-grams + sentence order, their losses added as they are."""

    window: Any = field(default_factory=SentenceOrderPair)
    masking: Masking = field(default_factory=_masking)
    sentence_order: SentenceOrderPrediction = field(default_factory=SentenceOrderPrediction)
    static: bool = False  # True: an example has the same mask in every epoch

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking, self.sentence_order)

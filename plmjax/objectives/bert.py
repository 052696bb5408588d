"""BERT's pre-training: masked LM plus next-sentence prediction on pairs of segments (Devlin et al. 2018, Sec. 3.1)."""

from dataclasses import dataclass, field
from typing import Any

from plmjax.data.windows import SegmentPair
from plmjax.objectives.base import EncoderObjective, LossTerm
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.sentence_pair import NextSentencePrediction


@dataclass(slots=True)
class BertPretraining(EncoderObjective):
    """Masked LM + next sentence, their losses added as they are.

    The released data were prepared once: `static=True` with `window.duplicates=10` gives that, ten pairings and masks
    of each text, repeated.
    """

    window: Any = field(default_factory=SegmentPair)
    masking: Masking = field(default_factory=Masking)
    next_sentence: NextSentencePrediction = field(default_factory=NextSentencePrediction)
    static: bool = False  # True: an example has the same mask in every epoch

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking, self.next_sentence)

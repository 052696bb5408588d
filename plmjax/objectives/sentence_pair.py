"""Pairs of segments classified from the pooled first position: BERT's next sentence, ALBERT's sentence order."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.modules.encoder import EncoderOutput
from plmjax.objectives.base import Example, Losses, binary_metrics


@dataclass(slots=True)
class SentencePairTerm:
    """The loss term that predicts the window's `sentence_label`."""

    name: ClassVar[str]

    @property
    def heads(self) -> tuple[str, ...]:
        return ("next_sentence",)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("token_types", "sentence_label")

    def check(self, vocabulary: Vocabulary) -> None:
        """Nothing beyond what its window needs."""

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return {}

    def losses(
        self, network: Any, encoding: EncoderOutput, batch: Example, vocabulary: Vocabulary, train: bool
    ) -> Losses:
        # A row that only fills up the last batch has no segment.
        is_real_B = jnp.any(batch["segments"] > 0, axis=-1).astype(jnp.float32)
        labels_B = batch["sentence_label"]
        loss = softmax_cross_entropy(network.next_sentence_logits(encoding.x_BLD), labels_B, is_real_B)
        return {self.name: loss.total}, binary_metrics(self.name, loss.correct, labels_B, is_real_B)


@dataclass(slots=True)
class NextSentencePrediction(SentencePairTerm):
    """Does segment B follow A (label 0) or is it random (label 1) (Devlin et al. 2018, Sec. 3.1)?"""

    name: ClassVar[str] = "next_sentence"


@dataclass(slots=True)
class SentenceOrderPrediction(SentencePairTerm):
    """Are the two segments in order (label 0) or swapped (label 1) (Lan et al. 2020, Sec. 3.1)?"""

    name: ClassVar[str] = "sentence_order"

"""Next-sentence prediction: does the second segment follow the first (Devlin et al. 2018, Sec. 3.1)?"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from plmjax.losses.classification import softmax_cross_entropy
from plmjax.modules.encoder import Encoding
from plmjax.objectives.base import Example, Losses, binary_metrics


@dataclass(slots=True)
class NextSentence:
    """The part that tells from the pooled first position whether segment B follows A (label 0) or is random (label
    1)."""

    @property
    def heads(self) -> tuple[str, ...]:
        return ("sentence",)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("token_types", "sentence_label")

    def check(self, vocabulary: Any) -> None:
        """Nothing beyond what its window needs."""

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Any) -> Example:
        return {}

    def losses(self, network: Any, encoding: Encoding, batch: Example, vocabulary: Any, train: bool) -> Losses:
        # A row that only fills up the last batch has no segment.
        is_real_B = jnp.any(batch["segments"] > 0, axis=-1).astype(jnp.float32)
        loss = softmax_cross_entropy(network.sentence_logits(encoding.x_BLD), batch["sentence_label"], is_real_B)
        metrics = binary_metrics("next_sentence", loss.correct, batch["sentence_label"], is_real_B)
        return {"next_sentence": loss.total}, metrics

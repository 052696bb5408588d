"""SpanBERT's pre-training: spans masked, and predicted from their boundaries too (Joshi et al. 2020, Secs. 3.1-3.3).

Legend: B batch, L length, M masked positions per example, D model width.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import DocSentences
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.modules.encoder import EncoderOutput
from plmjax.noise.span_masking import boundaries, run_span_ids
from plmjax.objectives.base import EncoderObjective, Example, Losses, LossTerm, token_metrics
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.masking_strategies import MaskableText


@dataclass(slots=True)
class SpanBertMasking(Masking):
    """Masking by spans that also says where the boundaries of each masked token's span are."""

    strategy: str = "spans"
    max_offset: int = 15  # tokens of a span that are predicted from its boundaries, as released

    def check(self, vocabulary: Vocabulary) -> None:
        Masking.check(self, vocabulary)
        if self.max_offset < 1:
            raise UserError(f"objective.masking.max_offset is {self.max_offset}; give at least 1.")

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        masked = Masking.corrupt(self, key, example, vocabulary)
        text = MaskableText.of(example, vocabulary)
        runs_L = run_span_ids(masked["span_ids"] > 0)  # words that touch have one boundary
        found = boundaries(runs_L, text.candidates_L, masked["masked_positions"], masked["weights"], self.max_offset)
        return masked | {f"boundary_{name}": value for name, value in found._asdict().items()}


@dataclass(slots=True)
class SpanBoundary:
    """The loss term that predicts each masked token from the two tokens beside its span and its place in the span."""

    @property
    def heads(self) -> tuple[str, ...]:
        return ("span",)

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def check(self, vocabulary: Vocabulary) -> None:
        """The masking has checked what there is."""

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return {}

    def losses(
        self, network: Any, encoding: EncoderOutput, batch: Example, vocabulary: Vocabulary, train: bool
    ) -> Losses:
        def at(positions_BM: jax.Array) -> jax.Array:
            return jnp.take_along_axis(encoding.x_BLD, positions_BM[..., None], axis=1)

        weights_BM = batch["boundary_weights"]
        head = network.boundary_head(at(batch["boundary_left"]), at(batch["boundary_right"]), batch["boundary_offsets"])
        loss = cross_entropy(head.h, head.table, head.bias, batch["targets"], weights_BM, size=vocabulary.size)
        return {"span_boundary": loss.total}, token_metrics("span_boundary", loss.correct, weights_BM)


@dataclass(slots=True)
class SpanBertPretraining(EncoderObjective):
    """Masked LM on spans + the span-boundary objective, on single stretches of text.

    In the paper's Table 7, `masked_lm` with `masking.strategy=spans` and this window is "1seq", and `bert` with that
    strategy is "2seq + NSP".
    """

    window: Any = field(default_factory=DocSentences)
    masking: SpanBertMasking = field(default_factory=SpanBertMasking)
    span_boundary: SpanBoundary = field(default_factory=SpanBoundary)
    static: bool = False  # True: an example has the same mask in every epoch

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking, self.span_boundary)

"""Masked language modelling: tokens are hidden and predicted from both sides.

BERT (Devlin et al. 2018, Sec. 3.1): 15% of the tokens, of which 80% become the mask, 10% a random token, 10% stay.
RoBERTa (Liu et al. 2019, Secs. 4.1 and 4.2): masks drawn anew whenever a sequence is read, on full sentences, with
no other loss.

Legend: B batch, L length, M masked positions per example, D model width.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import FullSentences
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.modules.encoder import EncoderOutput
from plmjax.noise import masking
from plmjax.objectives.base import (
    EncoderObjective,
    Example,
    Losses,
    LossTerm,
    check_rate,
    check_share,
    group_metrics,
    token_metrics,
)
from plmjax.objectives.masking_strategies import MaskableText, MaskingStrategies

RANDOM_TOKENS = ("uniform", "unigram")


@dataclass(slots=True)
class Masking:
    """The loss term that masks tokens and predicts them.

    BERT's Table 8 varies the shares; tokens neither masked nor random stay. BERT's code draws random tokens uniformly
    (google-research/bert, create_pretraining_data.py:401), SpanBERT's as often as they are in the text
    (facebookresearch/SpanBERT, pretraining/fairseq/data/masking.py:269); of the papers neither says.
    """

    rate: float = 0.15  # tokens predicted, of all real ones, special ones counted
    mask_share: float = 0.8  # of these, the share that becomes the mask
    random_share: float = 0.1  # and that becomes a random ordinary token
    random_tokens: str = "uniform"  # all as likely (BERT), or "unigram", by their counts in the text (SpanBERT's code)
    strategy: str = "tokens"  # how they are chosen, by a name of objectives/masking_strategies.py
    strategies: MaskingStrategies = field(default_factory=MaskingStrategies)  # the settings of those that have some

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("phrases",) if self.strategy == "phrases" else ()

    def max_predictions(self, length: int) -> int:
        """M: 19 at length 128 and 77 at 512 for the rate of .15."""
        return self.strategies.named(self.strategy).max_predictions(length, self.rate)

    def check(self, vocabulary: Vocabulary) -> None:
        check_rate("objective.masking.rate", self.rate)
        check_share("objective.masking.mask_share", self.mask_share)
        check_share("objective.masking.random_share", self.random_share, high=1 - self.mask_share)
        if self.random_tokens not in RANDOM_TOKENS:
            raise UserError(
                f"objective.masking.random_tokens is {self.random_tokens!r}; it must be one of "
                f"{', '.join(RANDOM_TOKENS)}."
            )
        if self.random_tokens == "unigram" and vocabulary.token_counts is None:
            raise UserError(
                "objective.masking.random_tokens is 'unigram', which needs the counts of a token store's text; set it "
                "to 'uniform'."
            )
        vocabulary.require("mask")
        self.strategies.named(self.strategy).check(vocabulary)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        strategy_key, replacement_key = jax.random.split(key)
        tokens_L = example["tokens"]
        strategy, text = self.strategies.named(self.strategy), MaskableText.of(example, vocabulary)
        span_ids_L = strategy.span_ids(strategy_key, text, strategy.budget(text, self.rate))
        masked = masking.mask_tokens(
            replacement_key,
            tokens_L,
            span_ids_L,
            predictions=self.max_predictions(len(tokens_L)),
            mask=vocabulary.mask,
            non_special_R=vocabulary.non_special,
            counts_R=self._counts(vocabulary),
            mask_share=self.mask_share,
            random_share=self.random_share,
        )
        return masked._asdict() | {"span_ids": span_ids_L}

    def _counts(self, vocabulary: Vocabulary) -> np.ndarray | None:
        """How often each ordinary token is in the text, where random ones are drawn so."""
        if self.random_tokens == "uniform":
            return None
        return np.asarray(vocabulary.token_counts)[vocabulary.non_special]

    def losses(
        self, network: Any, encoding: EncoderOutput, batch: Example, vocabulary: Vocabulary, train: bool
    ) -> Losses:
        loss = self.token_loss(network, encoding, batch, vocabulary)
        return {"masked_lm": loss.total}, token_metrics("masked_lm", loss.correct, batch["weights"])

    def token_loss(self, network: Any, encoding: EncoderOutput, batch: Example, vocabulary: Vocabulary) -> TokenLoss:
        """The loss of each masked token, [B, M]."""
        # Only the masked positions go through the head: a seventh of the logits.
        x_BMD = jnp.take_along_axis(encoding.tokens_BLD, batch["masked_positions"][..., None], axis=1)
        head = network.token_head(x_BMD)
        return cross_entropy(head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size)


@dataclass(slots=True)
class MaskedLM(EncoderObjective):
    """Masked LM alone, as RoBERTa is trained."""

    window: Any = field(default_factory=FullSentences)
    masking: Masking = field(default_factory=Masking)
    static: bool = False  # True: an example has the same mask in every epoch, as BERT's prepared data have

    @property
    def groups(self) -> tuple[str, ...]:
        """See base.Grouped."""
        return ()

    def group_numbers(self, batch: Example) -> jax.Array:
        """int32, broadcasts to [B, M]: the group of each target."""
        return batch["group"][:, None]

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking,)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        if train or not self.groups:
            return EncoderObjective.losses(self, network, batch, vocabulary, train)
        loss = self.masking.token_loss(network, self.encoding(network, batch), batch, vocabulary)
        metrics = token_metrics("masked_lm", loss.correct, batch["weights"])
        metrics |= group_metrics(self.groups, loss, batch["weights"], self.group_numbers(batch))
        return {"masked_lm": loss.total}, metrics

"""Language modelling in several languages: CLM, MLM and TLM (XLM, Lample & Conneau 2019, Sec. 3).

MLM reads streams of one language; TLM is the same over translations, so that a masked word may be found in the other
language; the window says which, or both. The network is told the language of each token as its token type.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import LanguageStreams, StreamsAndTranslations
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import TokenLoss
from plmjax.losses.weighted import Weighted
from plmjax.objectives.base import EncoderObjective, Example, Losses, LossTerm, check_fit, token_metrics
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.masked_lm import Masking

STREAM, TRANSLATION = "masked_lm", "translation_lm"


@dataclass(slots=True)
class CrossLingualLM(EncoderObjective):
    """MLM on LanguageStreams, TLM on TranslationPairs, or both on StreamsAndTranslations.

    One loss, `masked_lm`, for all. Validation gives it by language too: `masked_lm_<language>` of the streams,
    `translation_lm_<language>` of the tokens of that language in translations, with accuracies and perplexities.
    """

    window: Any = field(default_factory=StreamsAndTranslations)
    masking: Masking = field(default_factory=lambda: Masking(strategy="any_tokens"))
    static: bool = False  # True: an example has the same mask in every epoch
    languages: tuple[str, ...] = ()  # of the store; filled in when the run starts

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking,)

    @property
    def perplexities(self) -> tuple[str, ...]:
        """Metrics of which a validation gives the perplexity."""
        return tuple(f"{name}_{language}" for name in (STREAM, TRANSLATION) for language in self.languages)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        require_languages(self, network_config)
        check_fit(self, network_config, kind, length, ("token_types", "translation"))
        EncoderObjective.check(self, network_config, kind, vocabulary, length)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        encoding = network.encode_for_tokens(
            batch["tokens"], batch["token_types"], batch["positions"], batch["segments"]
        )
        loss = self.masking.token_loss(network, encoding, batch, vocabulary)
        metrics = token_metrics(STREAM, loss.correct, batch["weights"])
        if not train:
            languages_BM = jnp.take_along_axis(batch["token_types"], batch["masked_positions"], axis=1)
            is_translation_B1 = batch["translation"][:, None]
            for name, kind in ((STREAM, 0), (TRANSLATION, 1)):
                weights_BM = batch["weights"] * (is_translation_B1 == kind)
                metrics |= by_language(name, loss, weights_BM, languages_BM, self.languages)
        return {STREAM: loss.total}, metrics


@dataclass(slots=True)
class CrossLingualCausalLM(CausalLM):
    """CLM: each token of a stream from those before it. Validation gives `causal_lm_<language>` too."""

    window: Any = field(default_factory=lambda: LanguageStreams(overlap=1))
    languages: tuple[str, ...] = ()  # of the store; filled in when the run starts

    # The windows of a stream have one language, so that inputs and targets are of the same.
    NAME: ClassVar[str] = "causal_lm"

    @property
    def perplexities(self) -> tuple[str, ...]:
        """As CrossLingualLM's."""
        return tuple(f"{self.NAME}_{language}" for language in self.languages)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        require_languages(self, network_config)
        CausalLM.check(self, network_config, kind, vocabulary, length)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return CausalLM.corrupt(self, key, example, vocabulary) | {"token_types": example["token_types"][:-1]}

    def states(self, network: Any, batch: Example) -> jax.Array:
        """As CausalLM's; the network is told the languages."""
        return network.decode(
            batch["tokens"], batch["positions"], batch["segments"], token_types_BL=batch["token_types"]
        )

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        loss = self.token_loss(network, self.states(network, batch), batch, vocabulary, train)
        metrics = token_metrics(self.NAME, loss.correct, batch["weights"])
        if not train:
            metrics |= by_language(self.NAME, loss, batch["weights"], batch["token_types"], self.languages)
        return {self.NAME: loss.total}, metrics


def by_language(
    name: str, loss: TokenLoss, weights: jax.Array, languages: jax.Array, names: Sequence[str]
) -> dict[str, Weighted]:
    """{`name`_<language>: loss, and its accuracy} of the targets of each language.

    Args:
        loss, weights, languages: of each target; float32, float32 and int32 of one shape.
        names: of the languages, by id.
    """
    metrics: dict[str, Weighted] = {}
    for number, language in enumerate(names):
        own = weights * (languages == number)
        metrics[f"{name}_{language}"] = Weighted.of(loss.loss, own)
        metrics |= token_metrics(f"{name}_{language}", loss.correct, own)
    return metrics


def require_languages(objective: Any, network_config: Any) -> None:
    """UserError where the network can't be told the language of a token."""
    if not hasattr(network_config, "num_languages"):
        raise UserError(
            f"The objective {type(objective).__name__} tells the network each token's language, which "
            f"{type(network_config).__name__} has no table for; choose XLMConfig."
        )

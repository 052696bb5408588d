"""Language modelling in several languages: CLM, MLM and TLM (XLM, Lample & Conneau 2019, Sec. 3).

MLM reads streams of one language; TLM is the same over translations, so that a masked word may be found in the other
language; the window says which, or both. The network is told the language of each token as its token type.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import LanguageStreams, StreamsAndTranslations
from plmjax.errors import UserError
from plmjax.modules.facts import num_languages_of
from plmjax.objectives.base import Example, check_fit
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.masked_lm import MaskedLM, Masking

STREAM, TRANSLATION = "masked_lm", "translation_lm"


@dataclass(slots=True)
class CrossLingualLM(MaskedLM):
    """MLM on LanguageStreams, TLM on TranslationPairs, or both on StreamsAndTranslations.

    One loss, `masked_lm`, for all. Validation gives it by language too: `masked_lm_<language>` of the streams,
    `translation_lm_<language>` of the tokens of that language in translations, with accuracies and perplexities.
    """

    window: Any = field(default_factory=StreamsAndTranslations)
    masking: Masking = field(default_factory=lambda: Masking(strategy="any_tokens"))
    static: bool = False  # True: an example has the same mask in every epoch
    languages: tuple[str, ...] = ()  # of the store; filled in when the run starts

    @property
    def groups(self) -> tuple[str, ...]:
        """Streams by language, then translations by language."""
        return tuple(f"{name}_{language}" for name in (STREAM, TRANSLATION) for language in self.languages)

    def group_numbers(self, batch: Example) -> jax.Array:
        """int32 [B, M]: by the language of each target, and whether it stands in a translation."""
        languages_BM = jnp.take_along_axis(batch["token_types"], batch["masked_positions"], axis=1)
        return languages_BM + len(self.languages) * batch["translation"][:, None]

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        require_languages(self, network_config)
        check_fit(self, network_config, kind, length, ("token_types", "translation"))
        MaskedLM.check(self, network_config, kind, vocabulary, length)


@dataclass(slots=True)
class CrossLingualCausalLM(CausalLM):
    """CLM: each token of a stream from those before it. Validation gives `causal_lm_<language>` too."""

    window: Any = field(default_factory=lambda: LanguageStreams(overlap=1))
    languages: tuple[str, ...] = ()  # of the store; filled in when the run starts

    # The windows of a stream have one language, so that inputs and targets are of the same.
    NAME: ClassVar[str] = "causal_lm"

    @property
    def groups(self) -> tuple[str, ...]:
        """The loss by language."""
        return tuple(f"{self.NAME}_{language}" for language in self.languages)

    def group_numbers(self, batch: Example) -> jax.Array:
        """int32 [B, L]: the language of each token."""
        return batch["token_types"]

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        require_languages(self, network_config)
        CausalLM.check(self, network_config, kind, vocabulary, length)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return CausalLM.corrupt(self, key, example, vocabulary) | {"token_types": example["token_types"][:-1]}

    def states(self, network: Any, batch: Example) -> jax.Array:
        """[B, L, D], as CausalLM's; the network is told the languages."""
        return network.decode(
            batch["tokens"], batch["positions"], batch["segments"], token_types_BL=batch["token_types"]
        )


def require_languages(objective: Any, network_config: Any) -> None:
    """UserError where the network can't be told the language of a token."""
    if num_languages_of(network_config) is None:
        raise UserError(
            f"The objective {type(objective).__name__} tells the network each token's language, which "
            f"{type(network_config).__name__} has no table for; choose XLMConfig."
        )

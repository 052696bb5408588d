"""Denoising: the network reads a text that was corrupted and writes the original (BART, Lewis et al. 2019; mBART,
Liu et al. 2020)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import LanguagePassages, Passages
from plmjax.errors import UserError
from plmjax.objectives.base import Example, check_fit
from plmjax.objectives.noising import Noising
from plmjax.objectives.sequence_noise import SequenceObjective, scalars, text_of, wrap
from plmjax.objectives.sequences import as_example


@dataclass(slots=True)
class Denoising(SequenceObjective):
    """BART: inputs `<s> corrupted text </s>`, targets `<s> text </s>`, all of which are predicted.

    The decoder reads </s> and then the targets but the last, as the released models do. No noise touches <s> and </s>,
    and a corrupted text is never longer than `train.length`.
    """

    NAME: ClassVar[str] = "denoising"

    window: Any = field(default_factory=Passages)
    noise: Noising = field(default_factory=Noising)
    static: bool = False  # True: an example has the same noise in every epoch

    @property
    def sequence_noise(self) -> Noising:
        """BART's mixture of noises."""
        return self.noise


@dataclass(slots=True)
class MultilingualDenoising(Denoising):
    """mBART: `corrupted sentences </s> <LID>` gives `sentences </s> <LID>`, the decoder reading <LID> first.

    Each sentence has a </s> of its own and <LID>, the token of the text's language, ends the text, as in the paper's
    Sec. 2.2; 35% of the words are hidden in spans of 3.5 words on average. Validation gives the loss by language too,
    `denoising_<language>`. <s>, which the released code puts before the text, is not in the paper and not here.
    """

    window: Any = field(default_factory=LanguagePassages)
    noise: Noising = field(default_factory=lambda: Noising(mask=0.35, poisson_lambda=3.5))
    languages: tuple[str, ...] = ()  # of the store; filled in when the run starts

    @property
    def groups(self) -> tuple[str, ...]:
        """The loss by language."""
        return tuple(f"{self.NAME}_{language}" for language in self.languages)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        Denoising.check(self, network_config, kind, vocabulary, length)
        check_fit(self, network_config, kind, length, ("language",))
        require_language_tokens(vocabulary)

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        text = text_of(example)
        noisy = self.noise(key, text, example["sentence_starts"] > 0, vocabulary)
        language = jnp.asarray(vocabulary.language_tokens, jnp.int32)[example["language"]]
        inputs, targets = (wrap(one, [], [language], text.real > 0) for one in (noisy, text))
        corrupted = scalars(example) | as_example(inputs, targets, vocabulary.pad, language)
        return corrupted | {"group": example["language"]}


def require_language_tokens(vocabulary: Vocabulary) -> None:
    """UserError where the store's languages have no tokens."""
    if not vocabulary.language_tokens:
        raise UserError(
            "The objective marks the language of a text by a token, which the store's tokenizer does not have for its "
            "languages: prepare the store from sources that name theirs (--input=en=PATH) with --language_tokens."
        )

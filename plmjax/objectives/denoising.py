"""Denoising: the network reads a text that was corrupted and writes the original (BART, Lewis et al. 2019; mBART,
Liu et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import LanguagePassages, Passages
from plmjax.errors import UserError
from plmjax.noise.infilling import PaddedText
from plmjax.objectives.base import Example, Losses, check_fit, token_metrics
from plmjax.objectives.cross_lingual import by_language
from plmjax.objectives.noising import Noising
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, sequence_loss, target_loss


@dataclass(slots=True)
class Denoising:
    """BART: inputs `<s> corrupted text </s>`, targets `<s> text </s>`, all of which are predicted.

    The decoder reads </s> and then the targets but the last, as the released models do. No noise touches <s> and </s>,
    and a corrupted text is never longer than `train.length`.
    """

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS
    NAME: ClassVar[str] = "denoising"

    window: Any = field(default_factory=Passages)
    noise: Noising = field(default_factory=Noising)
    static: bool = False  # True: an example has the same noise in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments", "sentence_starts"))
        if length < 3:
            raise UserError(
                f"train.length is {length}, too short for a text between two special tokens; give 3 or more."
            )
        check_row(network_config, kind, length, length)
        vocabulary.require("pad", "bos", "eos")
        self.noise.check(vocabulary)

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 2, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        text = text_of(example)
        noisy = self.noise(key, text, example["sentence_starts"] > 0, vocabulary)
        inputs, targets = (frame(one, [vocabulary.bos], [vocabulary.eos]) for one in (noisy, text))
        return scalars(example) | as_example(inputs, targets, vocabulary.pad, vocabulary.eos)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return sequence_loss(self.NAME, network, batch, vocabulary)

    def coefficients(self) -> dict[str, float]:
        return {}


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
    def perplexities(self) -> tuple[str, ...]:
        """Metrics of which a validation gives the perplexity."""
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
        inputs, targets = (frame(one, [], [language]) for one in (noisy, text))
        return scalars(example) | as_example(inputs, targets, vocabulary.pad, language)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        loss = target_loss(network, batch, vocabulary)
        metrics = token_metrics(self.NAME, loss.correct, batch["weights"])
        if not train:
            languages_BT = jnp.broadcast_to(batch["language"][:, None], batch["targets"].shape)
            metrics |= by_language(self.NAME, loss, batch["weights"], languages_BT, self.languages)
        return {self.NAME: loss.total}, metrics


def text_of(example: Example) -> PaddedText:
    """The tokens of a window that is one text."""
    is_real_L = example["segments"] > 0
    return PaddedText(jnp.where(is_real_L, example["tokens"], -1), jnp.sum(is_real_L))


def scalars(example: Example) -> Example:
    """The fields of a window that are of the whole example; the others have another length than the two sequences."""
    return {name: value for name, value in example.items() if value.ndim == 0}


def frame(text: PaddedText, before: Sequence[int | jax.Array], after: Sequence[int | jax.Array]) -> jax.Array:
    """int32: the text between tokens, then -1s; an empty text is all filling."""
    length = len(text.tokens) + len(before) + len(after)
    place_L = jnp.arange(length)
    framed_L = jnp.full(length, -1, jnp.int32).at[len(before) : len(before) + len(text.tokens)].set(text.tokens)
    for number, token in enumerate(before):
        framed_L = framed_L.at[number].set(token)
    for number, token in enumerate(after):
        framed_L = framed_L.at[len(before) + text.real + number].set(token)
    return jnp.where((text.real > 0) & (place_L < text.real + len(before) + len(after)), framed_L, -1)


def require_language_tokens(vocabulary: Vocabulary) -> None:
    """UserError where the store's languages have no tokens."""
    if not vocabulary.language_tokens:
        raise UserError(
            "The objective marks the language of a text by a token, which the store's tokenizer does not have for its "
            "languages: prepare the store from sources that name theirs (--input=en=PATH) with --language_tokens."
        )

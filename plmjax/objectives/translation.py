"""Translation from scratch, as Marian trains it (Junczys-Dowmunt et al. 2018)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Translations
from plmjax.errors import UserError
from plmjax.noise.infilling import PaddedText
from plmjax.objectives.base import Example, Losses, check_fit, check_share
from plmjax.objectives.denoising import require_language_tokens
from plmjax.objectives.sequence_noise import scalars, text_of, wrap
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, sequence_loss


@dataclass(slots=True)
class Translation:
    """Inputs `source </s>`, targets `translation </s>`, the decoder reading <pad> first.

    With directions into several languages the token of the one that is wanted goes before the source, as >>de<< does in
    the released multilingual models.
    """

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS
    static: ClassVar[bool] = False  # nothing is random

    window: Any = field(default_factory=Translations)
    label_smoothing: float = 0.1  # share of the target's probability spread over the vocabulary, in training

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments", "target_tokens", "target_segments"))
        check_share("objective.label_smoothing", self.label_smoothing)
        if not self.window.directions:
            raise UserError("objective.window.directions is empty: name what is translated into what, as en-de.")
        if length < 3:
            raise UserError(f"train.length is {length}, too short for a text and its special tokens; give at least 3.")
        check_row(network_config, kind, length, length)
        vocabulary.require("pad", "eos")
        if self._marked:
            require_language_tokens(vocabulary)

    @property
    def _marked(self) -> bool:
        return len(self.window.targets) > 1

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1 - self._marked, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        is_target_L = example["target_segments"] > 0
        target = PaddedText(jnp.where(is_target_L, example["target_tokens"], -1), jnp.sum(is_target_L))
        before: list[jax.Array] = []
        if self._marked:
            before = [jnp.asarray(vocabulary.language_tokens, jnp.int32)[example["target_language"]]]
        inputs = wrap(text_of(example), before, [vocabulary.eos])
        return scalars(example) | as_example(inputs, wrap(target, [], [vocabulary.eos]), vocabulary.pad)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        smoothing = self.label_smoothing if train else 0.0
        return sequence_loss("translation", network, batch, vocabulary, label_smoothing=smoothing)

    def coefficients(self) -> dict[str, float]:
        return {}

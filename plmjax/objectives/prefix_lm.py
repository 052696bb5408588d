"""Prefix LM: the network reads the start of a text and writes the rest (Raffel et al. 2020, Sec. 3.3.1; with turns of
a dialogue as texts, Meena, Adiwardana et al. 2020, Sec. 2.3).

On an encoder-decoder and on a decoder that sees its prefix whole this is Table 2's LM objective; for a decoder that
sees the past alone that is causal LM, whose loss is of the whole text.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import DocumentChunks
from plmjax.errors import UserError
from plmjax.objectives.base import Example, Losses, check_fit
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, sequence_loss


@dataclass(slots=True)
class PrefixLM:
    """A text of n tokens is cut after k of them, k uniform from 1 to n - 1; EOS ends both parts.

    Texts are parts of one document, as in the released code, one token shorter than `train.length`.
    """

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS

    window: Any = field(default_factory=DocumentChunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example is cut at the same place in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        if length < 3:
            raise UserError(f"train.length is {length}, too short to be cut in two; give at least 3.")
        if getattr(self.window, "isolate", False) or getattr(self.window, "overlap", 0):
            raise UserError(
                "Prefix LM reads each window as one text; set objective.window.isolate to False and overlap to 0."
            )
        check_row(network_config, kind, length, length, places=length)
        vocabulary.require("pad", "eos")

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        tokens, real = example["tokens"], jnp.sum(example["segments"] > 0)
        length = len(tokens) + 1
        cut = jax.random.randint(key, (), 1, jnp.maximum(real, 2))
        place_L = jnp.arange(length)
        text_L = jnp.append(tokens, 0)
        inputs_L = jnp.where(place_L < cut, text_L, jnp.where(place_L == cut, vocabulary.eos, -1))
        rest = real - cut
        targets_L = jnp.where(place_L < rest, jnp.roll(text_L, -cut), jnp.where(place_L == rest, vocabulary.eos, -1))
        is_empty = real == 0  # a row that only fills up a batch
        kept = {name: value for name, value in example.items() if value.ndim == 0}
        return kept | as_example(jnp.where(is_empty, -1, inputs_L), jnp.where(is_empty, -1, targets_L), vocabulary.pad)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        # Both parts with their EOS are one token longer than the row, of which the last predicts nothing.
        places = batch["tokens"].shape[1]
        return sequence_loss("prefix_lm", network, batch, vocabulary, self.z_loss if train else 0.0, places=places)

    def coefficients(self) -> dict[str, float]:
        return {}

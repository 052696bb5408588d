"""The objectives that T5 compares with span corruption (Raffel et al. 2020, Secs. 3.3.1 and 3.3.2, Table 3).

Text "a b c d e f" with noise on "b c" and "f", <X> being the first sentinel and * a random token:

    BertStyle     inputs `a <X> * d e <X>`    targets `a b c d e f`
    MassStyle     inputs `a <X> <X> d e <X>`  targets `a b c d e f`
    DropTokens    inputs `a d e`              targets `b c f`
    Deshuffling   inputs `d b f a e c`        targets `a b c d e f`

EOS ends both sequences. Replacing spans, i.i.d. or not, is span_corruption.py, the prefix LM prefix_lm.py.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Chunks, DocumentChunks
from plmjax.errors import UserError
from plmjax.noise.spans import iid_mask
from plmjax.noise.tokens import keep_tokens, replace_tokens, shuffle_tokens
from plmjax.objectives.base import Example, Losses, check_fit, check_share
from plmjax.objectives.denoising import scalars
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, sequence_loss


class TokenNoise:
    """What they share: texts one token shorter than `train.length`, which leaves room for EOS.

    A subclass is a dataclass with the fields `window`, `z_loss` and `static`.
    """

    __slots__ = ()

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS
    NAME: ClassVar[str]
    window: Any
    z_loss: float

    def sequences(
        self, key: jax.Array, tokens_L: jax.Array, real: jax.Array, vocabulary: Vocabulary
    ) -> tuple[jax.Array, jax.Array]:
        """(inputs, targets) with EOS, filled up with -1, of a text of `real` <= L tokens."""
        raise NotImplementedError

    def most_targets(self, length: int) -> int:
        """Room for the targets, EOS included."""
        return length

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        if length < 3:
            raise UserError(f"train.length is {length}, too short for a text that EOS closes; give at least 3.")
        if getattr(self.window, "isolate", False) or getattr(self.window, "overlap", 0):
            raise UserError(
                f"{type(self).__name__} reads each window as one text; set objective.window.isolate to False and "
                "overlap to 0."
            )
        check_row(network_config, kind, length, self.most_targets(length))
        vocabulary.require("pad", "eos")

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        real = jnp.sum(example["segments"] > 0)
        return scalars(example) | as_example(*self.sequences(key, example["tokens"], real, vocabulary), vocabulary.pad)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return sequence_loss(self.NAME, network, batch, vocabulary, self.z_loss if train else 0.0)

    def coefficients(self) -> dict[str, float]:
        return {}


def _chunks() -> Chunks:
    return Chunks(separator=False, isolate=False, overlap=0)


@dataclass(slots=True)
class BertStyle(TokenNoise):
    """BERT's masks, of which none keeps its token: 90% sentinels, 10% random tokens; the whole text is the target."""

    NAME: ClassVar[str] = "bert_style"

    window: Any = field(default_factory=_chunks)
    density: float = 0.15  # how likely a token is noise
    random_share: float = 0.1  # how likely noise is a random token and not the sentinel
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        TokenNoise.check(self, network_config, kind, vocabulary, length)
        check_share("objective.density", self.density)
        check_share("objective.random_share", self.random_share)
        vocabulary.require("sentinels")

    def sequences(
        self, key: jax.Array, tokens_L: jax.Array, real: jax.Array, vocabulary: Vocabulary
    ) -> tuple[jax.Array, jax.Array]:
        mask_key, token_key = jax.random.split(key)
        noisy_L = replace_tokens(
            token_key,
            tokens_L,
            iid_mask(mask_key, len(tokens_L), self.density),
            sentinel=vocabulary.sentinels[0],
            non_special_R=vocabulary.non_special,
            random_share=self.random_share,
        )
        return closed(noisy_L, real, vocabulary.eos), closed(tokens_L, real, vocabulary.eos)


@dataclass(slots=True)
class MassStyle(BertStyle):
    """BERT-style without random tokens, as T5 simplifies MASS."""

    NAME: ClassVar[str] = "mass_style"

    random_share: float = 0.0


@dataclass(slots=True)
class Deshuffling(TokenNoise):
    """All tokens of a text in a random order; texts are parts of one document."""

    NAME: ClassVar[str] = "deshuffling"

    window: Any = field(default_factory=DocumentChunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same order in every epoch

    def sequences(
        self, key: jax.Array, tokens_L: jax.Array, real: jax.Array, vocabulary: Vocabulary
    ) -> tuple[jax.Array, jax.Array]:
        shuffled_L = shuffle_tokens(key, tokens_L, jnp.arange(len(tokens_L)) < real)
        return closed(shuffled_L, real, vocabulary.eos), closed(tokens_L, real, vocabulary.eos)


@dataclass(slots=True)
class DropTokens(TokenNoise):
    """Noise is left out of the inputs; the targets are what was left out, in the order of the text."""

    NAME: ClassVar[str] = "drop_tokens"

    window: Any = field(default_factory=_chunks)
    density: float = 0.15  # how likely a token is noise
    targets_length: int | None = None  # room for the targets, EOS included; None: see `dropped_length`
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        TokenNoise.check(self, network_config, kind, vocabulary, length)
        check_share("objective.density", self.density)
        if self.targets_length is not None and self.targets_length < 2:
            raise UserError(f"objective.targets_length is {self.targets_length}; give room for a token and EOS, 2.")

    def most_targets(self, length: int) -> int:
        """As TokenNoise's."""
        return self.targets_length or dropped_length(length, self.density)

    def sequences(
        self, key: jax.Array, tokens_L: jax.Array, real: jax.Array, vocabulary: Vocabulary
    ) -> tuple[jax.Array, jax.Array]:
        length = len(tokens_L) + 1
        mask_L = iid_mask(key, len(tokens_L), self.density)
        room = self.most_targets(length)
        inputs_L = keep_tokens(tokens_L, ~mask_L, real, eos=vocabulary.eos, length=length)
        return inputs_L, keep_tokens(tokens_L, mask_L, real, eos=vocabulary.eos, length=room)


def closed(tokens_L: jax.Array, real: jax.Array, eos: int) -> jax.Array:
    """int32 [L + 1]: the text and EOS."""
    return keep_tokens(tokens_L, jnp.ones(len(tokens_L), jnp.bool_), real, eos=eos, length=len(tokens_L) + 1)


def dropped_length(length: int, density: float) -> int:
    """Room for dropped tokens and EOS, three standard deviations over the mean: 102 for 512 and .15 (released: 104)."""
    raw = length - 1
    return min(length, math.ceil(raw * density + 1 + 3 * math.sqrt(raw * density * (1 - density))))

"""Multitask masked LM: masked LM under attention masks drawn for each text (UniLM, Dong et al. 2019, as BART's rival,
Lewis et al. 2019, Sec. 4.1).

Legend: B batch, L length.
"""

from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import FullSentences
from plmjax.errors import UserError
from plmjax.modules.encoder import EncoderOutput
from plmjax.noise.directions import hidden_by
from plmjax.objectives.base import EncoderObjective, Example, LossTerm, check_share
from plmjax.objectives.masked_lm import Masking


@dataclass(slots=True)
class Directions:
    """The share of texts that are read in each direction."""

    left_to_right: float = 1 / 6
    right_to_left: float = 1 / 6
    both_ways: float = 1 / 3
    prefix: float = 1 / 3  # the first tokens from both sides, the others from left to right

    def check(self) -> None:
        """UserError where these are no shares of a whole."""
        shares = astuple(self)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise UserError(
                f"The shares of objective.directions are {', '.join(f'{share:g}' for share in shares)}; they must be "
                "at least 0 and sum up to 1."
            )

    def draw(self, key: jax.Array) -> jax.Array:
        """int32 scalar, a constant of noise/directions.py."""
        return jax.random.choice(key, 4, p=jnp.asarray(astuple(self), jnp.float32)).astype(jnp.int32)


@dataclass(slots=True)
class MultitaskMaskedLM(EncoderObjective):
    """Masked LM whose attention is left to right, right to left, free, or free in the first half alone and then left to
    right.

    What is masked is masked as in masked LM, whatever the direction. UniLM's own shares are for other masks (sequence
    to sequence within pairs, and next sentences), which BART's rival does without.
    """

    kinds: ClassVar[tuple[str, ...]] = ("two_stream",)  # whose `two_streams` takes any mask

    window: Any = field(default_factory=FullSentences)
    masking: Masking = field(default_factory=Masking)
    directions: Directions = field(default_factory=Directions)
    prefix: float = 0.5  # share of a text's tokens that are its prefix
    static: bool = False  # True: an example has the same masks in every epoch

    def loss_terms(self) -> tuple[LossTerm, ...]:
        return (self.masking,)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        EncoderObjective.check(self, network_config, kind, vocabulary, length)
        self.directions.check()
        check_share("objective.prefix", self.prefix)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        masked = EncoderObjective.corrupt(self, key, example, vocabulary)
        direction = self.directions.draw(jax.random.fold_in(key, len(self.loss_terms())))
        segments_L = example["segments"]
        hidden_LL = hidden_by(direction, jnp.sum(segments_L > 0), length=len(segments_L), prefix=self.prefix)
        return masked | {"direction": direction, "perm_mask": hidden_LL}

    def encoding(self, network: Any, batch: Example) -> EncoderOutput:
        """The states of the content stream under the masks."""
        x_BLD = network.two_streams(
            batch["tokens"], batch["perm_mask"], None, batch.get("token_types"), batch["segments"]
        ).h
        return EncoderOutput(x_BLD, x_BLD)

"""MASS: an encoder reads a text of which a fragment is hidden, a decoder writes the fragment (Song et al. 2019, Sec.
3.1).

Text "a b c d e f" with "c d e" hidden: inputs `a b _ _ _ f`, the decoder reads `_ c d` at the positions 2, 3 and 4 and
writes `c d e`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Passages
from plmjax.errors import UserError
from plmjax.modules.facts import max_positions_of
from plmjax.noise.fragments import fragments_mask, max_hidden
from plmjax.noise.masking import mask_tokens, token_span_ids
from plmjax.noise.tokens import keep_tokens
from plmjax.objectives.base import Example, Losses, check_fit, check_share
from plmjax.objectives.sequence_noise import scalars, text_of
from plmjax.objectives.sequences import sequence_loss

FIRST = ("mask", "previous")


@dataclass(slots=True)
class Mass:
    """The fragment holds a share of the text's tokens, the </s> that closes it included.

    What the decoder would read outside of the fragment is masked in the paper, and left out here as there (Sec. 3.2),
    the rest keeping its positions. With a fragment of one token this is masked LM; with one of all tokens and
    mask_share=1 it is language modelling.
    """

    kinds: ClassVar[tuple[str, ...]] = ("encoder_decoder",)

    window: Any = field(default_factory=Passages)
    share: float = 0.5  # of the tokens that are hidden; at least one is
    block: int = 0  # over 0: a fragment in each so many tokens (64 in the code for summarisation)
    mask_share: float = 0.8  # of the hidden tokens, those that the encoder reads as masks
    random_share: float = 0.1  # and as random tokens; it reads the rest as they are
    first: str = "mask"  # what the decoder reads first: the mask (paper), or the "previous" token (released code)
    static: bool = False  # True: an example has the same fragment in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        if max_positions_of(network_config) is None:
            raise UserError(
                f"MASS tells the decoder where in the text a token stands, but {type(network_config).__name__} knows "
                "distances alone: choose a network with positions, such as BartConfig."
            )
        check_share("objective.share", self.share)
        check_share("objective.mask_share", self.mask_share)
        check_share("objective.random_share", self.random_share, high=1 - self.mask_share)
        if self.first not in FIRST:
            raise UserError(f"objective.first is {self.first!r}; it must be one of {', '.join(FIRST)}.")
        if self.block < 0:
            raise UserError(f"objective.block is {self.block}; give a number of tokens, or 0 for the whole text.")
        if length < 2:
            raise UserError(f"train.length is {length}, too short for a text and the token that closes it; give 2.")
        vocabulary.require("pad", "eos", "mask")

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        fragment_key, mask_key = jax.random.split(key)
        text = text_of(example)
        length = len(text.tokens) + 1
        closed_L = keep_tokens(text.tokens, text.tokens >= 0, text.real, eos=vocabulary.eos, length=length)
        real = jnp.sum(closed_L >= 0)
        hidden_L = fragments_mask(fragment_key, real, length=length, share=self.share, block=self.block)
        masked = mask_tokens(
            mask_key,
            jnp.where(closed_L < 0, vocabulary.pad, closed_L),
            token_span_ids(hidden_L),
            predictions=max_hidden(length, self.share, self.block),
            mask=vocabulary.mask,
            non_special_R=vocabulary.non_special,
            mask_share=self.mask_share,
            random_share=self.random_share,
        )
        is_target_M, positions_M = masked.weights > 0, masked.masked_positions
        previous_M = jnp.where(positions_M > 0, closed_L[positions_M - 1], vocabulary.mask)
        if self.first == "mask":
            follows_M = (positions_M > 0) & hidden_L[positions_M - 1] & (positions_M % (self.block or length) > 0)
            previous_M = jnp.where(follows_M, previous_M, vocabulary.mask)
        return scalars(example) | {
            "tokens": masked.tokens,
            "positions": jnp.arange(length),
            "segments": (closed_L >= 0).astype(jnp.int32),
            "targets": jnp.where(is_target_M, masked.targets, vocabulary.pad),
            "weights": masked.weights,
            "decoder_tokens": jnp.where(is_target_M, previous_M, vocabulary.pad),
            "decoder_positions": positions_M,
            "decoder_segments": is_target_M.astype(jnp.int32),
        }

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return sequence_loss("mass", network, batch, vocabulary)

    def coefficients(self) -> dict[str, float]:
        return {}

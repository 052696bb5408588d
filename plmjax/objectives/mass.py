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
from plmjax.objectives.base import Example, Losses, check_fit, check_rate, check_share
from plmjax.objectives.sequence_noise import scalars, text_of, wrap
from plmjax.objectives.sequences import sequence_loss

CHOICES = {
    "first": ("mask", "previous"),
    "opening": ("none", "token", "eos"),
    "start": ("uniform", "ends"),
    "decoder_positions": ("written", "read"),
    "masks_seen_by": ("both", "encoder", "none"),
}


@dataclass(slots=True)
class Mass:
    """The fragment holds a share of the text's tokens, the </s> that closes it included.

    What the decoder would read outside of the fragment is masked in the paper, and left out here as there (Sec. 3.2),
    the rest keeping its positions. With a fragment of one token this is masked LM; with one of all tokens and
    mask_share=1 it is language modelling.

    The defaults are the paper's. The codes of microsoft/MASS differ from it, and from each other:

    | setting | MASS-unsupNMT | MASS-summarization |
    |---|---|---|
    | first="previous" | src/trainer.py:819 | mass/masked_dataset.py:60 |
    | opening | "eos" (trainer.py:756, 808-811) | "token" (masked_dataset.py:52) |
    | start | "ends" (trainer.py:765-786) | "uniform" (masked_dataset.py:55) |
    | decoder_positions="read" | trainer.py:825 | masked_dataset.py:61 |
    | masks_seen_by | "encoder" (trainer.py:985-990, src/model/transformer.py:342-344) | "both" |
    | block | 0 (trainer.py:808) | 64 (masked_dataset.py:29) |

    MASS-supNMT hides masks from the encoder's attention too, "none" (mass/xtransformer.py:38). What is a mask is seen
    after the replacement: a hidden token that is kept, or read as a random one, stays in sight.
    """

    kinds: ClassVar[tuple[str, ...]] = ("encoder_decoder",)

    window: Any = field(default_factory=Passages)
    share: float = 0.5  # of the tokens that are hidden; at least one is
    block: int = 0  # over 0: a fragment in each so many tokens (64 in the code for summarisation)
    mask_share: float = 0.8  # of the hidden tokens, those that the encoder reads as masks
    random_share: float = 0.1  # and as random tokens; it reads the rest as they are
    first: str = "mask"  # what the decoder reads first: the mask (paper), or the "previous" token (released codes)
    opening: str = "none"  # what is never hidden: nothing, the text's first "token", or "eos", put before the text
    start: str = "uniform"  # of the fragment; "ends": the first place and the last one have a fifth of the draws each
    decoder_positions: str = "written"  # of the token that the decoder writes, or of the one that it reads
    masks_seen_by: str = "both"  # who attends to masked source places: "both", the "encoder" alone, or "none"
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
        check_rate("objective.share", self.share)
        check_share("objective.mask_share", self.mask_share)
        check_share("objective.random_share", self.random_share, high=1 - self.mask_share)
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise UserError(f"objective.{name} is {getattr(self, name)!r}; it must be one of {', '.join(values)}.")
        if self.decoder_positions == "read" and self.opening == "none":
            raise UserError(
                "objective.decoder_positions is 'read', but nothing is read before a fragment at the text's start; set "
                "objective.opening to 'token' or 'eos', or decoder_positions to 'written'."
            )
        if self.block < 0:
            raise UserError(f"objective.block is {self.block}; give a number of tokens, or 0 for the whole text.")
        least = 2 + (self.opening == "eos")
        if length < least:
            raise UserError(
                f"train.length is {length}, too short for a text and its special tokens; give at least {least}."
            )
        vocabulary.require("pad", "eos", "mask")

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length - 1 - (self.opening == "eos"), seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        fragment_key, mask_key = jax.random.split(key)
        before = [vocabulary.eos] if self.opening == "eos" else []
        text_L = wrap(text_of(example), before, [vocabulary.eos])
        length, real = len(text_L), jnp.sum(text_L >= 0)
        opening = int(self.opening != "none")
        hidden_L = fragments_mask(
            fragment_key,
            real,
            length=length,
            share=self.share,
            block=self.block,
            opening=opening,
            start=self.start,
        )
        masked = mask_tokens(
            mask_key,
            jnp.where(text_L < 0, vocabulary.pad, text_L),
            token_span_ids(hidden_L),
            predictions=max_hidden(length, self.share, self.block, opening),
            mask=vocabulary.mask,
            non_special_R=vocabulary.non_special,
            mask_share=self.mask_share,
            random_share=self.random_share,
        )
        is_target_M, positions_M = masked.weights > 0, masked.masked_positions
        segments_L = (text_L >= 0).astype(jnp.int32)
        seen_L = jnp.where(masked.tokens == vocabulary.mask, 0, segments_L)
        return scalars(example) | {
            "tokens": masked.tokens,
            "positions": jnp.arange(length),
            "segments": segments_L,
            "encoder_segments": seen_L if self.masks_seen_by == "none" else segments_L,
            "memory_segments": segments_L if self.masks_seen_by == "both" else seen_L,
            "targets": jnp.where(is_target_M, masked.targets, vocabulary.pad),
            "weights": masked.weights,
            "decoder_tokens": jnp.where(
                is_target_M, self._reads(text_L, hidden_L, positions_M, vocabulary.mask), vocabulary.pad
            ),
            "decoder_positions": jnp.maximum(positions_M - (self.decoder_positions == "read"), 0),
            "decoder_segments": is_target_M.astype(jnp.int32),
        }

    def _reads(self, text_L: jax.Array, hidden_L: jax.Array, positions_M: jax.Array, mask: int) -> jax.Array:
        """int32 [M]: the token before each one that the decoder writes, or the mask before a fragment."""
        previous_M = jnp.where(positions_M > 0, text_L[positions_M - 1], mask)
        if self.first == "previous":
            return previous_M
        opening = int(self.opening != "none")
        begins_block_M = (positions_M - opening) % (self.block or len(text_L)) == 0
        return jnp.where((positions_M > 0) & hidden_L[positions_M - 1] & ~begins_block_M, previous_M, mask)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return sequence_loss("mass", network, batch, vocabulary)

    def coefficients(self) -> dict[str, float]:
        return {}

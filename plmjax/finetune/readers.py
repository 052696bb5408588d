"""How each kind of network reads rows of tokens: the states that heads are put on, and losses of its own beside.

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.frames import Frame, encoder_frame, two_stream_frame
from plmjax.losses.weighted import Weighted


@dataclass(frozen=True)
class Reader:
    """The base: an encoder without anything beside.

    Attributes:
        config: the network's.
        tokenizer: the checkpoint's.
        frame: special tokens around the texts.
        language: token type of every token in a network that has a table of languages.
    """

    config: Any
    tokenizer: Tokenizer
    frame: Frame
    language: int = 0

    both_orders: ClassVar[bool] = False  # whether two texts whose order means nothing are read both ways
    new_tokens: ClassVar[int] = 0  # rows that the token table gets beyond the tokenizer's

    def states(self, network: Any, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """[B, L, D]."""
        if getattr(self.config, "num_languages", 0):
            types = jnp.full_like(tokens_BL, self.language)
        else:
            types = None if self.frame.types == "none" else types_BL
        return network.encode(tokens_BL, types, None, segments_BL)

    def losses(
        self, network: Any, x_BLD: jax.Array, tokens_BL: jax.Array, segments_BL: jax.Array
    ) -> dict[str, Weighted]:
        """Losses beside the task's."""
        return {}

    def coefficients(self) -> dict[str, float]:
        """Their factors."""
        return {}


def encoder_reader(config: Any, tokenizer: Tokenizer, recipe: Any) -> Reader:
    """Of BERT and its like."""
    languages = getattr(config, "num_languages", 0)
    if languages and not 0 <= recipe.language < languages:
        raise UserError(f"language is {recipe.language}, and the network has {languages}: give one from 0 on.")
    return Reader(config, tokenizer, encoder_frame(config, tokenizer.vocabulary), recipe.language)


def two_stream_reader(config: Any, tokenizer: Tokenizer, recipe: Any) -> Reader:
    """Of XLNet, whose content stream reads as an encoder."""
    return Reader(config, tokenizer, two_stream_frame(tokenizer.vocabulary))


# kind of network -> (its config, tokenizer, recipe) -> Reader
READERS = {"encoder": encoder_reader, "two_stream": two_stream_reader}


def make_reader(kind: str, config: Any, tokenizer: Tokenizer, recipe: Any) -> Reader:
    """The reader of a kind of network; UserError where there is none."""
    if kind not in READERS:
        raise UserError(f"A network of kind {kind!r} has no heads to fine-tune: use one of kind {', '.join(READERS)}.")
    return READERS[kind](config, tokenizer, recipe)

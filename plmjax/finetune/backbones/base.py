"""Backbones: how a kind of network reads rows of tokens into the states that heads are put on.

Legend: B batch, L length, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.templates import Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.interop import Pretrained
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound


@dataclass(frozen=True)
class Backbone:
    """The base of every backbone.

    Attributes:
        config: the network's.
        tokenizer: the checkpoint's.
        template: the special tokens around the texts.
    """

    config: Any
    tokenizer: Tokenizer
    template: Template

    both_orders: ClassVar[bool] = False  # whether two texts whose order means nothing are read both ways
    bidirectional: ClassVar[bool] = True  # whether each token's state has seen the whole row

    @property
    def new_names(self) -> tuple[str, ...]:
        """Names of the tokens that the token table gets in addition to the checkpoint's."""
        return ()

    @property
    def new_tokens(self) -> int:
        """The number of new tokens."""
        return len(self.new_names)

    def lookup_table(self) -> Any:
        """Arrays that rows are looked up in, for a program that reads rows made after it was traced; () for most."""
        return ()

    def with_table(self, table: Any) -> Backbone:
        """This backbone, which looks tokens up in a table that `lookup_table` gave."""
        return self

    def states(self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """[B, L, D]."""
        raise NotImplementedError

    def tag_states(
        self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array
    ) -> jax.Array:
        """The states that tags are read at [B, L, D]; the same but for networks that read them elsewhere."""
        return self.states(network, tokens_BL, types_BL, segments_BL)

    def class_states(self, network: Bound, x_BLD: jax.Array, index_B: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """The states that a text's class is read from, as sequences of one: [B, 1, D]."""
        return jnp.take_along_axis(x_BLD, index_B[:, None, None], axis=1)

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """The pieces of each of a text's words, which begin with what goes before a word in running text."""
        return self.tokenizer.encode_batch(words)

    def losses(
        self, network: Bound, x_BLD: jax.Array, tokens_BL: jax.Array, segments_BL: jax.Array
    ) -> dict[str, Weighted]:
        """The losses of the backbone itself, in addition to the task's."""
        return {}

    def coefficients(self) -> dict[str, float]:
        """The factors of the backbone's losses."""
        return {}


def tokenizer_of(pretrained: Pretrained) -> Tokenizer:
    """The checkpoint's tokenizer; UserError where it has none."""
    if pretrained.tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put the tokenizer's files into its folder.")
    return pretrained.tokenizer

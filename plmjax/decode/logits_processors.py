"""Logits processors: repetition, n-grams, suppressed tokens, forced first and last tokens.

A processor is a small pure function, (scores, history) -> scores; several apply one after the other. Each is a pytree
whose numbers are data, so that another penalty compiles nothing anew. Results are those of `transformers`.

Legend: B rows of the batch, T columns of what is written, V vocabulary rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np


class TokenHistory(NamedTuple):
    """The tokens of each row before the one that is to come.

    Attributes:
        tokens: int32 [B, T], what was read (a decoder's prompt, an encoder-decoder's start token), then the new
            tokens; -1 where there is nothing, before the text and after `end`.
        end: int32 scalar, the column of the token to come.
        new: int32 scalar, the new tokens so far.
        most: int32 scalar, the most new tokens that there may be.
    """

    tokens: jax.Array
    end: jax.Array
    new: jax.Array
    most: jax.Array


LogitsProcessor = Callable[[jax.Array, TokenHistory], jax.Array]


@dataclass_transform(frozen_default=True)
def _processor(data: tuple[str, ...]) -> Callable[[type], type]:
    """A frozen dataclass that is a pytree: its numbers `data` may change without a compilation."""

    def register(cls: type) -> type:
        return jax.tree_util.register_dataclass(dataclass(frozen=True)(cls), data_fields=data, meta_fields=())

    return register


@_processor(data=("penalty",))
class RepetitionPenalty:
    """Lowers the scores of tokens that are there already: divides those above 0 by the penalty, multiplies the others.

    CTRL's penalised sampling (Keskar et al. 2019, Sec. 4.1, penalty 1.2) in the form in which `transformers` has it:
    the paper divides whatever the sign, which would raise a score under 0. A decoder's prompt counts as written, of an
    encoder-decoder only what its decoder reads.
    """

    penalty: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        columns_BT = _columns(history.tokens, scores_BV.shape[1])
        old_BT = jnp.take_along_axis(scores_BV, jnp.minimum(columns_BT, scores_BV.shape[1] - 1), axis=1)
        new_BT = jnp.where(old_BT < 0, old_BT * self.penalty, old_BT / self.penalty)
        return _put(scores_BV, columns_BT, new_BT)


@_processor(data=("size",))
class NoRepeatNGrams:
    """Rules out a token that would write the same `size` tokens a second time (Paulus et al. 2017, Sec. 2.5).

    0: n-grams may repeat.
    """

    size: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        tokens_BT, end = history.tokens, history.end
        columns_1T = jnp.arange(tokens_BT.shape[1])[None]
        # An n-gram that ends in column t has been written whole, and so has the one that the next token would end.
        whole_1T = (columns_1T >= self.size - 1) & (columns_1T < end) & (self.size > 0)

        def as_before(i: jax.Array, same_BT: jax.Array) -> jax.Array:
            last_B1 = jax.lax.dynamic_slice_in_dim(tokens_BT, end - i, 1, axis=1)
            return same_BT & (jnp.roll(tokens_BT, i, axis=1) == last_B1) & (last_B1 >= 0)

        same_BT = jax.lax.fori_loop(1, self.size, as_before, jnp.broadcast_to(whole_1T, tokens_BT.shape))
        banned_BT = jnp.where(same_BT, tokens_BT, -1)
        return _put(scores_BV, _columns(banned_BT, scores_BV.shape[1]), -jnp.inf)


@_processor(data=("least", "eos"))
class MinNewTokens:
    """Rules out the token that ends a row until `least` new tokens are there."""

    least: Any
    eos: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        ends_1V = jnp.arange(scores_BV.shape[1])[None] == self.eos
        return jnp.where(ends_1V & (history.new < self.least), -jnp.inf, scores_BV)


@_processor(data=("token",))
class ForcedBOSToken:
    """The first new token is this one, such as the language that mBART is to write."""

    token: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        return jnp.where(history.new == 0, _only(self.token, scores_BV), scores_BV)


@_processor(data=("token",))
class ForcedEOSToken:
    """The last token that there is room for is this one: BART's EOS."""

    token: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        return jnp.where(history.new == history.most - 1, _only(self.token, scores_BV), scores_BV)


@_processor(data=("tokens",))
class SuppressTokens:
    """Rules out these tokens, int32 [any number]."""

    tokens: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        return scores_BV.at[:, self.tokens].set(-jnp.inf, mode="drop")


@_processor(data=("tokens", "position"))
class SuppressTokensAt:
    """Rules out these tokens, int32 [any number], as the new token number `position`, the first being 0."""

    tokens: Any
    position: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        return jnp.where(history.new == self.position, SuppressTokens(self.tokens)(scores_BV, history), scores_BV)


@_processor(data=("sequence",))
class NoBadWord:
    """Rules out the last token of a sequence, int32 [2 or more], whose others have just been history.

    As in `transformers`, something must have been written before the sequence.
    """

    sequence: Any

    def __call__(self, scores_BV: jax.Array, history: TokenHistory) -> jax.Array:
        size = len(self.sequence)
        if history.tokens.shape[1] < size:
            return scores_BV
        last_BS = jax.lax.dynamic_slice_in_dim(history.tokens, history.end - size, size, axis=1)
        same_B = (last_BS[:, 1:] == self.sequence[None, :-1]).all(axis=1) & (last_BS[:, 0] >= 0) & (history.end >= size)
        return jnp.where(same_B[:, None], SuppressTokens(self.sequence[-1:])(scores_BV, history), scores_BV)


def apply_logits_processors(
    processors: tuple[LogitsProcessor, ...], scores_BV: jax.Array, history: TokenHistory
) -> jax.Array:
    """Scores [B, V] after all processors, in their order. Whatever stands from `end` on is not read."""
    if processors:
        filled_1T = jnp.arange(history.tokens.shape[1])[None] < history.end
        history = history._replace(tokens=jnp.where(filled_1T, history.tokens, -1))
    for process in processors:
        scores_BV = process(scores_BV, history)
    return scores_BV


def make_logits_processors(
    *,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int = 0,
    forced_bos_token_id: int | None = None,
    forced_eos_token_id: int | None = None,
    eos_token_id: int | None = None,
    bad_words_ids: Sequence[Sequence[int]] = (),
    suppress_tokens: Sequence[int] = (),
    begin_suppress_tokens: Sequence[int] = (),
) -> tuple[LogitsProcessor, ...]:
    """The processors that these settings ask for, in the order of `transformers`; none for the defaults.

    `bad_words_ids` are never written, but for an EOS alone, nor `suppress_tokens`; `begin_suppress_tokens` not as the
    first token that is free to choose.

    Raises:
        ValueError: a number out of its range, or a least number of tokens without a token that ends a row.
    """
    if not repetition_penalty > 0:
        raise ValueError(f"repetition_penalty is {repetition_penalty}: give a number over 0, 1 for no penalty.")
    if no_repeat_ngram_size < 0:
        raise ValueError(f"no_repeat_ngram_size is {no_repeat_ngram_size}: give 1 or more, or 0 to let n-grams repeat.")
    if min_new_tokens < 0:
        raise ValueError(f"min_new_tokens is {min_new_tokens}: give 0 or more.")
    processors: list[LogitsProcessor] = []
    if repetition_penalty != 1.0 or no_repeat_ngram_size:  # both, so that asking for the other compiles nothing anew
        processors += [RepetitionPenalty(float(repetition_penalty)), NoRepeatNGrams(no_repeat_ngram_size)]
    words = [list(word) for word in bad_words_ids if list(word) != [eos_token_id]]
    if not all(words):
        raise ValueError("bad_words_ids holds a word without a token: leave it out.")
    if single := [word[0] for word in words if len(word) == 1]:
        processors.append(SuppressTokens(np.asarray(single, np.int32)))
    processors += [NoBadWord(np.asarray(word, np.int32)) for word in words if len(word) > 1]
    if min_new_tokens and eos_token_id is not None:
        processors.append(MinNewTokens(min_new_tokens, eos_token_id))
    if forced_bos_token_id is not None:
        processors.append(ForcedBOSToken(forced_bos_token_id))
    if forced_eos_token_id is not None:
        processors.append(ForcedEOSToken(forced_eos_token_id))
    if suppress_tokens:
        processors.append(SuppressTokens(np.asarray(suppress_tokens, np.int32)))
    if begin_suppress_tokens:
        position = 0 if forced_bos_token_id is None else 1
        processors.append(SuppressTokensAt(np.asarray(begin_suppress_tokens, np.int32), position))
    return tuple(processors)


def _columns(tokens_BT: jax.Array, size: int) -> jax.Array:
    """The tokens, with `size`, which is no token's column, in place of -1."""
    return jnp.where(tokens_BT < 0, size, tokens_BT)


def _put(scores_BV: jax.Array, columns_BT: jax.Array, values: jax.Array | float) -> jax.Array:
    rows_B1 = jnp.arange(scores_BV.shape[0])[:, None]
    return scores_BV.at[rows_B1, columns_BT].set(values, mode="drop")


def _only(token: Any, scores_BV: jax.Array) -> jax.Array:
    """0 for the token, -inf for all others."""
    return jnp.where(jnp.arange(scores_BV.shape[1])[None] == token, 0.0, -jnp.inf)

"""Continuing token sequences with a key-value cache, in one compiled program for any prompt of the
same bucket.

Legend: B rows of the batch, L length of the prompt, N new tokens, V vocabulary rows.

The program is prefill, then a `while_loop` that ends as soon as every row has ended. A decoder's
prompts are padded on the left, so that the newest token of every row sits in the same cache slot;
segment 0 hides the padding and positions are counted from each row's first real token. An
encoder-decoder encodes its (right-padded) prompts once, caches the memory's keys and values, and
decodes from a start token.

Lengths are rounded up to buckets, so different prompts and different numbers of new tokens share a
compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from plmjax.decode.sampling import GREEDY, Sampling, allowed_tokens, draw
from plmjax.errors import UserError
from plmjax.modules import Bound

SMALLEST_BUCKET = 16
NO_EOS = -1  # no token has this id

Advance = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


class Continuation(NamedTuple):
    """What was drawn after the prompts.

    Attributes:
        tokens: int32 [B, N], as wide as the longest row; `pad` after a row's EOS.
        lengths: int32 [B], the tokens drawn for each row, its EOS included.
    """

    tokens: np.ndarray
    lengths: np.ndarray


class _Settings(NamedTuple):
    """What the program takes as numbers, so that changing them compiles nothing."""

    max_new: int
    eos: int
    pad: int
    start: int
    allowed: np.ndarray  # bool [V]


def bucket(length: int) -> int:
    """The next power of two, at least 16."""
    return max(SMALLEST_BUCKET, 1 << (length - 1).bit_length())


def continue_tokens(
    network: Bound,
    tokens_BL: np.ndarray,
    segments_BL: np.ndarray | None = None,
    *,
    max_new_tokens: int,
    key: jax.Array | None = None,
    sampling: Sampling = GREEDY,
    eos: int | None = None,
    pad: int = 0,
    start: int | None = None,
    size: int | None = None,
    forbidden: Iterable[int] = (),
) -> Continuation:
    """Continues each prompt (decoder), or writes the output that belongs to it (encoder-decoder).

    Args:
        network: a decoder or an encoder-decoder.
        tokens_BL: int [B, L], the prompts.
        segments_BL: int [B, L], 0 where a row has padding, at whichever end; None: no padding.
        max_new_tokens: the most tokens to draw for a row.
        key: one key, from which row i takes `fold_in(key, i)`, or an array of B keys. A row's
            result depends on its own prompt and key only, not on the other rows. None is allowed at
            temperature 0.
        sampling: temperature, top-k and top-p.
        eos: the token that ends a row; None: rows end at `max_new_tokens`.
        pad: what follows a row's EOS in the result.
        start: an encoder-decoder's first decoder token (T5: its padding id).
        size: the vocabulary's true size; the table's rows from there on are never drawn. None:
            every row counts.
        forbidden: ids that are never drawn.

    Raises:
        UserError: the network can't continue text, or prompt and new tokens need more positions
            than it has.
        ValueError: an empty prompt, no key to sample with, or a number out of its range.
    """
    module = network.module
    rows = np.asarray(tokens_BL, np.int32)
    real_BL = np.ones(rows.shape, bool) if segments_BL is None else np.asarray(segments_BL) != 0
    lengths_B = real_BL.sum(axis=1)
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: give 1 or more.")
    if not lengths_B.size or not lengths_B.all():
        raise ValueError("A prompt has no token: give each row at least one, such as the EOS or BOS token.")
    if not np.all((rows >= 0) & (rows < module.config.vocab_size) | ~real_BL):
        raise ValueError(f"A prompt has an id outside the network's {module.config.vocab_size} token rows.")
    check_positions(module, int(lengths_B.max()), max_new_tokens)

    table = module.config.vocab_size
    settings = _Settings(
        max_new=max_new_tokens,
        eos=NO_EOS if eos is None else eos,
        pad=pad,
        start=-1 if start is None else start,
        allowed=allowed_tokens(table, table if size is None else min(size, table), forbidden),
    )
    decoder = module.kind == "decoder"
    if not decoder and start is None:
        raise ValueError("An encoder-decoder needs `start`, the first token that its decoder reads.")
    tokens_BL, segments_BL = _pack(rows, real_BL, _prompt_bucket(module, int(lengths_B.max())), pad, left=decoder)
    tokens_BN, lengths_B = (_decoder_program if decoder else _encoder_decoder_program)(
        module,
        network.params,
        tokens_BL,
        segments_BL,
        _row_keys(key, len(rows), sampling),
        settings,
        slots=bucket(max_new_tokens),
        sampling=sampling,
    )
    lengths_B = np.asarray(lengths_B)
    return Continuation(np.asarray(tokens_BN)[:, : lengths_B.max()], lengths_B)


def check_positions(module: nn.Module, prompt: int, new: int) -> None:
    """Refuses a network that can't continue, or whose absolute positions end before the text would.

    Raises:
        UserError: in one sentence with the remedy.
    """
    if module.kind not in ("decoder", "encoder_decoder"):
        raise wrong_kind(module, "continue a text", "use a decoder or an encoder-decoder")
    positions = getattr(module.config, "max_positions", None)
    if not positions:
        return
    needed = prompt + new if module.kind == "decoder" else max(prompt, new)
    if needed > positions:
        raise UserError(
            f"The prompt's {prompt} tokens and {new} new ones need {needed} positions, but this "
            f"network has {positions}: shorten the prompt or lower max_new_tokens."
        )


def wrong_kind(module: nn.Module, wish: str, remedy: str) -> UserError:
    """The error for a network that can't do what is wished."""
    kind = module.kind.replace("_", "-")
    return UserError(f"This checkpoint ({type(module).__name__}, {kind}) can't {wish}: {remedy}.")


def _prompt_bucket(module: nn.Module, length: int) -> int:
    positions = getattr(module.config, "max_positions", None)
    return min(bucket(length), positions) if positions else bucket(length)


def _row_keys(key: jax.Array | None, rows: int, sampling: Sampling) -> jax.Array:
    if key is None:
        if sampling.temperature > 0:
            raise ValueError("Sampling needs a key; greedy decoding is temperature 0.")
        key = jax.random.key(0)
    if key.ndim:
        return key
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))


def _pack(rows_BL: np.ndarray, real_BL: np.ndarray, length: int, pad: int, left: bool) -> tuple[np.ndarray, np.ndarray]:
    """The real tokens of each row, side by side, with padding to `length` on the left or on the
    right."""
    tokens = np.full((len(rows_BL), length), pad, np.int32)
    segments = np.zeros((len(rows_BL), length), np.int32)
    for row, (tokens_L, real_L) in enumerate(zip(rows_BL, real_BL, strict=True)):
        prompt = tokens_L[real_L]
        place = slice(length - len(prompt), None) if left else slice(0, len(prompt))
        tokens[row, place] = prompt
        segments[row, place] = 1
    return tokens, segments


def _continue_decoder(
    module: nn.Module,
    params: Any,
    tokens_BL: jax.Array,
    segments_BL: jax.Array,
    keys_B: jax.Array,
    settings: _Settings,
    *,
    slots: int,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array]:
    network = Bound(module, params)
    batch, length = tokens_BL.shape
    lengths_B = jnp.sum(segments_BL, axis=1)
    positions_BL = jnp.maximum(jnp.cumsum(segments_BL, axis=1) - 1, 0)
    cache = module.init_cache(batch, length + slots)
    x_BLD, cache = network.decode(tokens_BL, positions_BL, segments_BL, cache)

    def advance(token_B: jax.Array, count: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
        positions_B1 = (lengths_B + count)[:, None]
        x_B1D, cache = network.decode(token_B[:, None], positions_B1, None, cache)
        return network.token_logits(x_B1D)[:, 0], cache

    logits_BV = network.token_logits(x_BLD[:, -1:])[:, 0]
    return _draw_until_done(logits_BV, cache, advance, keys_B, settings, slots, sampling)


def _continue_encoder_decoder(
    module: nn.Module,
    params: Any,
    tokens_BL: jax.Array,
    segments_BL: jax.Array,
    keys_B: jax.Array,
    settings: _Settings,
    *,
    slots: int,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array]:
    network = Bound(module, params)
    batch = tokens_BL.shape[0]
    memory_BLD = network.encode(tokens_BL, None, segments_BL)
    cache = network.start_cache(memory_BLD, segments_BL, slots)

    def advance(token_B: jax.Array, count: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
        positions_B1 = jnp.full((batch, 1), count + 1, jnp.int32)
        x_B1D, cache = network.decode(token_B[:, None], None, None, positions_B1, None, cache)
        return network.token_logits(x_B1D)[:, 0], cache

    start_B = jnp.full(batch, settings.start, jnp.int32)
    logits_BV, cache = advance(start_B, jnp.asarray(-1), cache)
    return _draw_until_done(logits_BV, cache, advance, keys_B, settings, slots, sampling)


def _draw_until_done(
    logits_BV: jax.Array,
    cache: Any,
    advance: Advance,
    keys_B: jax.Array,
    settings: _Settings,
    slots: int,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array]:
    """Draws from `logits_BV`, then feeds each token through `advance(token, its number, cache)` for
    the next logits.

    Returns tokens int32 [B, slots] and the lengths int32 [B].
    """
    batch = logits_BV.shape[0]

    def write(count: jax.Array, logits_BV: jax.Array, state: dict[str, Any]) -> dict[str, Any]:
        step_keys_B = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys_B, count)
        drawn_B = draw(step_keys_B, logits_BV, sampling, settings.allowed)
        token_B = jnp.where(state["done"], settings.pad, drawn_B)
        return {
            "count": count + 1,
            "token": token_B,
            "tokens": jax.lax.dynamic_update_slice(state["tokens"], token_B[:, None], (0, count)),
            "lengths": state["lengths"] + ~state["done"],
            "done": state["done"] | (token_B == settings.eos),
        }

    def unfinished(carry: tuple[dict[str, Any], Any]) -> jax.Array:
        state, _ = carry
        return (state["count"] < settings.max_new) & ~state["done"].all()

    def step(carry: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        state, cache = carry
        logits_BV, cache = advance(state["token"], state["count"] - 1, cache)
        return write(state["count"], logits_BV, state), cache

    empty = {
        "tokens": jnp.full((batch, slots), settings.pad, jnp.int32),
        "lengths": jnp.zeros(batch, jnp.int32),
        "done": jnp.zeros(batch, bool),
    }
    first = write(jnp.zeros((), jnp.int32), logits_BV, empty)
    state, _ = jax.lax.while_loop(unfinished, step, (first, cache))
    return state["tokens"], state["lengths"]


_STATIC = ("module", "slots", "sampling")
_decoder_program = jax.jit(_continue_decoder, static_argnames=_STATIC)
_encoder_decoder_program = jax.jit(_continue_encoder_decoder, static_argnames=_STATIC)

"""Continuing token sequences with a key-value cache, in one compiled program for any prompt of the
same bucket.

Legend: B prompts, L length of the prompt, R rows of the result, N new tokens, V vocabulary rows.

The program is prefill, then a `while_loop` that ends as soon as every row has ended: see prefill.py, drawing.py for
greedy decoding and sampling, beams.py for beam search, rules.py for what shapes the scores.

Lengths are rounded up to buckets, so different prompts and different numbers of new tokens share a
compilation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from plmjax.data.buckets import bucket
from plmjax.decode.beam_search import Beams, Ending, Search, Searcher
from plmjax.decode.logits_processors import Rule
from plmjax.decode.prefill import Prompts, advance, many_steps, new_columns, prefill
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling, allowed_tokens
from plmjax.decode.sampling_loop import Drawer, Drawing, Limits, likeliest
from plmjax.errors import UserError
from plmjax.modules import Bound

NO_EOS = -1  # no token has this id

Method = Sampling | SampleAndRank | Beams


class Continuation(NamedTuple):
    """What was written after the prompts, `outputs` rows for each, side by side.

    Attributes:
        tokens: int32 [R, N], as wide as the longest row; `pad` after a row's EOS.
        lengths: int32 [R], the new tokens of each row, its EOS included.
        scores: float32 [R], of a beam search the sum of log probabilities over length ** length_penalty, of sample and
            rank the sum; None where nothing is ranked.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray | None = None


class _Request(NamedTuple):
    """The arrays and numbers of a checked request."""

    prompts: Prompts
    keys: jax.Array  # [B]
    limits: Limits
    rules: tuple[Rule, ...]


def continue_tokens(
    network: Bound,
    tokens_BL: np.ndarray,
    segments_BL: np.ndarray | None = None,
    *,
    max_new_tokens: int,
    key: jax.Array | None = None,
    sampling: Method = GREEDY,
    outputs: int = 1,
    **settings: Any,
) -> Continuation:
    """Continues each prompt (decoder), or writes the output that belongs to it (encoder-decoder).

    Args:
        network: a decoder or an encoder-decoder.
        tokens_BL: int [B, L], the prompts.
        segments_BL: int [B, L], 0 where a row has padding, at whichever end; None: no padding. An encoder with
            positions of its own counts them from the first column, as `transformers` has it.
        max_new_tokens: the most tokens to write for a row.
        key: one key, from which row i takes `fold_in(key, i)`, or an array of B keys; of several outputs of a row,
            output j takes `fold_in` of the row's key and j. A row's result depends on its own prompt and key only, not
            on the other rows. None is allowed where nothing is drawn.
        sampling: how to choose: by drawing (greedily at temperature 0), drawing and ranking, or beam search.
        outputs: rows of the result for each prompt: draws, or the best of what is ranked, the best first.
        settings: as those of `request`.

    Raises:
        UserError: the network can't continue text, or prompt and new tokens need more positions
            than it has.
        ValueError: an empty prompt, no key to sample with, or a number out of its range.
    """
    _check_outputs(sampling, outputs)
    asked = request(
        network.module, tokens_BL, segments_BL, max_new_tokens=max_new_tokens, key=key, sampling=sampling, **settings
    )
    slots = bucket(max_new_tokens)
    if isinstance(sampling, Beams):
        search = _beam_program(
            network.module, network.params, asked, Ending.of(sampling), slots=slots, beams=sampling.count
        )
        return _best(search, outputs, slots)
    drawing = _draw_program(network.module, network.params, asked, slots=slots, sampling=sampling, outputs=outputs)
    lengths_R = np.asarray(drawing.lengths)
    tokens_RN = np.asarray(drawing.written)[:, -slots:][:, : lengths_R.max()]
    return Continuation(
        tokens_RN, lengths_R, np.asarray(drawing.score) if isinstance(sampling, SampleAndRank) else None
    )


def stream_tokens(
    network: Bound,
    tokens_1L: np.ndarray,
    *,
    max_new_tokens: int,
    key: jax.Array | None = None,
    sampling: Sampling = GREEDY,
    chunk: int = 1,
    **settings: Any,
) -> Iterator[list[int]]:
    """The tokens that `continue_tokens` gives for one prompt, `chunk` at a time as they are written, EOS included.

    The prompt is read by one program and each chunk written by another, the same for all chunks of all texts.
    """
    asked = request(
        network.module, tokens_1L, None, max_new_tokens=max_new_tokens, key=key, sampling=sampling, **settings
    )
    slots = bucket(max_new_tokens)
    drawing, cache = _begin_program(network.module, network.params, asked, slots=slots, sampling=sampling)
    given = 0
    while True:
        count = int(drawing.lengths[0])
        yield np.asarray(drawing.written)[0, -slots:][given:count].tolist()
        given = count
        if count >= max_new_tokens or bool(drawing.done[0]):
            return
        drawing, cache = _chunk_program(
            network.module, network.params, asked, drawing, cache, count + chunk, slots=slots, sampling=sampling
        )


def request(
    module: nn.Module,
    tokens_BL: np.ndarray,
    segments_BL: np.ndarray | None,
    *,
    max_new_tokens: int,
    key: jax.Array | None,
    sampling: Method,
    eos: int | None = None,
    pad: int = 0,
    start: int | None = None,
    size: int | None = None,
    forbidden: Iterable[int] = (),
    rules: tuple[Rule, ...] = (),
    history_BH: np.ndarray | None = None,
) -> _Request:
    """What the programs take, checked.

    Args:
        module, tokens_BL, segments_BL, max_new_tokens, key, sampling: as `continue_tokens`'.
        eos: the token that ends a row; None: rows end at `max_new_tokens`.
        pad: what follows a row's EOS in the result.
        start: an encoder-decoder's first decoder token (T5: its padding id).
        size: the vocabulary's true size; the table's rows from there on are never drawn. None:
            every row counts.
        forbidden: ids that are never drawn, unless a rule forces one.
        rules: see rules.py.
        history_BH: int [B, H], what the rules count as written before, -1 where there is nothing; None: a decoder's
            prompt, an encoder-decoder's start token.

    Raises:
        UserError, ValueError: as `continue_tokens`.
    """
    rows = np.asarray(tokens_BL, np.int32)
    real_BL = np.ones(rows.shape, bool) if segments_BL is None else np.asarray(segments_BL) != 0
    lengths_B = real_BL.sum(axis=1)
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: give 1 or more.")
    if not lengths_B.size or not lengths_B.all():
        raise ValueError("A prompt has no token: give each row at least one, such as the EOS or BOS token.")
    known = getattr(module.config, "source_vocab_size", module.config.vocab_size)
    if not np.all((rows >= 0) & (rows < known) | ~real_BL):
        raise ValueError(f"A prompt has an id outside the network's {known} token rows.")
    decoder = module.kind == "decoder"
    if not decoder:  # an encoder counts its positions from the first column
        lengths_B = np.full(len(rows), int(np.flatnonzero(real_BL.any(axis=0))[-1]) + 1)
    check_positions(module, int(lengths_B.max()), max_new_tokens)
    table = module.config.vocab_size
    limits = Limits(
        most=max_new_tokens,
        eos=NO_EOS if eos is None else eos,
        pad=pad,
        allowed=allowed_tokens(table, table if size is None else min(size, table), forbidden),
    )
    if not decoder and start is None:
        raise ValueError("An encoder-decoder needs `start`, the first token that its decoder reads.")
    length = bucket(int(lengths_B.max()), most=getattr(module.config, "max_positions", None))
    tokens_BL, segments_BL = (_pack if decoder else _widen)(rows, real_BL, length, pad)
    prompts = Prompts(
        tokens_BL,
        segments_BL,
        -1 if start is None else start,
        _history(rows, real_BL, start if not decoder else None, history_BH)
        if rules
        else np.zeros((len(rows), 0), np.int32),
    )
    return _Request(prompts, _row_keys(key, len(rows), sampling), limits, rules)


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


def _row_keys(key: jax.Array | None, rows: int, sampling: Method) -> jax.Array:
    if key is None:
        if not (isinstance(sampling, Beams) or sampling == GREEDY or getattr(sampling, "temperature", 1) == 0):
            raise ValueError("Sampling needs a key; greedy decoding is temperature 0.")
        key = jax.random.key(0)
    if key.ndim:
        return key
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))


def _check_outputs(sampling: Method, outputs: int) -> None:
    """Raises a ValueError where there are not so many different texts."""
    if outputs < 1:
        raise ValueError(f"num_return_sequences is {outputs}: give 1 or more.")
    if isinstance(sampling, Beams) and outputs > sampling.count:
        raise ValueError(
            f"num_return_sequences is {outputs}, but a search with {sampling.count} beams finds that many."
        )
    if isinstance(sampling, SampleAndRank) and outputs > sampling.candidates:
        raise ValueError(
            f"num_return_sequences is {outputs}, but the best are taken of {sampling.candidates} candidates."
        )
    if isinstance(sampling, Sampling) and sampling.temperature == 0 and outputs > 1:
        raise ValueError(
            f"Greedy decoding gives one text, not {outputs}: sample (temperature over 0, do_sample) or set num_beams."
        )


def _history(rows_BL: np.ndarray, real_BL: np.ndarray, start: int | None, history_BH: np.ndarray | None) -> np.ndarray:
    """int32 [B, a bucket], the ids on the right."""
    if start is not None:
        history_BH = np.full((len(rows_BL), 1), start)
    if history_BH is None:
        history_BH, _ = _pack(rows_BL, real_BL, rows_BL.shape[1], -1)
    fill = bucket(history_BH.shape[1]) - history_BH.shape[1]
    return np.pad(np.asarray(history_BH, np.int32), ((0, 0), (fill, 0)), constant_values=-1)


def _best(search: Search, outputs: int, slots: int) -> Continuation:
    """The first `outputs` texts of each search."""
    lengths_R = np.asarray(search.ended_lengths)[:, :outputs].reshape(-1)
    tokens_RN = np.asarray(search.ended)[:, :outputs, -slots:].reshape(-1, slots)[:, : lengths_R.max()]
    return Continuation(tokens_RN, lengths_R, np.asarray(search.ended_scores)[:, :outputs].reshape(-1))


def _pack(rows_BL: np.ndarray, real_BL: np.ndarray, length: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The real tokens of each row, side by side, with padding to `length` on the left."""
    tokens = np.full((len(rows_BL), length), pad, np.int32)
    segments = np.zeros((len(rows_BL), length), np.int32)
    for row, (tokens_L, real_L) in enumerate(zip(rows_BL, real_BL, strict=True)):
        prompt = tokens_L[real_L]
        tokens[row, length - len(prompt) :] = prompt
        segments[row, length - len(prompt) :] = 1
    return tokens, segments


def _widen(rows_BL: np.ndarray, real_BL: np.ndarray, length: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows as they are, with padding to `length` on the right."""
    rows_BL, real_BL = rows_BL[:, :length], real_BL[:, :length]
    room = ((0, 0), (0, length - rows_BL.shape[1]))
    return np.pad(np.where(real_BL, rows_BL, pad), room, constant_values=pad), np.pad(real_BL, room).astype(np.int32)


def _draw(
    module: nn.Module, params: Any, asked: _Request, *, slots: int, sampling: Sampling | SampleAndRank, outputs: int
) -> Drawing:
    drawing, cache = _begin(module, params, asked, slots=slots, sampling=sampling, outputs=outputs)
    how: dict[str, Any] = {"slots": slots, "sampling": sampling, "outputs": outputs}
    drawing, _ = _go_on(module, params, asked, drawing, cache, asked.limits.most, whole=True, **how)
    if isinstance(sampling, SampleAndRank):
        return likeliest(drawing, sampling.candidates, outputs)
    return drawing


def _begin(
    module: nn.Module,
    params: Any,
    asked: _Request,
    *,
    slots: int,
    sampling: Sampling | SampleAndRank,
    outputs: int = 1,
) -> tuple[Drawing, Any]:
    """The first token of every row."""
    drawer = _drawer(asked, sampling, outputs)
    copies = len(drawer.keys) // len(asked.keys)
    opening = prefill(Bound(module, params), asked.prompts, slots, copies)
    history_RH = jnp.repeat(asked.prompts.history, copies, axis=0)
    return drawer.begin(opening, history_RH, slots), opening.cache


def _go_on(
    module: nn.Module,
    params: Any,
    asked: _Request,
    drawing: Drawing,
    cache: Any,
    until: jax.Array,
    *,
    slots: int,
    sampling: Sampling | SampleAndRank,
    outputs: int = 1,
    whole: bool = False,
) -> tuple[Drawing, Any]:
    """The tokens after the first, up to `until` in all; `whole`: that is the whole text, not a piece of it."""
    drawer, network = _drawer(asked, sampling, outputs), Bound(module, params)
    step = many_steps(network, len(drawing.token), slots) if whole else partial(advance, network)
    return drawer.go_on(drawing, cache, step, slots, until)


def _drawer(asked: _Request, sampling: Sampling | SampleAndRank, outputs: int) -> Drawer:
    ranked = isinstance(sampling, SampleAndRank)
    copies = sampling.candidates if isinstance(sampling, SampleAndRank) else outputs
    keys_R = asked.keys
    if copies > 1:
        copy_keys = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(None, 0)), in_axes=(0, None))
        keys_R = copy_keys(asked.keys, jnp.arange(copies)).reshape(-1)
    inner = sampling.sampling if isinstance(sampling, SampleAndRank) else sampling
    return Drawer(keys_R, asked.limits, asked.rules, inner, ranked)


def _search(module: nn.Module, params: Any, asked: _Request, ending: Ending, *, slots: int, beams: int) -> Search:
    network = Bound(module, params)
    opening = prefill(network, asked.prompts, slots, beams)
    searcher = Searcher(beams, ending, asked.limits, asked.rules)
    shared = new_columns(asked.prompts, module.kind == "decoder")
    step = many_steps(network, opening.logits.shape[0], slots)
    return searcher.run(opening, jnp.asarray(asked.prompts.history), step, slots, shared)


_STATIC = ("module", "slots", "sampling")
_draw_program = jax.jit(_draw, static_argnames=(*_STATIC, "outputs"))
_beam_program = jax.jit(_search, static_argnames=("module", "slots", "beams"))
_begin_program = jax.jit(_begin, static_argnames=_STATIC)
_chunk_program = jax.jit(_go_on, static_argnames=_STATIC, donate_argnames=("drawing", "cache"))


def compilations() -> int:
    """How many programs have been compiled so far."""
    programs = (_draw_program, _beam_program, _begin_program, _chunk_program)
    return sum(program._cache_size() for program in programs)  # type: ignore[attr-defined]

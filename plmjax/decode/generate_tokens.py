"""Continuing token sequences with a key-value cache, in one compiled program for any prompt of the
same bucket.

Legend: B prompts, L length of the prompt, R rows of the result, N new tokens, V vocabulary rows.

The program is prefill, then a `while_loop` that ends as soon as every row has ended: see prefill.py, sampling_loop.py
for greedy decoding and sampling, beam_search.py, and logits_processors.py.

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

from plmjax.data.buckets import bucket
from plmjax.decode.beam_search import Beams, BeamSearch, BeamState, EarlyStopping
from plmjax.decode.config import Strategy, check_sequences
from plmjax.decode.logits_processors import LogitsProcessor
from plmjax.decode.prefill import Prompts, decode_step, make_decode_step, new_columns, prefill
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling, allowed_tokens
from plmjax.decode.sampling_loop import GenerationLimits, Sampler, SamplingState, best_candidates
from plmjax.errors import UserError
from plmjax.modules import Bound
from plmjax.modules.facts import max_positions_of, source_vocab_size_of
from plmjax.modules.network import Network

NO_EOS = -1  # no token has this id


class GenerationOutput(NamedTuple):
    """The tokens that follow the prompts, `outputs` rows for each, side by side.

    Attributes:
        tokens: int32 [R, N], as wide as the longest row; `pad` after a row's EOS.
        lengths: int32 [R], the new tokens of each row, its EOS included.
        scores: float32 [R], of a beam search the sum of log probabilities over length ** length_penalty, of sample and
            rank the sum; None where nothing is ranked.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray | None = None


class _Inputs(NamedTuple):
    """The arrays and numbers of a checked request."""

    prompts: Prompts
    keys: jax.Array  # [B]
    limits: GenerationLimits
    processors: tuple[LogitsProcessor, ...]


def generate_tokens(
    network: Bound,
    tokens_BL: np.ndarray,
    segments_BL: np.ndarray | None = None,
    *,
    max_new_tokens: int,
    key: jax.Array | None = None,
    sampling: Strategy = GREEDY,
    outputs: int = 1,
    **settings: Any,
) -> GenerationOutput:
    """Continues each prompt (decoder), or generates the output that belongs to it (encoder-decoder).

    Args:
        network: a decoder or an encoder-decoder.
        tokens_BL: int [B, L], the prompts.
        segments_BL: int [B, L], 0 where a row has padding, at whichever end; None: no padding. An encoder with
            positions of its own counts them from the first column, as `transformers` has it.
        max_new_tokens: the most tokens to write for a row.
        key: one key, from which row i takes `fold_in(key, i)`, or an array of B keys; of several outputs of a row,
            output j takes `fold_in` of the row's key and j. A row's result depends on its own prompt and key only, not
            on the other rows. None is allowed where nothing is drawn.
        sampling: how to choose: sampling (greedily at temperature 0), sampling and ranking, or beam search.
        outputs: rows of the result for each prompt: draws, or the best of what is ranked, the best first.
        settings: as those of `prepare_inputs`.

    Raises:
        UserError: the network can't continue text, or prompt and new tokens need more positions
            than it has.
        ValueError: an empty prompt, no key to sample with, or a number out of its range.
    """
    check_sequences(sampling, outputs)
    inputs = prepare_inputs(
        network.module, tokens_BL, segments_BL, max_new_tokens=max_new_tokens, key=key, sampling=sampling, **settings
    )
    slots = bucket(max_new_tokens)
    if isinstance(sampling, Beams):
        state = _beam_program(
            network.module, network.params, inputs, EarlyStopping.of(sampling), slots=slots, beams=sampling.count
        )
        return _best(state, outputs, slots)
    state = _sample_program(network.module, network.params, inputs, slots=slots, sampling=sampling, outputs=outputs)
    lengths_R = np.asarray(state.lengths)
    tokens_RN = np.asarray(state.written)[:, -slots:][:, : lengths_R.max()]
    return GenerationOutput(
        tokens_RN, lengths_R, np.asarray(state.score) if isinstance(sampling, SampleAndRank) else None
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
    """The tokens that `generate_tokens` gives for one prompt, `chunk` at a time as they are written, EOS included.

    The prompt is read by one program and each chunk written by another, the same for all chunks of all texts.
    """
    inputs = prepare_inputs(
        network.module, tokens_1L, None, max_new_tokens=max_new_tokens, key=key, sampling=sampling, **settings
    )
    slots = bucket(max_new_tokens)
    state, cache = _start_program(network.module, network.params, inputs, slots=slots, sampling=sampling)
    given = 0
    while True:
        count = int(state.lengths[0])
        yield np.asarray(state.written)[0, -slots:][given:count].tolist()
        given = count
        if count >= max_new_tokens or bool(state.done[0]):
            return
        state, cache = _chunk_program(
            network.module, network.params, inputs, state, cache, count + chunk, slots=slots, sampling=sampling
        )


def prepare_inputs(
    module: Network,
    tokens_BL: np.ndarray,
    segments_BL: np.ndarray | None,
    *,
    max_new_tokens: int,
    key: jax.Array | None,
    sampling: Strategy,
    eos: int | None = None,
    pad: int = 0,
    start: int | None = None,
    size: int | None = None,
    forbidden: Iterable[int] = (),
    processors: tuple[LogitsProcessor, ...] = (),
    history_BH: np.ndarray | None = None,
) -> _Inputs:
    """Checks a request and gives what the programs take.

    Args:
        module, tokens_BL, segments_BL, max_new_tokens, key, sampling: as `generate_tokens`'.
        eos: the token that ends a row; None: rows end at `max_new_tokens`.
        pad: what follows a row's EOS in the result.
        start: an encoder-decoder's first decoder token (T5: its padding id).
        size: the vocabulary's true size; the table's rows from there on are never drawn. None:
            every row counts.
        forbidden: ids that are never drawn, unless a processor forces one.
        processors: see logits_processors.py.
        history_BH: int [B, H], the tokens that the processors count as written before, -1 where there is none; None: a
            decoder's prompt, an encoder-decoder's start token.

    Raises:
        UserError, ValueError: as `generate_tokens`.
    """
    rows = np.asarray(tokens_BL, np.int32)
    real_BL = np.ones(rows.shape, bool) if segments_BL is None else np.asarray(segments_BL) != 0
    lengths_B = real_BL.sum(axis=1)
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: give 1 or more.")
    if not lengths_B.size or not lengths_B.all():
        raise ValueError("A prompt has no token: give each row at least one, such as the EOS or BOS token.")
    known = source_vocab_size_of(module.config)
    if not np.all((rows >= 0) & (rows < known) | ~real_BL):
        raise ValueError(f"A prompt has an id outside the network's {known} token rows.")
    decoder = module.kind == "decoder"
    if not decoder:  # an encoder counts its positions from the first column
        lengths_B = np.full(len(rows), int(np.flatnonzero(real_BL.any(axis=0))[-1]) + 1)
    check_positions(module, int(lengths_B.max()), max_new_tokens)
    table = module.config.vocab_size
    limits = GenerationLimits(
        most=max_new_tokens,
        eos=NO_EOS if eos is None else eos,
        pad=pad,
        allowed=allowed_tokens(table, table if size is None else min(size, table), forbidden),
    )
    if not decoder and start is None:
        raise ValueError("An encoder-decoder needs `start`, the first token that its decoder reads.")
    length = bucket(int(lengths_B.max()), most=max_positions_of(module.config))
    tokens_BL, segments_BL = (_pack if decoder else _widen)(rows, real_BL, length, pad)
    prompts = Prompts(
        tokens_BL,
        segments_BL,
        -1 if start is None else start,
        _history(rows, real_BL, start if not decoder else None, history_BH)
        if processors
        else np.zeros((len(rows), 0), np.int32),
    )
    return _Inputs(prompts, _row_keys(key, len(rows), sampling), limits, processors)


def check_positions(module: Network, prompt: int, new: int) -> None:
    """Refuses a network that can't continue, or whose absolute positions end before the text would.

    Raises:
        UserError: in one sentence with the remedy.
    """
    if module.kind not in ("decoder", "encoder_decoder"):
        raise unsupported_kind(module, "continue a text", "use a decoder or an encoder-decoder")
    positions = max_positions_of(module.config)
    if not positions:
        return
    needed = prompt + new if module.kind == "decoder" else max(prompt, new)
    if needed > positions:
        raise UserError(
            f"The prompt's {prompt} tokens and {new} new ones need {needed} positions, but this "
            f"network has {positions}: shorten the prompt or lower max_new_tokens."
        )


def unsupported_kind(module: Network, action: str, remedy: str) -> UserError:
    """The error for a network that can't do what is asked."""
    kind = module.kind.replace("_", "-")
    return UserError(f"This checkpoint ({type(module).__name__}, {kind}) can't {action}: {remedy}.")


def _row_keys(key: jax.Array | None, rows: int, sampling: Strategy) -> jax.Array:
    if key is None:
        if not (isinstance(sampling, Beams) or sampling == GREEDY or getattr(sampling, "temperature", 1) == 0):
            raise ValueError("Sampling needs a key; greedy decoding is temperature 0.")
        key = jax.random.key(0)
    if key.ndim:
        return key
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))


def _history(rows_BL: np.ndarray, real_BL: np.ndarray, start: int | None, history_BH: np.ndarray | None) -> np.ndarray:
    """int32 [B, a bucket], the ids on the right."""
    if start is not None:
        history_BH = np.full((len(rows_BL), 1), start)
    if history_BH is None:
        history_BH, _ = _pack(rows_BL, real_BL, rows_BL.shape[1], -1)
    fill = bucket(history_BH.shape[1]) - history_BH.shape[1]
    return np.pad(np.asarray(history_BH, np.int32), ((0, 0), (fill, 0)), constant_values=-1)


def _best(state: BeamState, outputs: int, slots: int) -> GenerationOutput:
    """The first `outputs` texts of each search."""
    lengths_R = np.asarray(state.finished_lengths)[:, :outputs].reshape(-1)
    tokens_RN = np.asarray(state.finished)[:, :outputs, -slots:].reshape(-1, slots)[:, : lengths_R.max()]
    return GenerationOutput(tokens_RN, lengths_R, np.asarray(state.finished_scores)[:, :outputs].reshape(-1))


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


def _sample(
    module: Network, params: Any, inputs: _Inputs, *, slots: int, sampling: Sampling | SampleAndRank, outputs: int
) -> SamplingState:
    state, cache = _start(module, params, inputs, slots=slots, sampling=sampling, outputs=outputs)
    how: dict[str, Any] = {"slots": slots, "sampling": sampling, "outputs": outputs}
    state, _ = _resume(module, params, inputs, state, cache, inputs.limits.most, whole=True, **how)
    if isinstance(sampling, SampleAndRank):
        return best_candidates(state, sampling.candidates, outputs)
    return state


def _start(
    module: Network,
    params: Any,
    inputs: _Inputs,
    *,
    slots: int,
    sampling: Sampling | SampleAndRank,
    outputs: int = 1,
) -> tuple[SamplingState, Any]:
    """The first token of every row."""
    sampler = _sampler(inputs, sampling, outputs)
    copies = len(sampler.keys) // len(inputs.keys)
    prefilled = prefill(Bound(module, params), inputs.prompts, slots, copies)
    history_RH = jnp.repeat(inputs.prompts.history, copies, axis=0)
    return sampler.start(prefilled, history_RH, slots), prefilled.cache


def _resume(
    module: Network,
    params: Any,
    inputs: _Inputs,
    state: SamplingState,
    cache: Any,
    until: jax.Array,
    *,
    slots: int,
    sampling: Sampling | SampleAndRank,
    outputs: int = 1,
    whole: bool = False,
) -> tuple[SamplingState, Any]:
    """The tokens after the first, up to `until` in all; `whole`: that is the whole text, not a piece of it."""
    sampler, network = _sampler(inputs, sampling, outputs), Bound(module, params)
    step = make_decode_step(network, len(state.token), slots) if whole else partial(decode_step, network)
    return sampler.resume(state, cache, step, slots, until)


def _sampler(inputs: _Inputs, sampling: Sampling | SampleAndRank, outputs: int) -> Sampler:
    ranked = isinstance(sampling, SampleAndRank)
    copies = sampling.candidates if isinstance(sampling, SampleAndRank) else outputs
    keys_R = inputs.keys
    if copies > 1:
        copy_keys = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(None, 0)), in_axes=(0, None))
        keys_R = copy_keys(inputs.keys, jnp.arange(copies)).reshape(-1)
    inner = sampling.sampling if isinstance(sampling, SampleAndRank) else sampling
    return Sampler(keys_R, inputs.limits, inputs.processors, inner, ranked)


def _beam_search(
    module: Network, params: Any, inputs: _Inputs, ending: EarlyStopping, *, slots: int, beams: int
) -> BeamState:
    network = Bound(module, params)
    prefilled = prefill(network, inputs.prompts, slots, beams)
    search = BeamSearch(beams, ending, inputs.limits, inputs.processors)
    shared = new_columns(inputs.prompts, module.kind == "decoder")
    step = make_decode_step(network, prefilled.logits.shape[0], slots)
    return search.run(prefilled, jnp.asarray(inputs.prompts.history), step, slots, shared)


_STATIC = ("module", "slots", "sampling")
_sample_program = jax.jit(_sample, static_argnames=(*_STATIC, "outputs"))
_beam_program = jax.jit(_beam_search, static_argnames=("module", "slots", "beams"))
_start_program = jax.jit(_start, static_argnames=_STATIC)
_chunk_program = jax.jit(_resume, static_argnames=_STATIC, donate_argnames=("state", "cache"))


def compilations() -> int:
    """The number of programs compiled so far."""
    programs = (_sample_program, _beam_program, _start_program, _chunk_program)
    return sum(program._cache_size() for program in programs)  # type: ignore[attr-defined]

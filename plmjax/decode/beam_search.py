"""Beam search in one compiled loop, with length penalty, early stopping and n-best lists as in `transformers`.

Each text has K running hypotheses, and the K best finished ones are kept. A step takes the 2 K likeliest one-token
continuations of all running hypotheses, so that at least K of them go on; a finished one is kept if it is among the
first K, and is scored by its sum of log probabilities over its length to the power of the length penalty.

Legend: B texts, K beams, R = B K rows, C = 2 K candidates, T columns of what is written, V vocabulary rows.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.logits_processors import LogitsProcessor, TokenHistory, apply_logits_processors
from plmjax.decode.prefill import PrefillOutput
from plmjax.decode.sampling_loop import DecodeStep, GenerationLimits
from plmjax.modules.cache import take_rows

WORST = -1.0e9  # under every real score, and finite


@dataclasses.dataclass(frozen=True, slots=True)
class Beams:
    """The settings of a beam search.

    Raises:
        ValueError: a value that means nothing.
    """

    count: int  # K, running hypotheses
    length_penalty: float = 1.0  # above 0 favours long texts, below 0 short ones
    # True: a text is done when K of its hypotheses are finished; False: when no running one beats them at its present
    # length; "never": when none could at any length.
    early_stopping: bool | str = False

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"num_beams is {self.count}: a beam search needs 2 or more.")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(f"early_stopping is {self.early_stopping!r}: give True, False or 'never'.")


class EarlyStopping(NamedTuple):
    """The settings as numbers, so that changing them compiles nothing."""

    length_penalty: Any
    when_full: Any  # early_stopping True
    never: Any  # early_stopping "never"

    @classmethod
    def of(cls, beams: Beams) -> EarlyStopping:
        """The numbers of these settings."""
        return cls(float(beams.length_penalty), beams.early_stopping is True, beams.early_stopping == "never")


class BeamState(NamedTuple):
    """The running hypotheses, the best first, and the best finished ones.

    Attributes:
        new: int32 scalar, new tokens so far.
        written: int32 [B, K, T], the history, then the new tokens; `scores` float32 [B, K], sums of log probabilities.
        parents: int32 [B, K], the beam that each continues.
        finished: int32 [B, K, T]; `finished_scores` float32 [B, K] with the length penalty; `finished_lengths` int32
            [B, K], new tokens; `is_finished` bool [B, K], False where there is no text yet.
        can_improve: bool [B], whether a running hypothesis might still beat a finished one.
        done: bool scalar, whether nothing more can change.
    """

    new: jax.Array
    written: jax.Array
    scores: jax.Array
    parents: jax.Array
    finished: jax.Array
    finished_scores: jax.Array
    finished_lengths: jax.Array
    is_finished: jax.Array
    can_improve: jax.Array
    done: jax.Array


class BeamSearch(NamedTuple):
    """A beam search with `beams` running hypotheses for each text."""

    beams: int
    early_stopping: EarlyStopping
    limits: GenerationLimits
    processors: tuple[LogitsProcessor, ...]

    def run(
        self, prefilled: PrefillOutput, history_BH: jax.Array, decode_step: DecodeStep, slots: int, shared: int
    ) -> BeamState:
        """Searches to the end. The first `shared` columns of the cache are the same for all beams of a text."""
        texts = history_BH.shape[0]

        def step(carry: tuple[BeamState, jax.Array, Any]) -> tuple[BeamState, jax.Array, Any]:
            state, position_R, cache = carry
            token_R = _newest(state, slots).reshape(-1)
            logits_RV, cache = decode_step(token_R, position_R, cache)
            state = self._extend(state, logits_RV, slots)
            rows_R = (state.parents + jnp.arange(texts)[:, None] * self.beams).reshape(-1)
            return state, position_R + 1, take_rows(cache, rows_R, shared)

        # All beams of a text are the same at first: the first one's continuations alone count.
        first = self._extend(self._empty(history_BH, slots), prefilled.logits, slots)
        start = (first, prefilled.position, prefilled.cache)
        state, _, _ = jax.lax.while_loop(lambda carry: ~carry[0].done, step, start)
        return state

    def _empty(self, history_BH: jax.Array, slots: int) -> BeamState:
        texts, shape = history_BH.shape[0], (history_BH.shape[0], self.beams)
        history_BKH = jnp.repeat(history_BH[:, None], self.beams, axis=1)
        room_BKS = jnp.full((*shape, slots), self.limits.pad, jnp.int32)
        written_BKT = jnp.concatenate([history_BKH, room_BKS], axis=2)
        return BeamState(
            new=jnp.zeros((), jnp.int32),
            written=written_BKT,
            scores=jnp.full(shape, WORST).at[:, 0].set(0.0),
            parents=jnp.zeros(shape, jnp.int32),
            finished=written_BKT,
            finished_scores=jnp.full(shape, WORST),
            finished_lengths=jnp.zeros(shape, jnp.int32),
            is_finished=jnp.zeros(shape, bool),
            can_improve=jnp.ones(texts, bool),
            done=jnp.zeros((), bool),
        )

    def _extend(self, state: BeamState, logits_RV: jax.Array, slots: int) -> BeamState:
        """One more token: which hypotheses run on, which are finished."""
        limits, texts = self.limits, state.scores.shape[0]
        column = state.written.shape[2] - slots + state.new
        length = state.new + 1
        logs_BKV = self._log_probabilities(state, logits_RV, column).reshape(texts, self.beams, -1)
        scores_BC, flat_BC = jax.lax.top_k((state.scores[..., None] + logs_BKV).reshape(texts, -1), 2 * self.beams)
        parents_BC, tokens_BC = jnp.divmod(flat_BC, logs_BKV.shape[2])
        written_BCT = jnp.take_along_axis(state.written, parents_BC[..., None], axis=1)
        written_BCT = jax.lax.dynamic_update_slice(written_BCT, tokens_BC[..., None].astype(jnp.int32), (0, 0, column))
        ends_BC = (tokens_BC == limits.eos) | (length >= limits.most)

        running_BC = scores_BC + jnp.where(ends_BC, WORST, 0.0)
        running_BK, kept_BK = jax.lax.top_k(running_BC, self.beams)
        keeps_BC = ends_BC & (jnp.arange(2 * self.beams) < self.beams)[None]
        full_B = state.is_finished.all(axis=1) & self.early_stopping.when_full
        open_BC = keeps_BC & (~full_B & state.can_improve)[:, None]
        candidate_BC = scores_BC / length.astype(jnp.float32) ** self.early_stopping.length_penalty
        candidate_BC = jnp.where(open_BC, candidate_BC, 2 * WORST)
        merged_scores = jnp.concatenate([state.finished_scores, candidate_BC], axis=1)
        finished_scores_BK, best_BK = jax.lax.top_k(merged_scores, self.beams)

        def best(kept: jax.Array, new: jax.Array) -> jax.Array:
            merged = jnp.concatenate([kept, new.astype(kept.dtype)], axis=1)
            return jnp.take_along_axis(merged, best_BK.reshape(*best_BK.shape, *(1,) * (merged.ndim - 2)), axis=1)

        is_finished_BK = best(state.is_finished, open_BC)
        can_improve_B = state.can_improve & self._can_improve(
            running_BK[:, 0], finished_scores_BK, is_finished_BK, length
        )
        return BeamState(
            new=length,
            written=jnp.take_along_axis(written_BCT, kept_BK[..., None], axis=1),
            scores=running_BK,
            parents=jnp.take_along_axis(parents_BC, kept_BK, axis=1).astype(jnp.int32),
            finished=best(state.finished, written_BCT),
            finished_scores=finished_scores_BK,
            finished_lengths=best(state.finished_lengths, jnp.broadcast_to(length, ends_BC.shape)),
            is_finished=is_finished_BK,
            can_improve=can_improve_B,
            done=~can_improve_B.any() | (is_finished_BK.all() & self.early_stopping.when_full) | ends_BC.all(),
        )

    def _log_probabilities(self, state: BeamState, logits_RV: jax.Array, column: jax.Array) -> jax.Array:
        """[R, V]. The processors change log probabilities, which are not normalised again after them."""
        logits_RV = jnp.where(self.limits.allowed[None], logits_RV, -jnp.inf)
        written_RT = state.written.reshape(logits_RV.shape[0], -1)
        written = TokenHistory(written_RT, column, state.new, self.limits.most)
        return apply_logits_processors(self.processors, jax.nn.log_softmax(logits_RV), written)

    def _can_improve(
        self, best_B: jax.Array, finished_BK: jax.Array, is_finished_BK: jax.Array, length: jax.Array
    ) -> Any:
        """bool [B]: whether the best running hypothesis, at its judged length, beats the worst finished one."""
        far = self.early_stopping.never & (self.early_stopping.length_penalty > 0)
        judged = jnp.where(far, self.limits.most, length).astype(jnp.float32)
        possible_B1 = (best_B / judged**self.early_stopping.length_penalty)[:, None]
        worst_BK = jnp.where(is_finished_BK, jnp.min(finished_BK, axis=1, keepdims=True), WORST)
        return jnp.any(possible_B1 > worst_BK, axis=1)


def _newest(state: BeamState, slots: int) -> jax.Array:
    column = state.written.shape[2] - slots + state.new - 1
    return jax.lax.dynamic_index_in_dim(state.written, column, axis=2, keepdims=False)

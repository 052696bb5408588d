"""Beam search with the rules of `transformers` for length, ending and n-best lists, in one compiled loop.

Of each text, the K likeliest beginnings go on, and the K best that have ended are kept. A step takes the 2 K likeliest
one-token continuations of all beginnings, so that at least K have not ended; of those that have, only such as are among
the first K are kept, by the sum of their log probabilities over their length to the power of the length penalty.

Legend: B texts, K beams, R = B K rows, C = 2 K candidates, T columns of what is written, V vocabulary rows.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.logits_processors import Rule, Written, apply_rules
from plmjax.decode.prefill import Opening
from plmjax.decode.sampling_loop import Advance, Limits
from plmjax.modules.cache import take_rows

WORST = -1.0e9  # under every real score, and finite


@dataclasses.dataclass(frozen=True, slots=True)
class Beams:
    """How to search.

    Raises:
        ValueError: a value that means nothing.
    """

    count: int  # beginnings that go on
    length_penalty: float = 1.0  # over 0 favours long texts, under 0 short ones
    # True: a text is done when K of its beginnings have ended; False: when none that goes on could beat them at its
    # present length; "never": at the best length that it could still reach.
    early_stopping: bool | str = False

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"num_beams is {self.count}: a beam search needs 2 or more.")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(f"early_stopping is {self.early_stopping!r}: give True, False or 'never'.")


class Ending(NamedTuple):
    """A search's settings as numbers, so that changing them compiles nothing."""

    length_penalty: Any
    at_once: Any  # early_stopping True
    never_early: Any  # early_stopping "never"

    @classmethod
    def of(cls, beams: Beams) -> Ending:
        """The numbers of these settings."""
        return cls(float(beams.length_penalty), beams.early_stopping is True, beams.early_stopping == "never")


class Search(NamedTuple):
    """Beginnings that go on, the best first, and the best texts that have ended.

    Attributes:
        new: int32 scalar, new tokens so far.
        written: int32 [B, K, T], the history, then the new tokens; `scores` float32 [B, K], sums of log probabilities.
        parents: int32 [B, K], the beam that each goes on from.
        ended: int32 [B, K, T]; `ended_scores` float32 [B, K] with the length penalty; `ended_lengths` int32 [B, K], new
            tokens; `has_ended` bool [B, K], False where there is no text yet.
        hopeful: bool [B], whether a beginning might still beat what has ended.
        done: bool scalar, whether nothing more can change.
    """

    new: jax.Array
    written: jax.Array
    scores: jax.Array
    parents: jax.Array
    ended: jax.Array
    ended_scores: jax.Array
    ended_lengths: jax.Array
    has_ended: jax.Array
    hopeful: jax.Array
    done: jax.Array


class Searcher(NamedTuple):
    """A beam search over `beams` beginnings a text."""

    beams: int
    ending: Ending
    limits: Limits
    rules: tuple[Rule, ...]

    def run(self, opening: Opening, history_BH: jax.Array, advance: Advance, slots: int, shared: int) -> Search:
        """Searches to the end. The first `shared` columns of the cache are the same for all beams of a text."""
        texts = history_BH.shape[0]

        def step(carry: tuple[Search, jax.Array, Any]) -> tuple[Search, jax.Array, Any]:
            search, position_R, cache = carry
            token_R = _newest(search, slots).reshape(-1)
            logits_RV, cache = advance(token_R, position_R, cache)
            search = self._extend(search, logits_RV, slots)
            rows_R = (search.parents + jnp.arange(texts)[:, None] * self.beams).reshape(-1)
            return search, position_R + 1, take_rows(cache, rows_R, shared)

        # All beams of a text are the same at first: the first one's continuations alone count.
        first = self._extend(self._empty(history_BH, slots), opening.logits, slots)
        search, _, _ = jax.lax.while_loop(lambda carry: ~carry[0].done, step, (first, opening.position, opening.cache))
        return search

    def _empty(self, history_BH: jax.Array, slots: int) -> Search:
        texts, shape = history_BH.shape[0], (history_BH.shape[0], self.beams)
        history_BKH = jnp.repeat(history_BH[:, None], self.beams, axis=1)
        room_BKS = jnp.full((*shape, slots), self.limits.pad, jnp.int32)
        written_BKT = jnp.concatenate([history_BKH, room_BKS], axis=2)
        return Search(
            new=jnp.zeros((), jnp.int32),
            written=written_BKT,
            scores=jnp.full(shape, WORST).at[:, 0].set(0.0),
            parents=jnp.zeros(shape, jnp.int32),
            ended=written_BKT,
            ended_scores=jnp.full(shape, WORST),
            ended_lengths=jnp.zeros(shape, jnp.int32),
            has_ended=jnp.zeros(shape, bool),
            hopeful=jnp.ones(texts, bool),
            done=jnp.zeros((), bool),
        )

    def _extend(self, search: Search, logits_RV: jax.Array, slots: int) -> Search:
        """One more token: which beginnings go on, which have ended."""
        limits, texts = self.limits, search.scores.shape[0]
        column = search.written.shape[2] - slots + search.new
        length = search.new + 1
        logs_BKV = self._log_probabilities(search, logits_RV, column).reshape(texts, self.beams, -1)
        scores_BC, flat_BC = jax.lax.top_k((search.scores[..., None] + logs_BKV).reshape(texts, -1), 2 * self.beams)
        parents_BC, tokens_BC = jnp.divmod(flat_BC, logs_BKV.shape[2])
        written_BCT = jnp.take_along_axis(search.written, parents_BC[..., None], axis=1)
        written_BCT = jax.lax.dynamic_update_slice(written_BCT, tokens_BC[..., None].astype(jnp.int32), (0, 0, column))
        ends_BC = (tokens_BC == limits.eos) | (length >= limits.most)

        running_BC = scores_BC + jnp.where(ends_BC, WORST, 0.0)
        running_BK, go_on_BK = jax.lax.top_k(running_BC, self.beams)
        keeps_BC = ends_BC & (jnp.arange(2 * self.beams) < self.beams)[None]
        full_B = search.has_ended.all(axis=1) & self.ending.at_once
        open_BC = keeps_BC & (~full_B & search.hopeful)[:, None]
        candidate_BC = scores_BC / length.astype(jnp.float32) ** self.ending.length_penalty
        candidate_BC = jnp.where(open_BC, candidate_BC, 2 * WORST)
        merged_scores = jnp.concatenate([search.ended_scores, candidate_BC], axis=1)
        ended_scores_BK, best_BK = jax.lax.top_k(merged_scores, self.beams)

        def best(kept: jax.Array, new: jax.Array) -> jax.Array:
            merged = jnp.concatenate([kept, new.astype(kept.dtype)], axis=1)
            return jnp.take_along_axis(merged, best_BK.reshape(*best_BK.shape, *(1,) * (merged.ndim - 2)), axis=1)

        has_ended_BK = best(search.has_ended, open_BC)
        hopeful_B = search.hopeful & self._may_improve(running_BK[:, 0], ended_scores_BK, has_ended_BK, length)
        return Search(
            new=length,
            written=jnp.take_along_axis(written_BCT, go_on_BK[..., None], axis=1),
            scores=running_BK,
            parents=jnp.take_along_axis(parents_BC, go_on_BK, axis=1).astype(jnp.int32),
            ended=best(search.ended, written_BCT),
            ended_scores=ended_scores_BK,
            ended_lengths=best(search.ended_lengths, jnp.broadcast_to(length, ends_BC.shape)),
            has_ended=has_ended_BK,
            hopeful=hopeful_B,
            done=~hopeful_B.any() | (has_ended_BK.all() & self.ending.at_once) | ends_BC.all(),
        )

    def _log_probabilities(self, search: Search, logits_RV: jax.Array, column: jax.Array) -> jax.Array:
        """[R, V]. The rules change log probabilities, which are not normalised again after them."""
        logits_RV = jnp.where(self.limits.allowed[None], logits_RV, -jnp.inf)
        written_RT = search.written.reshape(logits_RV.shape[0], -1)
        written = Written(written_RT, column, search.new, self.limits.most)
        return apply_rules(self.rules, jax.nn.log_softmax(logits_RV), written)

    def _may_improve(self, best_B: jax.Array, ended_BK: jax.Array, has_ended_BK: jax.Array, length: jax.Array) -> Any:
        """bool [B]: whether the best beginning, at the length that it is judged by, beats the worst that has ended."""
        far = self.ending.never_early & (self.ending.length_penalty > 0)
        judged = jnp.where(far, self.limits.most, length).astype(jnp.float32)
        possible_B1 = (best_B / judged**self.ending.length_penalty)[:, None]
        worst_BK = jnp.where(has_ended_BK, jnp.min(ended_BK, axis=1, keepdims=True), WORST)
        return jnp.any(possible_B1 > worst_BK, axis=1)


def _newest(search: Search, slots: int) -> jax.Array:
    column = search.written.shape[2] - slots + search.new - 1
    return jax.lax.dynamic_index_in_dim(search.written, column, axis=2, keepdims=False)

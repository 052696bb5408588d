"""The loop that samples one token for each row until every row has ended, and the best of several candidates.

Legend: R rows, T columns of what is written, V vocabulary rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.logits_processors import LogitsProcessor, TokenHistory, apply_logits_processors
from plmjax.decode.prefill import DecodeStep, PrefillOutput
from plmjax.decode.sampling import Sampling, sample


class GenerationLimits(NamedTuple):
    """Numbers that a program takes as data, so that changing them compiles nothing.

    Attributes:
        most: int32, the most new tokens of a row.
        eos: int32, the token that ends a row; -1: none does.
        pad: int32, what stands after a row's end.
        allowed: bool [V], the tokens that may be drawn.
    """

    most: Any
    eos: Any
    pad: Any
    allowed: Any


class SamplingState(NamedTuple):
    """The rows that are being generated.

    Attributes:
        new: int32 scalar, the tokens drawn for every row that has not ended.
        token, position: int32 [R], the newest token and its place.
        written: int32 [R, T], the history, then the new tokens.
        lengths: int32 [R], new tokens, the EOS included.
        done: bool [R], whether the row has ended.
        score: float32 [R], the sum of the new tokens' log probabilities, where it is kept.
    """

    new: jax.Array
    token: jax.Array
    position: jax.Array
    written: jax.Array
    lengths: jax.Array
    done: jax.Array
    score: jax.Array


class Sampler(NamedTuple):
    """Samples tokens; its fields are what `start` and `resume` share.

    Attributes:
        keys: [R], one a row.
        limits: see there.
        processors: applied to the logits before the filters.
        sampling: temperature, top-k and top-p.
        scored: whether the score is kept, under the network's own distribution at temperature 1.
    """

    keys: jax.Array
    limits: GenerationLimits
    processors: tuple[LogitsProcessor, ...]
    sampling: Sampling
    scored: bool = False

    def start(self, prefilled: PrefillOutput, history_RH: jax.Array, slots: int) -> SamplingState:
        """The first token of every row."""
        rows = prefilled.logits.shape[0]
        room = jnp.full((rows, slots), self.limits.pad, jnp.int32)
        return self._write(
            prefilled.logits,
            SamplingState(
                new=jnp.zeros((), jnp.int32),
                token=jnp.zeros(rows, jnp.int32),
                position=prefilled.position - 1,
                written=jnp.concatenate([history_RH, room], axis=1),
                lengths=jnp.zeros(rows, jnp.int32),
                done=jnp.zeros(rows, bool),
                score=jnp.zeros(rows, jnp.float32),
            ),
            slots,
        )

    def resume(
        self, state: SamplingState, cache: Any, decode_step: DecodeStep, slots: int, until: jax.Array
    ) -> tuple[SamplingState, Any]:
        """Samples until every row has ended or has `until` tokens."""

        def unfinished(carry: tuple[SamplingState, Any]) -> jax.Array:
            state, _ = carry
            return (state.new < jnp.minimum(until, self.limits.most)) & ~state.done.all()

        def step(carry: tuple[SamplingState, Any]) -> tuple[SamplingState, Any]:
            state, cache = carry
            logits_RV, cache = decode_step(state.token, state.position, cache)
            return self._write(logits_RV, state, slots), cache

        return jax.lax.while_loop(unfinished, step, (state, cache))

    def _write(self, logits_RV: jax.Array, before: SamplingState, slots: int) -> SamplingState:
        limits, count = self.limits, before.new
        end = before.written.shape[1] - slots + count
        logits_RV = jnp.where(limits.allowed[None], logits_RV, -jnp.inf)
        shaped_RV = apply_logits_processors(
            self.processors, logits_RV, TokenHistory(before.written, end, count, limits.most)
        )
        step_keys_R = jax.vmap(jax.random.fold_in, in_axes=(0, None))(self.keys, count)
        drawn_R = sample(step_keys_R, shaped_RV, self.sampling)
        token_R = jnp.where(before.done, limits.pad, drawn_R)
        score_R = before.score
        if self.scored:
            gained_R = jnp.take_along_axis(jax.nn.log_softmax(logits_RV), drawn_R[:, None], axis=1)[:, 0]
            score_R = score_R + jnp.where(before.done, 0, gained_R)
        return SamplingState(
            new=count + 1,
            token=token_R,
            position=before.position + 1,
            written=jax.lax.dynamic_update_slice(before.written, token_R[:, None], (0, end)),
            lengths=before.lengths + ~before.done,
            done=before.done | (token_R == limits.eos),
            score=score_R,
        )


def best_candidates(state: SamplingState, candidates: int, outputs: int) -> SamplingState:
    """The rows with the highest scores among each prompt's candidates, the best first."""
    prompts = state.score.shape[0] // candidates
    _, best = jax.lax.top_k(state.score.reshape(prompts, candidates), outputs)
    rows = (best + jnp.arange(prompts)[:, None] * candidates).reshape(-1)
    return state._replace(written=state.written[rows], lengths=state.lengths[rows], score=state.score[rows])

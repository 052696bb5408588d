"""The loop that draws one token a row until every row has ended; and the likeliest of several rows.

Legend: R rows, T columns of what is written, V vocabulary rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.logits_processors import Rule, Written, apply_rules
from plmjax.decode.prefill import Advance, Opening
from plmjax.decode.sampling import Sampling, draw


class Limits(NamedTuple):
    """What a program takes as numbers, so that changing them compiles nothing.

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


class Drawing(NamedTuple):
    """Rows being written.

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


class Drawer(NamedTuple):
    """How tokens are drawn: all that `begin` and `go_on` share.

    Attributes:
        keys: [R], one a row.
        limits: see there.
        rules: applied to the logits before the filters.
        sampling: temperature, top-k and top-p.
        scored: whether the score is kept, under the network's own distribution at temperature 1.
    """

    keys: jax.Array
    limits: Limits
    rules: tuple[Rule, ...]
    sampling: Sampling
    scored: bool = False

    def begin(self, opening: Opening, history_RH: jax.Array, slots: int) -> Drawing:
        """The first token of every row."""
        rows = opening.logits.shape[0]
        room = jnp.full((rows, slots), self.limits.pad, jnp.int32)
        return self._write(
            opening.logits,
            Drawing(
                new=jnp.zeros((), jnp.int32),
                token=jnp.zeros(rows, jnp.int32),
                position=opening.position - 1,
                written=jnp.concatenate([history_RH, room], axis=1),
                lengths=jnp.zeros(rows, jnp.int32),
                done=jnp.zeros(rows, bool),
                score=jnp.zeros(rows, jnp.float32),
            ),
            slots,
        )

    def go_on(
        self, drawing: Drawing, cache: Any, advance: Advance, slots: int, until: jax.Array
    ) -> tuple[Drawing, Any]:
        """Draws until every row has ended or has `until` tokens."""

        def unfinished(carry: tuple[Drawing, Any]) -> jax.Array:
            drawing, _ = carry
            return (drawing.new < jnp.minimum(until, self.limits.most)) & ~drawing.done.all()

        def step(carry: tuple[Drawing, Any]) -> tuple[Drawing, Any]:
            drawing, cache = carry
            logits_RV, cache = advance(drawing.token, drawing.position, cache)
            return self._write(logits_RV, drawing, slots), cache

        return jax.lax.while_loop(unfinished, step, (drawing, cache))

    def _write(self, logits_RV: jax.Array, before: Drawing, slots: int) -> Drawing:
        limits, count = self.limits, before.new
        end = before.written.shape[1] - slots + count
        logits_RV = jnp.where(limits.allowed[None], logits_RV, -jnp.inf)
        shaped_RV = apply_rules(self.rules, logits_RV, Written(before.written, end, count, limits.most))
        step_keys_R = jax.vmap(jax.random.fold_in, in_axes=(0, None))(self.keys, count)
        drawn_R = draw(step_keys_R, shaped_RV, self.sampling)
        token_R = jnp.where(before.done, limits.pad, drawn_R)
        score_R = before.score
        if self.scored:
            gained_R = jnp.take_along_axis(jax.nn.log_softmax(logits_RV), drawn_R[:, None], axis=1)[:, 0]
            score_R = score_R + jnp.where(before.done, 0, gained_R)
        return Drawing(
            new=count + 1,
            token=token_R,
            position=before.position + 1,
            written=jax.lax.dynamic_update_slice(before.written, token_R[:, None], (0, end)),
            lengths=before.lengths + ~before.done,
            done=before.done | (token_R == limits.eos),
            score=score_R,
        )


def likeliest(drawing: Drawing, candidates: int, outputs: int) -> Drawing:
    """Of each prompt's candidates, side by side, the rows with the highest scores, the best first."""
    prompts = drawing.score.shape[0] // candidates
    _, best = jax.lax.top_k(drawing.score.reshape(prompts, candidates), outputs)
    rows = (best + jnp.arange(prompts)[:, None] * candidates).reshape(-1)
    return drawing._replace(written=drawing.written[rows], lengths=drawing.lengths[rows], score=drawing.score[rows])

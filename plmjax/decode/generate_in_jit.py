"""Writing inside a program that is compiled anyway, such as an evaluation's: arrays in, arrays out.

Legend: B rows, L length of the prompts, N most new tokens, V vocabulary rows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.beam_search import Beams, Ending, Searcher
from plmjax.decode.logits_processors import Rule
from plmjax.decode.prefill import Prompts, many_steps, new_columns, prefill
from plmjax.decode.sampling import GREEDY
from plmjax.decode.sampling_loop import Drawer, Limits
from plmjax.modules import Bound


class Written(NamedTuple):
    """New tokens int32 [B, N], with padding after a row's end, and how many int32 [B], the end included."""

    tokens: jax.Array
    lengths: jax.Array


def write_tokens(
    network: Bound,
    tokens_BL: jax.Array,
    segments_BL: jax.Array,
    start: int,
    limits: Limits,
    most: int,
    beams: Beams | None = None,
    rules: tuple[Rule, ...] = (),
) -> Written:
    """What a network writes for each row, greedily or by a search.

    Args:
        network: a decoder or an encoder-decoder.
        tokens_BL, segments_BL: int32 [B, L], padding (0 in the segments) on the right. The rows are not to be empty.
        start: an encoder-decoder's first decoder token, or the token that ends a decoder's prompts. Rules count it as
            written, and of what was read nothing else.
        limits: of what is written; `limits.most` is `most`.
        most: N.
        beams: None: greedily.
        rules: see rules.py.
    """
    decoder = network.kind == "decoder"
    if decoder:
        tokens_BL, segments_BL = to_the_right(tokens_BL, segments_BL)
    rows = tokens_BL.shape[0]
    history_B1 = jnp.full((rows, 1), start, jnp.int32)
    prompts = Prompts(tokens_BL, segments_BL, start, history_B1)
    opening = prefill(network, prompts, most, beams.count if beams else 1)
    step = many_steps(network, opening.logits.shape[0], most)
    if beams:
        searcher = Searcher(beams.count, Ending.of(beams), limits, rules)
        search = searcher.run(opening, history_B1, step, most, new_columns(prompts, decoder))
        return Written(search.ended[:, 0, -most:], search.ended_lengths[:, 0])
    keys_B = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), jnp.arange(rows))
    drawer = Drawer(keys_B, limits, rules, GREEDY)
    drawing, _ = drawer.go_on(drawer.begin(opening, history_B1, most), opening.cache, step, most, jnp.int32(most))
    return Written(drawing.written[:, -most:], drawing.lengths)


def to_the_right(tokens_BL: jax.Array, segments_BL: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows with their padding moved to the left."""
    order_BL = jnp.argsort(segments_BL > 0, axis=1, stable=True)
    return jnp.take_along_axis(tokens_BL, order_BL, axis=1), jnp.take_along_axis(segments_BL, order_BL, axis=1)

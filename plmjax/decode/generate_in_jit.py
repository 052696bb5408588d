"""Generation inside a program that is compiled anyway, such as an evaluation's: arrays in, arrays out.

Legend: B rows, L length of the prompts, N most new tokens, V vocabulary rows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plmjax.decode.beam_search import Beams, BeamSearch, EarlyStopping
from plmjax.decode.logits_processors import LogitsProcessor
from plmjax.decode.prefill import Prompts, make_decode_step, new_columns, prefill
from plmjax.decode.sampling import GREEDY
from plmjax.decode.sampling_loop import GenerationLimits, Sampler
from plmjax.modules import Bound


class GeneratedTokens(NamedTuple):
    """New tokens int32 [B, N], with padding after a row's end, and how many int32 [B], the end included."""

    tokens: jax.Array
    lengths: jax.Array


def generate_in_jit(
    network: Bound,
    tokens_BL: jax.Array,
    segments_BL: jax.Array,
    start: int,
    limits: GenerationLimits,
    most: int,
    beams: Beams | None = None,
    processors: tuple[LogitsProcessor, ...] = (),
) -> GeneratedTokens:
    """Generates text for each row, greedily or by beam search.

    Args:
        network: a decoder or an encoder-decoder.
        tokens_BL, segments_BL: int32 [B, L], padding (0 in the segments) on the right. The rows are not to be empty.
        start: an encoder-decoder's first decoder token, or the token that ends a decoder's prompts. Rules count it as
            written, and of what was read nothing else.
        limits: of what is written; `limits.most` is `most`.
        most: N.
        beams: None: greedily.
        processors: see logits_processors.py.
    """
    decoder = network.kind == "decoder"
    if decoder:
        tokens_BL, segments_BL = to_the_right(tokens_BL, segments_BL)
    rows = tokens_BL.shape[0]
    history_B1 = jnp.full((rows, 1), start, jnp.int32)
    prompts = Prompts(tokens_BL, segments_BL, start, history_B1)
    prefilled = prefill(network, prompts, most, beams.count if beams else 1)
    step = make_decode_step(network, prefilled.logits.shape[0], most)
    if beams:
        search = BeamSearch(beams.count, EarlyStopping.of(beams), limits, processors)
        found = search.run(prefilled, history_B1, step, most, new_columns(prompts, decoder))
        return GeneratedTokens(found.finished[:, 0, -most:], found.finished_lengths[:, 0])
    keys_B = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), jnp.arange(rows))
    sampler = Sampler(keys_B, limits, processors, GREEDY)
    state, _ = sampler.resume(sampler.start(prefilled, history_B1, most), prefilled.cache, step, most, jnp.int32(most))
    return GeneratedTokens(state.written[:, -most:], state.lengths)


def to_the_right(tokens_BL: jax.Array, segments_BL: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows with their padding moved to the left."""
    order_BL = jnp.argsort(segments_BL > 0, axis=1, stable=True)
    return jnp.take_along_axis(tokens_BL, order_BL, axis=1), jnp.take_along_axis(segments_BL, order_BL, axis=1)

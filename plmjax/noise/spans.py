"""T5's noise: which tokens to hide, and the two sequences made of the hidden and the clean ones (Raffel et al. 2019,
Sec. 3.1.4).

The functions on arrays take one example and have static shapes, the true length of the text being a traced number; vmap
them over a batch. Facts are those of the released code where the paper is silent.

Legend: L raw length, T length of the output, S sentinels, J segments.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class SpanLengths(NamedTuple):
    """Tokens to read so that both encoded sequences have a known length."""

    raw: int
    targets: int


def span_counts(length: int, density: float, mean_span: float) -> tuple[int, int]:
    """(noise tokens, noise spans) in a text of `length` tokens; (85, 28) for 568, .15 and 3.

    round(length * density), between 1 and length - 1; round(noise tokens / mean_span), at least 1. Rounding is
    Python's, half to even. Texts of fewer than 2 tokens count as 2. Spans never outnumber the noise or the clean
    tokens, between which they lie (the released code fails there: density .55, mean span 1).
    """
    length = max(length, 2)
    noise = min(max(round(length * density), 1), length - 1)
    spans = max(1, round(noise / mean_span))
    return noise, min(spans, noise, length - noise)


def span_lengths(inputs_length: int, density: float, mean_span: float) -> SpanLengths:
    """The longest raw text whose encoded inputs fit `inputs_length`, and the length of its encoded targets; EOS
    included in both.

    512, .15, 3 -> (568, 114). As the released `random_spans_helper`, with its special case: at density .5 targets no
    longer than the inputs. Where it rounds to no noise or no span at all (texts of a few tokens) the counts here are
    those of the mask.
    """

    def encoded(raw: int) -> tuple[int, int]:
        noise, spans = span_counts(raw, density, mean_span)
        return raw - noise + spans + 1, noise + spans + 1

    raw = max(inputs_length - 1, 1)
    while encoded(raw + 1)[0] <= inputs_length:
        raw += 1
    inputs, targets = encoded(raw)
    if density == 0.5 and targets > inputs:
        return SpanLengths(raw - 1, targets - 1)
    return SpanLengths(raw, targets)


def iid_targets_length(inputs_length: int, density: float) -> int:
    """Room for the targets of i.i.d. noise, EOS included; 192 for 512 and .15, as in the released configuration.

    2.5 * density * inputs_length, and at least three standard deviations above the mean (which short texts need); at
    most inputs_length. The released configurations give 103, 256 and 512 to densities .10, .25 and .50, of which the
    first cuts many examples; here hardly one is cut below density .5.
    """
    raw, share = inputs_length - 1, density * (1 - density)
    # Of noise tokens + runs, plus a closing sentinel and EOS.
    mean = raw * (density + share) + 2
    variance = raw * share * (1 + (1 - 3 * share) + 2 * (1 - 2 * density))
    room = max(2.5 * density * inputs_length, mean + 3 * math.sqrt(variance))
    return min(inputs_length, math.ceil(round(room, 6)))


def iid_mask(key: jax.Array, length: int, density: float) -> jax.Array:
    """bool [L]: each token is noise with probability `density`."""
    return jax.random.bernoulli(key, density, (length,))


def spans_mask(
    key: jax.Array, real: jax.Array, *, length: int, density: float, mean_span: float, random_roll: bool = False
) -> jax.Array:
    """bool [L]: spans of noise in a text of `real` <= L = `length` tokens; False from `real` on.

    Noise and clean tokens are each split into as many non-empty parts, every split as likely; the parts alternate,
    clean first, so that the text starts clean and ends in noise. `random_roll` turns the mask by a uniform number of
    tokens, so that noise may lie anywhere (off in the released code).
    """
    counts = np.array([span_counts(n, density, mean_span) for n in range(length + 1)], np.int32)
    noise, spans = jnp.asarray(counts)[real]
    parts = int(counts[:, 1].max())
    noise_key, clean_key, roll_key = jax.random.split(key, 3)
    noise_J = random_parts(noise_key, noise, spans, length=max(length, 2), parts=parts)
    clean_J = random_parts(clean_key, jnp.maximum(real, 2) - noise, spans, length=max(length, 2), parts=parts)
    ends_J = jnp.cumsum(clean_J + noise_J)
    # +1 where a span starts, -1 after its end: the running sum is 1 inside. Empty parts, at the end, cancel out.
    edges = jnp.zeros(length, jnp.int32).at[ends_J - noise_J].add(1, mode="drop").at[ends_J].add(-1, mode="drop")
    position_L = jnp.arange(length)
    mask_L = (jnp.cumsum(edges) > 0) & (position_L < real)
    if not random_roll:
        return mask_L
    shift = jax.random.randint(roll_key, (), 0, jnp.maximum(real, 1))
    return mask_L[(position_L - shift) % jnp.maximum(real, 1)] & (position_L < real)


def random_parts(key: jax.Array, items: jax.Array, count: jax.Array, *, length: int, parts: int) -> jax.Array:
    """int32 [J]: lengths of `count` non-empty parts of `items` things, then zeros; every split is as likely.

    items <= `length` and count <= J = `parts` are traced; count <= items.
    """
    # The cuts are count - 1 of the items - 1 places between things: the first few of a random order of these.
    place = jnp.arange(1, length)
    rank = jnp.where(place < items, jax.random.bits(key, (length - 1,)) >> 1, jnp.uint32(2**32 - 1))
    cuts = place[jnp.argsort(rank)[: parts - 1]]
    cuts = jnp.sort(jnp.where(jnp.arange(parts - 1) < count - 1, cuts, items))
    return jnp.diff(cuts, prepend=0, append=items).astype(jnp.int32)


def merge_runs(
    tokens_L: jax.Array, mask_L: jax.Array, real: jax.Array, sentinels_S: jax.Array, *, eos: int, length: int
) -> jax.Array:
    """int32 [T]: the text with its j-th run of masked tokens replaced by the j-th sentinel, then EOS, then -1s.

    tokens_L: int32 whose first `real` entries count; mask_L: bool. Text that does not fit T = `length` is cut before
    EOS, which always stands at the end (an empty text is all filling). With the noise mask this gives T5's inputs; with
    `~mask`, its targets, which close with a sentinel only if the text ends clean (never under `spans_mask`).
    """
    is_real_L = jnp.arange(len(tokens_L)) < real
    mask_L = mask_L & is_real_L
    first_L = _run_starts(mask_L)
    run_L = jnp.clip(jnp.cumsum(first_L) - 1, 0, len(sentinels_S) - 1)
    kept_L = is_real_L & (first_L | ~mask_L)
    values_L = jnp.where(first_L, sentinels_S[run_L], tokens_L)
    position_L = jnp.where(kept_L, jnp.cumsum(kept_L) - 1, length)
    merged = jnp.full(length, -1, jnp.int32).at[position_L].set(values_L, mode="drop")
    return merged.at[jnp.minimum(jnp.sum(kept_L), length - 1)].set(jnp.where(real > 0, eos, -1))


def limit_runs(mask_L: jax.Array, runs: int) -> jax.Array:
    """bool [L]: the mask with its first `runs` runs only, so that sentinels can't run out; the tokens of the others
    stay clean."""
    return mask_L & (jnp.cumsum(_run_starts(mask_L)) <= runs)


def _run_starts(mask_L: jax.Array) -> jax.Array:
    return mask_L & ~jnp.concatenate([jnp.zeros(1, jnp.bool_), mask_L[:-1]])

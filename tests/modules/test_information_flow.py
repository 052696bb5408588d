"""Who reads whom, seen in the gradients: token t influences state l exactly where the masks allow it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.modules.networks import CAUSAL, SELF_ATTENDING, TINY, network, states

LENGTH = 9
# Distinct tokens, so that a row of the table belongs to one place.
TOKENS = jnp.arange(1, LENGTH + 1, dtype=jnp.int32)[None]
MEMORY_TOKENS = jnp.arange(20, 27, dtype=jnp.int32)[None]
SEGMENTS = np.array([1, 1, 1, 2, 2, 2, 2, 0, 0])
MEMORY_SEGMENTS = np.array([1, 1, 2, 2, 2, 0, 3])


def influence(net, run, tokens_1L):
    """bool [L, T]: does token t of `tokens_1L` change state l of `run(bound)` [1, L, D]?"""

    def one_number_a_state(table):
        embeddings = net.params["embeddings"] | {"tokens": {"embedding": table}}
        x_1LD = run(net.bound(net.params | {"embeddings": embeddings}))
        return jnp.sum(jnp.sin(3 * x_1LD[0]), axis=-1)

    jacobian = jax.jit(jax.jacrev(one_number_a_state))(net.params["embeddings"]["tokens"]["embedding"])
    assert bool(jnp.isfinite(jacobian).all())
    return np.asarray(jnp.any(jacobian[:, tokens_1L[0]] != 0, axis=-1))


def allowed(query_segments, key_segments, causal):
    seen = (query_segments[:, None] == key_segments[None]) & (key_segments[None] != 0)
    return seen & (np.tril(np.ones_like(seen)) if causal else True)


@pytest.mark.parametrize("name", SELF_ATTENDING)
@pytest.mark.parametrize("packed", [False, True])
def test_self_attention_stays_in_its_segment_and_its_past(name, packed):
    net = network(name)
    segments = SEGMENTS if packed else np.ones(LENGTH, int)
    given = jnp.asarray(segments, jnp.int32)[None] if packed else None
    got = influence(net, lambda bound: states(bound, TOKENS, None, given), TOKENS)
    want = allowed(segments, segments, name in CAUSAL) | np.eye(LENGTH, dtype=bool)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("packed", [False, True])
def test_the_encoder_decoder_reads_its_past_and_the_memory_of_its_segment(packed):
    net = network("t5")
    segments = SEGMENTS if packed else np.ones(LENGTH, int)
    memory_segments = MEMORY_SEGMENTS if packed else np.ones(7, int)
    own = jnp.asarray(segments, jnp.int32)[None] if packed else None
    memorys = jnp.asarray(memory_segments, jnp.int32)[None] if packed else None

    def run(bound):
        memory = bound.encode(MEMORY_TOKENS, segments_BL=memorys)
        return bound.decode(TOKENS, memory, memorys, segments_BL=own)

    np.testing.assert_array_equal(
        influence(net, run, TOKENS), allowed(segments, segments, True) | np.eye(LENGTH, dtype=bool)
    )
    np.testing.assert_array_equal(influence(net, run, MEMORY_TOKENS), allowed(segments, memory_segments, False))
    encoded = influence(net, lambda bound: bound.encode(MEMORY_TOKENS, segments_BL=memorys), MEMORY_TOKENS)
    np.testing.assert_array_equal(encoded, allowed(memory_segments, memory_segments, False) | np.eye(7, dtype=bool))


@pytest.mark.parametrize("name", TINY)
def test_packed_equals_unpacked(name):
    net = network(name)
    lengths, width = (5, 3, 6), 16
    rows = np.zeros((3, width), np.int32)
    apart = {field: np.zeros((3, width), np.int32) for field in ("segments", "positions")}
    packed = {field: np.zeros((1, width), np.int32) for field in ("tokens", "segments", "positions")}
    start = 0
    for i, length in enumerate(lengths):
        rows[i, :length] = np.random.default_rng(i).integers(1, 50, length)
        apart["segments"][i, :length] = 1
        apart["positions"][i, :length] = np.arange(length)
        place = slice(start, start + length)
        packed["tokens"][0, place] = rows[i, :length]
        packed["segments"][0, place] = i + 1
        packed["positions"][0, place] = np.arange(length)
        start += length
    run = jax.jit(lambda *arrays: states(net.bound(), *arrays))
    together = np.asarray(run(packed["tokens"], packed["positions"], packed["segments"]))[0]
    alone = np.asarray(run(rows, apart["positions"], apart["segments"]))
    start = 0
    for i, length in enumerate(lengths):
        short = np.asarray(run(rows[i : i + 1, :length], None, None))[0]
        np.testing.assert_allclose(together[start : start + length], short, atol=1e-5)
        np.testing.assert_allclose(alone[i, :length], short, atol=1e-5)
        start += length
    assert np.isfinite(together).all() and np.isfinite(alone).all()

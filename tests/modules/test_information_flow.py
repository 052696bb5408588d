"""Who reads whom, seen in the gradients: token t influences state l exactly where the masks allow it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.modules.networks import TINY, network, states

LENGTH = 9
# Distinct tokens, so that a row of the table belongs to one place.
TOKENS = jnp.arange(1, LENGTH + 1, dtype=jnp.int32)[None]
MEMORY_TOKENS = jnp.arange(20, 27, dtype=jnp.int32)[None]
SEGMENTS = np.array([1, 1, 1, 2, 2, 2, 2, 0, 0])
MEMORY_SEGMENTS = np.array([1, 1, 2, 2, 2, 0, 3])


def influences(net, run, tokens_1L):
    """From `run`'s further arguments to bool [L, T]: token t of `tokens_1L` changes state l of `run(bound, ...)`."""

    def one_number_a_state(table, *arguments):
        embeddings = net.params["embeddings"] | {"tokens": {"embedding": table}}
        x_1LD = run(net.bound(net.params | {"embeddings": embeddings}), *arguments)
        return jnp.sum(jnp.sin(3 * x_1LD[0]), axis=-1)

    compiled = jax.jit(jax.jacrev(one_number_a_state))

    def of(*arguments):
        jacobian = compiled(net.params["embeddings"]["tokens"]["embedding"], *arguments)
        assert bool(jnp.isfinite(jacobian).all())
        return np.asarray(jnp.any(jacobian[:, tokens_1L[0]] != 0, axis=-1))

    return of


def allowed(query_segments, key_segments, causal):
    """bool [L, T]: where attention may look; every state besides has its own token in it."""
    seen = (query_segments[:, None] == key_segments[None]) & (key_segments[None] != 0)
    return seen & np.tril(np.ones_like(seen)) if causal else seen


OWN = np.eye(LENGTH, dtype=bool)


@pytest.mark.parametrize("name", ["bert", "deberta", "distilbert", "electra", "gpt2", "modernbert", "xlm"])
def test_self_attention_stays_in_its_segment_and_its_past(name):
    seen = influences(network(name), lambda bound, segments: states(bound, TOKENS, None, segments), TOKENS)
    for segments in (SEGMENTS, np.ones_like(SEGMENTS)):
        # DeBERTa zeroes the embeddings of padding, as released: its states have not even their own token in them.
        own = OWN & (segments > 0) if name == "deberta" else OWN
        np.testing.assert_array_equal(seen(segments[None]), allowed(segments, segments, name == "gpt2") | own)


def test_the_encoder_decoder_reads_its_past_and_the_memory_of_its_segment():
    net = network("t5")

    def run(bound, segments, memory_segments):
        memory = bound.encode(MEMORY_TOKENS, segments_BL=memory_segments)
        return bound.decode(TOKENS, memory, memory_segments, segments_BL=segments)

    both = influences(net, run, jnp.concatenate([TOKENS, MEMORY_TOKENS], axis=1))
    for own, memory in ((SEGMENTS, MEMORY_SEGMENTS), (np.ones_like(SEGMENTS), np.ones_like(MEMORY_SEGMENTS))):
        want = np.concatenate([allowed(own, own, True) | OWN, allowed(own, memory, False)], axis=1)
        np.testing.assert_array_equal(both(own[None], memory[None]), want)


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

"""Decoding through a cache gives what one forward pass over everything gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.modules.networks import network, tokens

PROMPT, NEW, LENGTH = 5, 4, 12


def compiled(net):
    """A jitted step and how the cache starts, for a batch of three."""
    if net.module.kind == "decoder":
        step = jax.jit(lambda t, p, s, cache: net.bound().decode(t, p, s, cache))
        return step, net.bound().init_cache(3, LENGTH), lambda t, p, s: net.bound().decode(t, p, s)
    source_BS = tokens(3, 7, seed=9)
    source_segments_BS = jnp.asarray([[1] * 7, [1] * 5 + [0] * 2, [0] * 2 + [1] * 5])
    memory_BSD = jax.jit(lambda: net.bound().encode(source_BS, segments_BL=source_segments_BS))()
    cache = jax.jit(lambda: net.bound().start_cache(memory_BSD, source_segments_BS, LENGTH))()
    step = jax.jit(lambda t, p, s, cache: net.bound().decode(t, None, None, p, s, cache))
    return step, cache, lambda t, p, s: net.bound().decode(t, memory_BSD, source_segments_BS, p, s)


@pytest.mark.parametrize(
    "name",
    [
        *("ctrl", "gpt1", "gpt2", "gpt3", "gpt_neo", "lamda", "bart", "bart_lm", "marian", "mbart", "t5", "t5_shared"),
        *("t5_v1_1", "transformer_xl"),
    ],
)
def test_prompt_then_tokens_equals_one_pass(name):
    step, cache, whole = compiled(network(name))
    tokens_BT = tokens(3, PROMPT + NEW)
    want = jax.jit(whole)(tokens_BT, None, None)
    got, cache = step(tokens_BT[:, :PROMPT], None, None, cache)
    parts = [got]
    for i in range(PROMPT, PROMPT + NEW):
        got, cache = step(tokens_BT[:, i : i + 1], None, None, cache)
        parts.append(got)
        assert int(cache["index"]) == i + 1
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), want, atol=2e-5)
    assert step._cache_size() == 2, "one program for the prompt, one for all the steps"


@pytest.mark.parametrize("name", ["ctrl", "gpt1", "gpt2", "gpt3", "lamda", "bart", "t5"])
def test_left_padding_stays_invisible(name):
    step, cache, whole = compiled(network(name))
    lengths = np.array([5, 2, 4])
    tokens_BT = np.array(tokens(3, PROMPT + NEW))
    index_T = np.arange(PROMPT + NEW)
    positions_BT = np.maximum(index_T - (PROMPT - lengths)[:, None], 0)
    segments_BT = (index_T >= (PROMPT - lengths)[:, None]).astype(np.int32)
    place = slice(0, PROMPT)
    got, cache = step(tokens_BT[:, place], positions_BT[:, place], segments_BT[:, place], cache)
    parts = [got]
    for i in range(PROMPT, PROMPT + NEW):
        place = slice(i, i + 1)
        got, cache = step(tokens_BT[:, place], positions_BT[:, place], segments_BT[:, place], cache)
        parts.append(got)
    got = np.asarray(jnp.concatenate(parts, axis=1))
    run = jax.jit(whole)
    for row, length in enumerate(lengths):
        # The same text at the left, where no padding comes before it.
        moved = np.roll(tokens_BT, length - PROMPT, axis=1)
        want = np.asarray(run(moved, None, None))[row, : length + NEW]
        np.testing.assert_allclose(got[row, PROMPT - length :], want, atol=2e-5)


def test_more_tokens_than_columns_are_refused():
    net = network("gpt2")
    with pytest.raises(ValueError, match="6 tokens do not fit in a cache of length 4"):
        jax.eval_shape(lambda: net.bound().decode(tokens(1, 6), cache=net.bound().init_cache(1, 4)))


def test_a_cache_needs_no_parameters_and_has_the_dtype():
    cache = network("gpt2", dtype="bfloat16").module.init_cache(3, 8)
    assert {name: (x.shape, str(x.dtype)) for name, x in cache.items()} == {
        "key": ((2, 3, 2, 16, 8), "bfloat16"),
        "value": ((2, 3, 2, 8, 16), "bfloat16"),
        "segments": ((3, 8), "int32"),
        "index": ((), "int32"),
    }

"""Banded attention: what it sees, what it costs, and the stack whose layers take turns."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, Bound, build
from plmjax.modules.attention import _attend_pallas, attend
from plmjax.modules.masks import Mask
from plmjax.train.flops import forward_flops
from tests.modules.networks import network, tokens

BATCH, LENGTH, HEADS, WIDTH = 2, 13, 2, 4
RNG = np.random.default_rng(0)
QUERY, KEY, VALUE = (jnp.asarray(RNG.normal(size=(BATCH, LENGTH, HEADS, WIDTH)), jnp.float32) for _ in range(3))
SEGMENTS = {
    "one text": None,
    "packed and padded": jnp.asarray([[1] * 5 + [2] * 7 + [0], [0, 0, *[1] * 9, 2, 0]], jnp.int32),
}


def plainly(mask):
    """Softmax attention by the definition, over every pair."""
    seen = np.zeros((BATCH, LENGTH, LENGTH), bool)
    segments = np.ones((BATCH, LENGTH)) if mask.query_segments is None else np.asarray(mask.query_segments)
    for row in range(BATCH):
        for query in range(LENGTH):
            last = query if mask.causal else min(LENGTH - 1, query + mask.band - 1)
            for key in range(max(0, query - mask.band + 1), last + 1):
                seen[row, query, key] = segments[row, query] == segments[row, key] > 0
    logits = np.where(seen[:, None], 0.5 * np.einsum("blhk,bthk->bhlt", QUERY, KEY), -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.nan_to_num(np.exp(logits - logits.max(-1, keepdims=True)))
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-30)
    return np.einsum("bhlt,bthk->blhk", weights, VALUE)


@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("band", [1, 3, 4, 13, 20])
@pytest.mark.parametrize("causal", [True, False], ids=["before", "both sides"])
def test_a_token_sees_itself_and_those_next_to_it(band, segments, causal):
    mask = replace(Mask.within(segments, causal=causal), band=band)
    ours = jax.jit(lambda: attend(QUERY, KEY, VALUE, mask, None, 0.5, None))()
    np.testing.assert_allclose(ours, plainly(mask), atol=2e-6)
    with_bias = jax.jit(lambda: attend(QUERY, KEY, VALUE, mask, jnp.zeros((1, 1, 1)), 0.5, None))()
    np.testing.assert_allclose(ours, with_bias, atol=2e-6)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("causal", [True, False], ids=["before", "both sides"])
def test_information_comes_from_within_the_band_alone(causal, biased):
    """The gradient of one query's value reaches the keys of its band and segment, with a bias and without."""
    band, query = 3, 5
    mask = replace(Mask.within(SEGMENTS["packed and padded"], causal=causal), band=band)
    bias = jnp.zeros((1, 1, 1)) if biased else None

    def value(key, value):
        return jnp.sum(jnp.sin(attend(QUERY, key, value, mask, bias, 0.5, None))[1, query])

    reached = sum(jnp.any(x[1] != 0, (1, 2)) for x in jax.jit(jax.grad(value, (0, 1)))(KEY, VALUE))
    last = query if causal else query + band - 1
    assert np.flatnonzero(reached).tolist() == list(range(query - band + 1, last + 1))


@pytest.mark.parametrize("causal", [True, False], ids=["before", "both sides"])
@pytest.mark.parametrize("start", [0, 4, 9])
def test_queries_that_begin_later_see_what_they_do_in_the_whole(start, causal):
    segments = SEGMENTS["packed and padded"]
    mask = replace(Mask.within(segments, causal=causal), band=3)
    whole = attend(QUERY, KEY, VALUE, mask, None, 0.5, None)[:, start : start + 4]
    later = replace(mask, query_segments=segments[:, start : start + 4], query_start=jnp.asarray(start))
    ours = jax.jit(lambda q: attend(q, KEY, VALUE, later, None, 0.5, None))(QUERY[:, start : start + 4])
    np.testing.assert_allclose(ours, whole, atol=2e-6)


def test_a_prefix_is_seen_from_beyond_the_band():
    prefix = jnp.zeros((BATCH, LENGTH), bool).at[:, 0].set(True)
    mask = Mask(band=2, prefix=prefix)
    seen = np.asarray(mask.materialize(LENGTH, LENGTH))[0, 0]
    assert np.flatnonzero(seen[9]).tolist() == [0, 8, 9, 10]


def test_a_kernel_that_has_no_band_is_not_given_one():
    with pytest.raises(ValueError, match="no band, but the mask's is 3"):
        _attend_pallas(QUERY, KEY, VALUE, Mask(band=3), 0.5)


@pytest.mark.parametrize("causal", [True, False], ids=["before", "both sides"])
def test_gradients_are_those_of_the_whole_matrix(causal):
    mask = replace(Mask.within(SEGMENTS["packed and padded"], causal=causal), band=3)

    def total(bias, *inputs):
        return jnp.sum(jnp.sin(attend(*inputs, mask, bias, 0.5, None)))

    run = jax.jit(jax.grad(total, (1, 2, 3)))
    for ours, whole in zip(run(None, QUERY, KEY, VALUE), run(jnp.zeros((1, 1, 1)), QUERY, KEY, VALUE), strict=True):
        np.testing.assert_allclose(ours, whole, atol=2e-6)


def test_cost_grows_with_the_band_not_with_the_square_of_the_length():
    def cost(length, band):
        shape = jax.ShapeDtypeStruct((1, length, HEADS, WIDTH), jnp.float32)

        def run(q, k, v):
            return attend(q, k, v, Mask(causal=True, band=band), None, 1.0, None)

        memory = jax.jit(run).lower(shape, shape, shape).compile().memory_analysis().temp_size_in_bytes
        return forward_flops(run, shape, shape, shape), memory

    flops, memory = cost(4096, 64)
    assert flops == 2 * 2 * 4096 * (2 * 64) * HEADS * WIDTH
    assert memory < 4096 * 4096 * HEADS  # bytes: a quarter of the whole float32 matrix
    twice_flops, twice_memory = cost(8192, 64)
    assert twice_flops == 2 * flops and twice_memory < 2.2 * memory


def test_layers_take_turns():
    """The first of two layers sees everything, the second 4 tokens; what each reaches shows in the gradient."""
    length = 12

    def reach(bands):
        net = network("gpt3", bands=bands)
        text = tokens(1, length)

        def last(table):
            params = net.params | {"embeddings": net.params["embeddings"] | {"positions": {"embedding": table}}}
            return jnp.sum(jnp.sin(net.bound(params).decode(text)[0, -1]))

        return jnp.any(jax.jit(jax.grad(last))(net.params["embeddings"]["positions"]["embedding"]) != 0, -1)[:length]

    assert reach((0, 4)).all() and reach((4, 0)).all()
    assert reach((4,)).tolist() == [at >= length - 7 for at in range(length)]
    assert reach((4, 2)).tolist() == [at >= length - 5 for at in range(length)]


def test_without_bands_it_is_a_gpt2():
    net, text = network("gpt3", bands=(0, 0)), tokens(2, 9)
    gpt2 = build(replace(FAMILIES["gpt"].variants["tiny"], vocab_size=50, d_ff=128))
    np.testing.assert_allclose(net.bound().decode(text), Bound(gpt2, net.params).decode(text), atol=2e-6)


@pytest.mark.parametrize(("remat", "unroll"), [(True, True), (True, False), (False, False)])
def test_remat_and_the_loop_change_nothing(remat, unroll):
    plain, other, text = network("gpt3"), network("gpt3", remat=remat, unroll=unroll), tokens(2, 9)

    def gradient(net):
        return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(net.bound(params).decode(text)))))(net.params)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4), gradient(plain), gradient(other))


@pytest.mark.parametrize(("remat", "unroll"), [(False, True), (True, False)])
def test_a_pattern_need_not_divide_the_layers(remat, unroll):
    sizes = {"num_layers": 5, "d_model": 16, "d_ff": 16}
    written_out = network("gpt3", bands=(0, 4, 2, 0, 4), **sizes)
    cycled, text = network("gpt3", bands=(0, 4, 2), remat=remat, unroll=unroll, **sizes), tokens(2, 9)

    def gradient(net):
        return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(net.bound(params).decode(text)))))(written_out.params)

    whole = gradient(written_out)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4), whole, gradient(cycled))


@pytest.mark.parametrize("bands", [(), (4, -1)])
def test_bands_that_cannot_be_are_refused(bands):
    module = network("gpt3").module
    with pytest.raises(ValueError, match="give at least one, each from 0 on"):
        jax.eval_shape(module.clone(config=replace(module.config, bands=bands)).init, jax.random.key(0))

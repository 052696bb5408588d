"""ModernBERT: which layers see how far, the norm that its first layer lacks, the cache of rotated keys, its pooling."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, build
from plmjax.modules.attention import Attention
from plmjax.modules.cache import append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.cycled_stack import CycledStack
from plmjax.modules.layers import LayerNorm
from plmjax.modules.masks import Mask
from plmjax.modules.positions import Rotary
from plmjax.modules.transformer import Block, BlockInputs, GatedMLP, PreNorm
from tests.modules.networks import network, tokens

LENGTH = 12


def reach(**fields):
    """bool [L, L]: token t changes state l."""
    net = network("modernbert", **fields)
    text = jnp.arange(1, LENGTH + 1, dtype=jnp.int32)[None]

    def one_number_a_state(table):
        embeddings = net.params["embeddings"] | {"tokens": {"embedding": table}}
        return jnp.sum(jnp.sin(3 * net.bound(net.params | {"embeddings": embeddings}).encode(text)[0]), axis=-1)

    jacobian = jax.jit(jax.jacrev(one_number_a_state))(net.params["embeddings"]["tokens"]["embedding"])
    return np.asarray(jnp.any(jacobian[:, text[0]] != 0, axis=-1))


def test_layers_see_the_whole_text_and_their_window_in_turn():
    """A window of 4 is two tokens on either side; two local layers reach twice as far, with a global one everything."""
    distance = np.abs(np.arange(LENGTH)[:, None] - np.arange(LENGTH))
    assert reach(local_attention=4, num_layers=3).all()
    # The pattern begins with a global layer: without it, the two local ones are seen alone.
    net = network("modernbert", local_attention=4, num_layers=3)
    local = jax.tree.map(lambda x: x.at[0].set(0.0), net.params["encoder"]["layers"])  # layer 0 adds nothing

    def states(table):
        embeddings = net.params["embeddings"] | {"tokens": {"embedding": table}}
        encoder = net.params["encoder"] | {"layers": local}
        x = net.bound(net.params | {"embeddings": embeddings, "encoder": encoder}).encode(jnp.arange(1, 13)[None])
        return jnp.sum(jnp.sin(3 * x[0]), axis=-1)

    jacobian = jax.jit(jax.jacrev(states))(net.params["embeddings"]["tokens"]["embedding"])
    np.testing.assert_array_equal(np.any(np.asarray(jacobian[:, 1:13]) != 0, -1), distance <= 4)


def test_each_kind_of_layer_has_its_rotary_base():
    text = tokens(2, 9)
    plain = network("modernbert").bound().encode(text)
    for field in ("global_rope_theta", "local_rope_theta"):
        assert float(jnp.max(jnp.abs(network("modernbert", **{field: 7.0}).bound().encode(text) - plain))) > 1e-3


def test_the_first_layer_reads_its_states_without_a_norm():
    net, text = network("modernbert"), tokens(2, 9)
    gradient = jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(net.bound(params).encode(text)))))(net.params)
    scale = gradient["encoder"]["layers"]["attention_norm"]["scale"]
    assert not scale[0].any() and (np.abs(scale[1:]).max(-1) > 0).all()


@pytest.mark.parametrize(("remat", "unroll"), [(True, False), (False, True)])
def test_remat_and_the_loop_change_nothing(remat, unroll):
    fields = {"num_layers": 6}  # the first layer, one turn of the loop, and two layers left over
    plain, text = network("modernbert", **fields), tokens(2, 9)
    other = network("modernbert", remat=remat, unroll=unroll, **fields)

    def gradient(net):
        return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(net.bound(params).encode(text)))))(plain.params)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4), gradient(plain), gradient(other))


def test_a_decoder_of_its_blocks_goes_on_from_a_cache():
    """Keys are cached as they were turned: token by token the states are those of the whole text."""
    layers, heads, width = 4, 2, 8
    make_attention = partial(Attention, heads, width, heads * width, width**-0.5, use_bias=False)
    make_block = partial(
        Block,
        wiring=PreNorm,
        make_attention=make_attention,
        make_mlp=partial(GatedMLP, heads * width, 24, "gelu", use_bias=False),
        make_norm=partial(LayerNorm, 1e-5, use_bias=False),
    )
    pattern = (lambda inputs: inputs, lambda inputs: inputs._replace(mask=replace(inputs.mask, band=3)))
    stack = CycledStack(layers, make_block, pattern, unroll=False)
    x_BLD = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, heads * width)), jnp.float32)

    def inputs(mask, start, length):
        return BlockInputs(mask, rotary=Rotary.at(start + jnp.arange(length)[None], width, 100.0))

    params = stack.init(jax.random.key(0), x_BLD, inputs(Mask(causal=True), 0, 7))
    whole, _ = stack.apply(params, x_BLD, inputs(Mask(causal=True), 0, 7))
    cache, parts = empty_cache(layers, 2, 7, heads, width, jnp.float32), []
    for first, last in ((0, 3), (3, 4), (4, 7)):
        start = cache["index"]
        cache, mask = append_segments(cache, jnp.ones((2, last - first), jnp.int32))
        part, own = stack.apply(params, x_BLD[:, first:last], inputs(mask, start, last - first), layer_cache(cache))
        cache = with_keys_values(cache, own)
        parts.append(part)
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-5)


def test_what_a_class_is_read_from():
    net = network("modernbert", heads=("sequence_classification",), pooling="mean")
    x_BLD = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 32)), jnp.float32)
    segments = jnp.asarray([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    summary = net.bound().summary(x_BLD, segments)
    np.testing.assert_allclose(summary[0, 0], x_BLD[0, :3].mean(0), atol=1e-6)
    np.testing.assert_allclose(summary[1, 0], x_BLD[1].mean(0), atol=1e-6)
    first = network("modernbert", heads=("sequence_classification",)).bound().summary(x_BLD, segments)
    np.testing.assert_array_equal(first, x_BLD[:, :1])
    with pytest.raises(ValueError, match="pooling 'max' is not known"):
        config = replace(FAMILIES["modernbert"].variants["tiny"], vocab_size=50, pooling="max")
        jax.eval_shape(build(config).init, jax.random.key(0))

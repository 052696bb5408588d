"""Layers that share: what is stored once, which layer reads what, and how the program grows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from plmjax.modules import build
from plmjax.modules.layers import Dense, Dropout
from plmjax.modules.masks import Mask
from plmjax.modules.shared_stack import PARTS, SharedStack
from plmjax.modules.transformer import BlockInputs
from tests.modules.networks import config, network, paths, tokens

SHARING = sorted(PARTS)


def layers_of(params):
    return params["encoder"]["layers"]


def encode(net, params=None, key=None):
    run = jax.jit(lambda params: net.bound(params, key).encode(tokens(2, 6)))
    return np.asarray(run(net.params if params is None else params))


def unshared(params, num_layers, groups):
    """The parameters of four layers of their own that are copies of the shared ones."""

    def spread(leaf):
        return leaf if len(leaf) == num_layers else jnp.repeat(leaf, num_layers // groups, axis=0)

    return params | {"encoder": {"layers": jax.tree.map(spread, layers_of(params))}}


@pytest.mark.parametrize("sharing", SHARING)
def test_shared_parts_are_stored_once_a_group(sharing):
    module = build(config("albert", num_layers=4, groups=2, sharing=sharing))
    stored = paths(layers_of(jax.eval_shape(module.init, jax.random.key(0))["params"]))
    assert stored
    for path, leaf in stored.items():
        assert leaf.shape[0] == (2 if path.split("/")[0] in PARTS[sharing] else 4), path


@pytest.mark.parametrize("sharing", SHARING)
def test_consecutive_layers_make_a_group(sharing):
    """Layer i reads the shared parts of group int(i / (layers / groups)), as four layers with such copies do."""
    net = network("albert", num_layers=4, groups=2, sharing=sharing, unroll=False)
    alone = network("albert", num_layers=4, groups=1, sharing="none", unroll=True)
    assert len({leaf.shape[0] for leaf in paths(layers_of(alone.params)).values()}) == 1
    np.testing.assert_allclose(encode(net), encode(alone, unshared(net.params, 4, 2)), atol=1e-4)


def test_each_group_and_each_layer_of_its_own_starts_differently():
    module = build(config("albert", num_layers=4, groups=2, sharing="attention"))
    params = jax.jit(module.init)(jax.random.key(0))["params"]
    for name, count in (("attention/query/kernel", 2), ("mlp/up/kernel", 4)):
        kernel = np.asarray(paths(layers_of(params))[name])
        assert kernel.shape[0] == count and len({float(layer.sum()) for layer in kernel}) == count


@pytest.mark.slow
def test_scanned_unrolled_and_recomputed_are_one():
    losses = {}
    for unroll, remat in ((True, False), (False, False), (False, True)):
        net = network("albert", num_layers=4, groups=2, sharing="feed_forward", unroll=unroll, remat=remat)

        def loss(params, net=net):
            return jnp.sum(jnp.sin(net.bound(params).encode(tokens(2, 6))))

        assert ("remat" in str(jax.make_jaxpr(jax.grad(loss))(net.params))) == remat
        losses[unroll, remat] = jax.jit(jax.value_and_grad(loss))(net.params)
    want, want_gradients = losses.pop((True, False))
    for got, gradients in losses.values():
        np.testing.assert_allclose(got, want, rtol=1e-5)
        for (path, one), other in zip(paths(want_gradients).items(), jax.tree.leaves(gradients), strict=True):
            np.testing.assert_allclose(other, one, atol=2e-4, rtol=1e-4, err_msg=path)


def test_the_program_does_not_grow_with_the_depth():
    sizes = []
    for depth in (2, 12):
        net = network("albert", num_layers=depth, groups=1, sharing="attention", unroll=False)
        jaxpr = jax.make_jaxpr(jax.grad(lambda params, net=net: net.bound(params).encode(tokens(1, 4)).sum()))
        sizes.append(str(jaxpr(net.params)).count(" = "))
    assert sizes[0] == sizes[1] > 100


def test_layers_drop_other_entries():
    """A stack of blocks that only drop: one mask for all three layers would keep a half, not an eighth."""

    class Drop(nn.Module):
        def setup(self):
            self.attention = Dense(1)
            self.dropout = Dropout(0.5)

        def __call__(self, x, given):
            self.attention(x)
            return self.dropout(x), None

    for unroll in (True, False):
        stack = SharedStack(3, 1, "all", Drop, unroll=unroll)
        x = jnp.ones((4, 50, 20))
        params = stack.init(jax.random.key(0), x, BlockInputs(Mask()))
        kept = stack.apply(params, x, BlockInputs(Mask()), rngs={"dropout": jax.random.key(1)})[0] != 0
        assert abs(kept.mean() - 1 / 8) < 3 * np.sqrt(7 / 64 / kept.size)
        assert (stack.apply(params, x, BlockInputs(Mask()))[0] == x).all()


def test_wrong_settings_are_named():
    for fields, message in (
        ({"sharing": "norms"}, "sharing 'norms' is not known"),
        ({"num_layers": 4, "groups": 3}, "4 layers do not divide into 3 groups"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(build(config("albert", **fields)).init, jax.random.key(0))

"""However the layers are run, the numbers are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import build
from tests.modules.networks import config, network, paths, states, tokens


def loss_and_gradients(net):
    tokens_BL = tokens(2, 6)

    def loss(params):
        return jnp.sum(jnp.sin(states(net.bound(params), tokens_BL)))

    return jax.jit(jax.value_and_grad(loss)), jax.make_jaxpr(jax.grad(loss))(net.params)


SLOW = ("bert", "deberta", "t5_shared", "transformer_xl", "xlnet")


@pytest.mark.parametrize("name", ["gpt2", "t5", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_scanned_unrolled_and_recomputed_are_one(name):
    plain = network(name, unroll=True)
    run, jaxpr = loss_and_gradients(plain)
    want, want_gradients = run(plain.params)
    assert "checkpoint" not in str(jaxpr) and "remat" not in str(jaxpr)
    for unroll in (True, False):
        for remat in (True, False):
            if unroll and not remat:
                continue
            net = network(name, unroll=unroll, remat=remat)
            run, jaxpr = loss_and_gradients(net)
            got, gradients = run(net.params)
            np.testing.assert_allclose(got, want, rtol=1e-5)
            want_by_path = paths(want_gradients)
            for path, gradient in paths(gradients).items():
                np.testing.assert_allclose(gradient, want_by_path[path], atol=2e-4, rtol=1e-4, err_msg=path)
            recomputes = "checkpoint[" in str(jaxpr) or "remat2[" in str(jaxpr)
            assert recomputes == remat, "remat must be in the program exactly when it is asked for"


@pytest.mark.parametrize("name", ["gpt2", pytest.param("t5", marks=pytest.mark.slow)])
def test_init_is_the_same_scanned_or_not_and_each_layer_has_its_own(name):
    one = jax.jit(build(config(name, unroll=True)).init)(jax.random.key(3))["params"]
    other = jax.jit(build(config(name, unroll=False)).init)(jax.random.key(3))["params"]
    jax.tree.map(np.testing.assert_array_equal, one, other)
    kernel = one["decoder"]["layers"]["attention"]["query"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1])

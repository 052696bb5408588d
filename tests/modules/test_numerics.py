"""Precision, dropout, initial values, and the layers against formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from plmjax.modules import Bound, build
from plmjax.modules.layers import ACTIVATIONS, Dropout, LayerNorm, RMSNorm, activation
from plmjax.modules.transformer import run_layers
from tests.modules.networks import TINY, config, network, paths, states, tokens


@pytest.mark.parametrize("name", ["bert", "deberta", "electra", "gpt2", "t5", "t5_v1_1"])
def test_bfloat16_computes_near_float32_and_scores_in_float32(name):
    tokens_BL = tokens(2, 8)
    segments_BL = jnp.asarray([[1] * 8, [1] * 5 + [0] * 3])
    wide, narrow = network(name), network(name, dtype="bfloat16")

    def run(net):
        def scores(params):
            x_BLD = states(net.bound(params), tokens_BL, None, segments_BL)
            logits_BLV = net.bound(params).token_logits(x_BLD)
            # A little of everything, at a size at which bfloat16 still tells the gradients.
            return jnp.sum(jnp.sin(logits_BLV / 50)), (x_BLD, logits_BLV)

        return jax.jit(jax.value_and_grad(scores, has_aux=True))(net.params)

    (_, (x_wide, logits_wide)), _ = run(wide)
    (_, (x_narrow, logits_narrow)), gradients = run(narrow)
    assert x_wide.dtype == jnp.float32 and x_narrow.dtype == jnp.bfloat16
    assert logits_wide.dtype == logits_narrow.dtype == jnp.float32
    assert all(g.dtype == jnp.float32 and bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradients))
    real = np.asarray(segments_BL > 0)
    difference = np.abs(np.asarray(logits_narrow - logits_wide))[real].mean()
    assert 0 < difference < 0.05 * np.abs(np.asarray(logits_wide))[real].mean()


@pytest.mark.parametrize("name", TINY)
def test_dropout_needs_a_key(name):
    net = network(name, dropout=0.3)
    tokens_BL = tokens(2, 6)
    run = jax.jit(lambda key: states(net.bound(key=key), tokens_BL))
    without = jax.jit(lambda: states(net.bound(), tokens_BL))()
    one, again, other = (run(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other) and not np.allclose(one, without)


@pytest.mark.parametrize("name", ["albert", "bert", "deberta", "gpt2", "xlnet"])
def test_the_layers_drop_too(name):
    """Embeddings are left whole here, so that nothing else differs; each of these runs its layers its own way."""
    net = network(name, dropout=0.0, attention_dropout=0.4)
    run = jax.jit(lambda key: states(net.bound(key=key), tokens(2, 6)))
    one, other = (run(jax.random.key(seed)) for seed in (0, 1))
    assert not np.allclose(one, other)


def test_every_call_of_a_bound_network_draws_anew():
    net = network("gpt2")
    bound = net.bound(key=jax.random.key(0))
    tokens_BL = tokens(1, 4)
    first, second = jax.jit(lambda: (bound.decode(tokens_BL), bound.decode(tokens_BL)))()
    assert not np.allclose(first, second)


class _Noisy(nn.Module):
    """A layer whose out is its own dropout mask."""

    @nn.compact
    def __call__(self, x):
        return x, Dropout(0.5)(x)


class _Layers(nn.Module):
    unroll: bool

    @nn.compact
    def __call__(self, x):
        block = _Noisy(name="layers")
        step = lambda layer, x, _: layer(x)  # noqa: E731
        return run_layers(step, block, x, None, num_layers=3, remat=False, unroll=self.unroll)[1]


@pytest.mark.parametrize("unroll", [True, False])
def test_every_layer_drops_others(unroll):
    masks = _Layers(unroll).apply({}, jnp.ones((4, 64)), rngs={"dropout": jax.random.key(0)})
    assert masks.shape == (3, 4, 64)
    assert all(not np.array_equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("shape", [(200, 51), (100, 64)])
def test_dropout_keeps_the_mean_and_shares_a_mask_along_an_axis(shape):
    def run(dropout):
        return np.asarray(dropout.apply({}, jnp.ones((4, *shape)), rngs={"dropout": jax.random.key(0)}))

    free = run(Dropout(0.1))
    share = (free == 0).mean()
    assert abs(share - 0.1) < 3 * np.sqrt(0.09 / free.size)
    np.testing.assert_allclose(np.unique(free), [0, 1 / 0.9], rtol=1e-4)
    shared = run(Dropout(0.1, -2))
    assert (shared == shared[:, :1]).all() and 0.02 < (shared == 0).mean() < 0.25
    with pytest.raises(ValueError, match=r"dropout of 1\.0 would drop everything"):
        run(Dropout(1.0))


def test_norms_follow_their_formulas():
    x = np.random.default_rng(0).normal(3.0, 2.0, (5, 16)).astype(np.float32)
    scale, bias = np.arange(16.0), np.arange(16.0) / 7
    params = {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1) * scale + bias
    np.testing.assert_allclose(LayerNorm(0.1).apply({"params": params}, x), want, rtol=1e-4, atol=1e-5)
    want = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1) * scale
    np.testing.assert_allclose(RMSNorm(0.1).apply({"params": {"scale": params["scale"]}}, x), want, rtol=1e-4)


def test_activations_differ_and_an_unknown_one_is_named():
    x = jnp.linspace(-3, 3, 50)
    gelus = [ACTIVATIONS[name](x) for name in ("gelu", "gelu_tanh")]
    assert 1e-5 < float(jnp.abs(gelus[0] - gelus[1]).max()) < 1e-3
    with pytest.raises(ValueError, match="activation 'mish' is not known; use one of gelu, gelu_tanh, relu"):
        activation("mish")


def initial(name, **fields):
    module = build(config(name, **{"d_model": 64, "d_ff": 256} | fields))
    return paths(jax.jit(module.init)(jax.random.key(0))["params"])


def assert_std(x, std):
    """`x` has mean 0 and deviation `std`, to four standard errors."""
    assert abs(float(jnp.mean(x))) < 4 * std / np.sqrt(x.size)
    assert abs(float(jnp.std(x)) / std - 1) < 4 / np.sqrt(2 * x.size)


def test_bert_starts_from_a_truncated_normal():
    params = initial("bert")
    cut = 0.879596  # the deviation of a unit normal cut at two deviations
    for path, x in params.items():
        if path.endswith(("kernel", "embedding")):
            assert float(jnp.abs(x).max()) <= 0.04
            if x.size >= 2000:
                assert_std(x, 0.02 * cut)
        else:
            assert bool((x == (1 if path.endswith("scale") else 0)).all()), path


@pytest.mark.parametrize(("name", "positions", "writing"), [("gpt1", 0.02, 0.02), ("gpt2", 0.01, 0.02 / 2)])
def test_gpt_starts_as_its_paper_says(name, positions, writing):
    params = initial(name)  # two layers: 1 / sqrt(2 * 2) = 1 / 2
    assert_std(params["embeddings/tokens/embedding"], 0.02)
    assert_std(params["embeddings/positions/embedding"], positions)
    for path, x in params.items():
        if path.endswith("kernel"):
            assert_std(x, writing if "/out/" in path or "/down/" in path else 0.02)


def test_t5_starts_as_mesh_tensorflow_does():
    params = initial("t5_v1_1")  # width 64, 2 heads of 16, hidden 256
    expected = {
        "query": (64 * 16) ** -0.5, "key": 64**-0.5, "value": 64**-0.5, "out": (2 * 16) ** -0.5,
        "up": 64**-0.5, "gate": 64**-0.5, "down": 256**-0.5,
    }  # fmt: skip
    for path, x in params.items():
        if path.endswith("kernel"):
            assert_std(x, expected[path.split("/")[-2]])
    assert_std(params["embeddings/tokens/embedding"], 1.0)
    assert not any("bias" in path.split("/")[-1] for path in params)


def test_t5_scales_its_tied_head_alone():
    tied, untied = network("t5"), network("t5_v1_1")
    x = jnp.ones((1, 1, 32))
    table = tied.params["embeddings"]["tokens"]["embedding"]
    np.testing.assert_allclose(tied.bound().token_logits(x)[0, 0], table.sum(-1) * 32**-0.5, rtol=1e-5)
    table = untied.params["token_head"]["embedding"]
    np.testing.assert_allclose(untied.bound().token_logits(x)[0, 0], table.sum(-1), rtol=1e-5)


def test_token_head_is_the_parts_of_the_logits():
    net = network("bert")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 32)), jnp.float32)
    head = Bound(net.module, net.params).token_head(x)
    assert (head.h.shape, head.table.shape, head.bias.shape) == ((2, 3, 32), (50, 32), (50,))
    np.testing.assert_allclose(net.bound().token_logits(x), head.h @ head.table.T + head.bias, atol=1e-4)

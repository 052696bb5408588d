from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import attention
from plmjax.modules.attention import attend, choose_kernel, width_of_head
from plmjax.modules.masks import Mask

PLAIN = {"bias": False, "dropout": False}


@pytest.mark.parametrize(
    ("expected", "arguments", "options"),
    [
        ("xla", ("cpu", "float32", 128, 128, 64), PLAIN),
        ("xla", ("cpu", "bfloat16", 128, 128, 64), PLAIN),
        ("cudnn", ("gpu", "bfloat16", 128, 128, 64), PLAIN),
        ("cudnn", ("cuda", "float16", 100, 52, 128), PLAIN),
        ("xla", ("gpu", "float32", 128, 128, 64), PLAIN),
        ("xla", ("gpu", "bfloat16", 128, 128, 64), {"bias": False, "dropout": True}),
        ("xla", ("gpu", "bfloat16", 128, 128, 64), {"bias": True, "dropout": False}),
        ("xla", ("gpu", "bfloat16", 128, 128, 60), PLAIN),
        ("xla", ("gpu", "bfloat16", 128, 128, 136), PLAIN),
        ("xla", ("gpu", "bfloat16", 127, 128, 64), PLAIN),
        ("xla", ("gpu", "bfloat16", 128, 127, 64), PLAIN),
        ("xla", ("gpu", "bfloat16", 128, 128, 64), PLAIN | {"cached": True}),
        ("pallas", ("tpu", "bfloat16", 512, 512, 64), PLAIN),
        ("pallas", ("tpu", "float32", 128, 256, 80), PLAIN),
        ("xla", ("tpu", "bfloat16", 512, 512, 64), {"bias": True, "dropout": False}),
        ("xla", ("tpu", "bfloat16", 512, 512, 64), {"bias": False, "dropout": True}),
        ("xla", ("tpu", "bfloat16", 512, 512, 64), PLAIN | {"cached": True}),
        ("xla", ("tpu", "bfloat16", 100, 512, 64), PLAIN),
        ("xla", ("tpu", "bfloat16", 512, 100, 64), PLAIN),
        ("xla", ("tpu", "bfloat16", 512, 512, 64), PLAIN | {"irregular": True}),
        ("cudnn", ("gpu", "bfloat16", 128, 128, 64), PLAIN | {"irregular": True}),
    ],
)
def test_the_kernel_follows_from_what_is_known_beforehand(expected, arguments, options):
    assert choose_kernel(*arguments, **options) == expected


def test_the_platform_is_the_meshs_or_the_default():
    assert attention.backend() == "cpu"


def inputs(batch=2, queries=5, keys=7, heads=3, width=4):
    rng = np.random.default_rng(0)
    shapes = [(batch, queries, heads, width), (batch, keys, heads, width), (batch, keys, heads, width)]
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def reference(q, k, v, seen, bias, scale):
    """Loops over single queries, in float64."""
    out = np.zeros(q.shape)
    for b, row, h in np.ndindex(*q.shape[:3]):
        keys = [t for t in range(k.shape[1]) if seen[b, row, t]]
        if keys:
            logits = np.array([scale * (q[b, row, h] @ k[b, t, h]) + bias[h, row, t] for t in keys])
            weights = np.exp(logits - logits.max())
            out[b, row, h] = (weights / weights.sum()) @ np.asarray(v)[b, keys, h]
    return out


def test_attend_is_softmax_over_what_the_mask_shows():
    q, k, v = (np.asarray(x, np.float64) for x in inputs())
    query_segments = np.array([[1, 1, 2, 2, 0], [1, 3, 1, 1, 1]])
    key_segments = np.array([[1, 1, 1, 2, 2, 0, 0], [1, 1, 1, 1, 0, 2, 1]])
    bias = np.random.default_rng(1).normal(size=(3, 5, 7))
    seen = np.zeros((2, 5, 7), bool)
    for b, row, t in np.ndindex(*seen.shape):
        same = query_segments[b, row] == key_segments[b, t] != 0
        seen[b, row, t] = same and t <= row + 2
    mask = Mask(jnp.asarray(query_segments), jnp.asarray(key_segments), jnp.asarray(2), causal=True)
    got = attend(*inputs(), mask, jnp.asarray(bias, jnp.float32), 0.7, None)
    np.testing.assert_allclose(got, reference(q, k, v, seen, bias, 0.7), atol=1e-5)


QUERY_SEGMENTS = np.array([[1, 1, 1, 2, 2, 2, 0], [2, 1, 1, 1, 1, 1, 1]])
PREFIX = np.array([[1, 1, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0, 0]], bool)
HIDDEN = np.random.default_rng(2).random((2, 7, 7)) < 0.4
HIDDEN[0, 1] = True  # a row without keys
IRREGULAR = {
    "prefix": Mask.within(jnp.asarray(QUERY_SEGMENTS), causal=True, prefix_BL=jnp.asarray(PREFIX)),
    "prefix of one text": Mask.within(None, causal=True, prefix_BL=jnp.asarray(PREFIX)),
    "prefix and band": replace(
        Mask.within(jnp.asarray(QUERY_SEGMENTS), causal=True, prefix_BL=jnp.asarray(PREFIX)), band=2
    ),
    "hidden": Mask(jnp.asarray(QUERY_SEGMENTS), jnp.asarray(QUERY_SEGMENTS), hidden=jnp.asarray(HIDDEN)),
    "hidden in one text": Mask(hidden=jnp.asarray(HIDDEN)),
    "causal": Mask.within(jnp.asarray(QUERY_SEGMENTS), causal=True),
}


def shown(mask):
    """bool [B, L, T], pair by pair."""
    seen = np.zeros((2, 7, 7), bool)
    for b, row, t in np.ndindex(*seen.shape):
        same = mask.query_segments is None or QUERY_SEGMENTS[b, row] == QUERY_SEGMENTS[b, t] != 0
        past = t <= row and (not mask.band or row - t < mask.band)
        before = not mask.causal or past or (mask.prefix is not None and PREFIX[b, t])
        seen[b, row, t] = same and before and not (mask.hidden is not None and HIDDEN[b, row, t])
    return seen


@pytest.mark.parametrize("name", IRREGULAR)
def test_every_kernel_honours_prefixes_and_hidden_pairs(name, monkeypatch):
    """cuDNN's call is made with another implementation of the same function."""
    mask, plain = IRREGULAR[name], inputs(queries=7)
    want = reference(*(np.asarray(x, np.float64) for x in plain), shown(mask), np.zeros((3, 7, 7)), 0.7)
    np.testing.assert_allclose(attend(*plain, mask, None, 0.7, None), want, atol=1e-5)
    np.testing.assert_allclose(attend(*plain, mask, jnp.zeros((3, 7, 7)), 0.7, None), want, atol=1e-5)
    dot_product_attention = jax.nn.dot_product_attention
    monkeypatch.setattr(attention, "choose_kernel", lambda *_, **__: "cudnn")
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        lambda *arrays, implementation, **settings: dot_product_attention(*arrays, implementation="xla", **settings),
    )
    np.testing.assert_allclose(attend(*plain, mask, None, 0.7, None), want, atol=1e-5)


def test_nothing_is_masked_without_segments_and_causality():
    q, k, v = (np.asarray(x, np.float64) for x in inputs())
    assert Mask().materialize(5, 7) is None and Mask().live_rows(5, 7) is None
    got = attend(*inputs(), Mask(), None, 1.0, None)
    np.testing.assert_allclose(got, reference(q, k, v, np.ones((2, 5, 7)), np.zeros((3, 5, 7)), 1.0), atol=1e-5)


def test_across_fills_the_side_that_is_none():
    queries, keys = jnp.zeros((2, 3, 4)), jnp.zeros((2, 5, 4))
    segments = jnp.asarray([[1, 1, 0, 2, 1], [0, 0, 0, 0, 1]])
    seen = Mask.across(queries, None, keys, segments).materialize(3, 5)
    np.testing.assert_array_equal(seen[:, 0, 0], [[1, 1, 0, 0, 1], [0, 0, 0, 0, 1]])
    seen = Mask.across(queries, jnp.asarray([[1, 2, 0], [1, 1, 1]]), keys, None).materialize(3, 5)
    np.testing.assert_array_equal(seen[:, 0, :, 0], [[1, 0, 0], [1, 1, 1]])
    assert Mask.across(queries, None, keys, None) == Mask()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_row_without_keys_gives_zeros_and_finite_gradients(dtype):
    q, k, v = (x.astype(dtype) for x in inputs())
    mask = Mask(jnp.asarray([[1, 0, 2, 1, 1]] * 2), jnp.asarray([[1, 1, 0, 0, 1, 1, 0]] * 2))

    def total(q, k, v, bias):
        out = attend(q, k, v, mask, bias, 1.0, None)
        return jnp.sum(out.astype(jnp.float32) ** 2), out

    bias = jnp.zeros((3, 5, 7))
    (_, out), grads = jax.jit(jax.value_and_grad(total, (0, 1, 2, 3), has_aux=True))(q, k, v, bias)
    assert bool((out[:, 1:3] == 0).all()) and bool((out[:, [0, 3, 4]] != 0).all())
    assert all(bool(jnp.isfinite(g).all()) for g in grads)
    assert bool((grads[0][:, 1:3] == 0).all()) and bool((grads[0][:, 0] != 0).any())


def test_heads_must_divide_the_width():
    assert width_of_head(768, 12) == 64
    with pytest.raises(ValueError, match="d_model 100 does not divide into 12 heads"):
        width_of_head(100, 12)


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
def test_the_pallas_kernel_agrees_with_xla(causal):
    from jax.experimental.pallas import tpu as pltpu

    q, k, v = inputs(batch=2, queries=256, keys=256, heads=2, width=64)
    segments = jnp.asarray([[1] * 100 + [2] * 120 + [0] * 36, [1] * 256])
    mask = Mask.within(segments, causal)

    def run(kernel):
        def total(q, k, v):
            out = jnp.where((segments > 0)[:, :, None, None], kernel(q, k, v), 0)
            return jnp.sum(jnp.sin(out)), out

        return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(q, k, v)

    with pltpu.force_tpu_interpret_mode():
        (_, flash), flash_grads = run(lambda q, k, v: attention._attend_pallas(q, k, v, mask, 0.125))
    (_, plain), plain_grads = run(lambda q, k, v: attention._attend_xla(q, k, v, mask, None, 0.125, None))
    np.testing.assert_allclose(flash, plain, atol=2e-5)
    for one, other in zip(flash_grads, plain_grads, strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5)

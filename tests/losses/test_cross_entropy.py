"""The chunked cross-entropy against a plain log-softmax; it never makes all logits, nor a product twice."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from plmjax.losses.cross_entropy import CHUNK_ELEMENTS_CPU, cross_entropy, default_chunk

B, L, E, ROWS, SIZE = 3, 10, 8, 48, 41
OPTIONS = ("size", "label_smoothing", "z_loss", "chunk")

compiled_loss = jax.jit(cross_entropy, static_argnames=OPTIONS)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    h = jnp.asarray(rng.normal(size=(B, L, E)), jnp.float32)
    table = jnp.asarray(rng.normal(size=(ROWS, E)), jnp.float32)
    bias = jnp.asarray(rng.normal(size=ROWS), jnp.float32)
    targets = jnp.asarray(rng.integers(0, SIZE, (B, L)), jnp.int32)
    weights = jnp.asarray(rng.uniform(size=(B, L)) * (np.arange(L)[None] < np.array([[10], [4], [7]])), jnp.float32)
    return h, table, bias, targets, weights


@functools.partial(jax.jit, static_argnames=("smoothing", "z_loss", "size"))
def plain_loss(h, table, bias, targets, smoothing=0.0, z_loss=0.0, size=SIZE):
    """The definition, with all logits at once."""
    logits = jnp.einsum("...e,ve->...v", h, table)
    if bias is not None:
        logits = logits + bias
    logits = logits[..., :size]
    log_p = jax.nn.log_softmax(logits)
    nll = -jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    return (1 - smoothing) * nll - smoothing * log_p.mean(-1) + z_loss * jax.nn.logsumexp(logits, axis=-1) ** 2


def products(jaxpr, rows):
    """(matrix products with the vocabulary, each counted once however often its loop runs; sizes of all arrays)."""
    count, sizes = 0, []
    for equation in jaxpr.eqns:
        shapes = [v.aval.shape for v in (*equation.invars, *equation.outvars) if hasattr(v.aval, "shape")]
        sizes += [shape for shape in shapes if rows in shape]
        if equation.primitive.name == "dot_general" and any(rows in shape for shape in shapes):
            count += 1
        for inner in jaxprs_in_params(equation.params):
            inner_count, inner_sizes = products(inner, rows)
            count, sizes = count + inner_count, sizes + inner_sizes
    return count, sizes


@pytest.mark.parametrize(
    ("smoothing", "z_loss", "with_bias", "chunk"),
    [(0.0, 0.0, True, 4), (0.1, 0.0, False, 10), (0.0, 1e-2, False, 3), (0.1, 1e-2, True, 1), (0.1, 1e-2, True, None)],
)
def test_value_and_gradients_are_those_of_the_plain_loss(case, smoothing, z_loss, with_bias, chunk):
    h, table, bias, targets, weights = case
    bias = bias if with_bias else None

    def chunked(h, table, bias):
        options = {"size": SIZE, "label_smoothing": smoothing, "z_loss": z_loss, "chunk": chunk}
        result = compiled_loss(h, table, bias, targets, weights, **options)
        return result.total.sum, result

    def plain(h, table, bias):
        loss = plain_loss(h, table, bias, targets, smoothing=smoothing, z_loss=z_loss)
        return jnp.sum(weights * loss), loss

    (total, result), gradients = jax.jit(jax.value_and_grad(chunked, (0, 1, 2), has_aux=True))(h, table, bias)
    (expected, loss), expected_gradients = jax.jit(jax.value_and_grad(plain, (0, 1, 2), has_aux=True))(h, table, bias)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_allclose(result.loss, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.total.weight, weights.sum(), rtol=1e-6)
    logits = jnp.einsum("ble,ve->blv", h, table)[..., :SIZE] + (0 if bias is None else bias[:SIZE])
    np.testing.assert_array_equal(result.correct, logits.argmax(-1) == targets)
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert (gradients[1][SIZE:] == 0).all()  # rows that pad the table


def test_the_loss_without_gradient_is_the_same(case):
    h, table, bias, targets, weights = case
    alone = compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4)
    with_gradient = jax.value_and_grad(
        lambda h: compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4)[0][0]
    )
    np.testing.assert_allclose(alone.total.sum, with_gradient(h)[0], rtol=1e-6)


def test_the_backward_pass_scales_by_the_cotangent(case):
    h, table, bias, targets, weights = case

    def mean(h, table):
        return 3 * compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4).total.mean()

    def plain(h, table):
        return 3 * jnp.average(plain_loss(h, table, bias, targets), weights=weights)

    ours_theirs = (jax.jit(jax.grad(function, (0, 1)))(h, table) for function in (mean, plain))
    for ours, theirs in zip(*ours_theirs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_only_the_sum_carries_a_gradient(case):
    h, table, bias, targets, weights = case

    def others(h, weights):
        result = compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4)
        return result.loss.sum() + result.correct.sum()

    for gradient in jax.jit(jax.grad(others, (0, 1)))(h, weights):
        assert (gradient == 0).all()


def test_a_flat_list_of_positions_gives_the_same(case):
    h, table, bias, targets, weights = case
    whole = compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4)
    flat = compiled_loss(h.reshape(-1, E), table, bias, targets.ravel(), weights.ravel(), size=SIZE, chunk=7)
    np.testing.assert_allclose(flat.loss.reshape(B, L), whole.loss, rtol=1e-6)


def test_uniform_logits_cost_the_log_of_the_classes():
    zeros = jnp.zeros((4, E))
    loss = compiled_loss(zeros, jnp.ones((ROWS, E)), None, jnp.arange(4), jnp.ones(4), size=SIZE).loss
    np.testing.assert_allclose(loss, np.log(SIZE), rtol=1e-6)


def test_targets_out_of_range_and_infinite_states_without_weight_do_no_harm(case):
    h, table, bias, targets, weights = case
    wild = jnp.where(weights == 0, jnp.array([-1, 10**6, SIZE, ROWS - 1, -100] * 6).reshape(B, L), targets)
    # 1e30: its logits overflow to infinity.
    wild_h = jnp.where((weights == 0)[..., None], 1e30, h)

    def total(h, table, targets):
        return compiled_loss(h, table, bias, targets, weights, size=SIZE, label_smoothing=0.1, chunk=4).total.sum

    value_and_gradients = jax.jit(jax.value_and_grad(total, (0, 1)))
    value, gradients = value_and_gradients(wild_h, table, wild)
    expected, expected_gradients = value_and_gradients(h, table, targets)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_no_weight_at_all_gives_zero(case):
    h, table, bias, targets, weights = case
    value, gradient = jax.value_and_grad(
        lambda h: compiled_loss(h, table, bias, targets, 0 * weights, size=SIZE).total.mean()
    )(h)
    assert value == 0 and (gradient == 0).all()


def test_three_products_under_differentiation_and_one_without(case):
    h, table, bias, targets, weights = case

    def total(h, table, bias):
        return compiled_loss(h, table, bias, targets, weights, size=SIZE, z_loss=1e-4, chunk=2).total.sum

    for function, expected in ((total, 1), (jax.value_and_grad(total, (0, 1, 2)), 3)):
        count, shapes = products(jax.make_jaxpr(function)(h, table, bias).jaxpr, ROWS)
        assert count == expected
        assert (B, 2, ROWS) in shapes  # the logits of a chunk are what the walk sees ...
        # ... and nothing holds more positions by vocabulary than that.
        assert max(np.prod(shape) for shape in shapes) <= max(B * 2, E) * ROWS


def test_compiled_memory_is_that_of_a_chunk():
    h, table = jax.ShapeDtypeStruct((4, 256, 16), jnp.float32), jax.ShapeDtypeStruct((2048, 16), jnp.float32)
    targets, weights = jax.ShapeDtypeStruct((4, 256), jnp.int32), jax.ShapeDtypeStruct((4, 256), jnp.float32)

    def total(h, table, targets, weights):
        return compiled_loss(h, table, None, targets, weights, size=2048, chunk=16).total.sum

    compiled = jax.jit(jax.value_and_grad(total, (0, 1))).lower(h, table, targets, weights).compile()
    full_logits = 4 * 256 * 2048 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < full_logits / 3


def test_default_chunks_are_even_and_bounded():
    assert default_chunk(2, 100, 1000) == 100
    chunk = default_chunk(32, 1000, 50_304)
    assert chunk == 1  # rows can't be cut: one position of each
    for batch, length, rows in itertools.product((1, 4), (128, 500), (8192, 32_768)):
        chunk = default_chunk(batch, length, rows)
        assert chunk * batch * rows <= CHUNK_ELEMENTS_CPU
        chunks = -(-length // chunk)
        assert chunks * chunk - length < chunks  # no chunk is filled up by more than one position


def test_bfloat16_states_give_float32_losses(case):
    h, table, bias, targets, weights = case

    def total(h, table):
        result = compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4)
        return result.total.sum, result

    (value, result), (dh, dtable) = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(
        h.astype(jnp.bfloat16), table
    )
    assert result.loss.dtype == jnp.float32 and dh.dtype == jnp.bfloat16 and dtable.dtype == jnp.float32
    rounded = [x.astype(jnp.bfloat16).astype(jnp.float32) for x in (h, table)]
    expected = jnp.sum(weights * plain_loss(*rounded, bias, targets))
    np.testing.assert_allclose(value, expected, rtol=1e-5)  # products of bfloat16 are exact in the float32 sum
    expected = jax.jit(jax.grad(lambda t: jnp.sum(weights * plain_loss(rounded[0], t, bias, targets))))(rounded[1])
    np.testing.assert_allclose(dtable, expected, atol=0.02 * jnp.abs(expected).max())


@pytest.mark.parametrize("shape", [(4, 2, 1), (2, 2, 2)])
def test_eight_devices_give_what_one_gives(shape):
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    rng = np.random.default_rng(1)
    arguments = (
        jnp.asarray(rng.normal(size=(8, 6, E)), jnp.float32),
        jnp.asarray(rng.normal(size=(ROWS, E)), jnp.float32),
        jnp.asarray(rng.normal(size=ROWS), jnp.float32),
        jnp.asarray(rng.integers(0, SIZE, (8, 6)), jnp.int32),
        jnp.asarray(rng.integers(0, 2, (8, 6)), jnp.float32),
    )

    def mean(h, table, bias, targets, weights):
        return compiled_loss(h, table, bias, targets, weights, size=SIZE, label_smoothing=0.1, chunk=2).total.mean()

    expected = jax.jit(jax.value_and_grad(mean, (0, 1, 2)))(*arguments)
    rows, vocabulary = P(("data", "fsdp")), P(("tensor", "fsdp"))
    shardings = tuple(NamedSharding(mesh, spec) for spec in (rows, vocabulary, vocabulary, rows, rows))
    with jax.set_mesh(mesh):
        spread = jax.device_put(arguments, shardings)
        compiled = jax.jit(jax.value_and_grad(mean, (0, 1, 2))).lower(*spread).compile()
        result = compiled(*spread)
    for ours, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    # The table is brought together at most once and its gradient summed once, outside the loop over chunks.
    text = compiled.as_text()
    body = [computation for computation in text.split("\n\n") if not computation.lstrip().startswith("ENTRY")]
    lines = [line for computation in body for line in computation.splitlines()]
    assert not [line for line in lines if " all-gather(" in line]
    assert not [line for line in lines if " all-reduce(" in line and "[48,8]" in line.split("all-reduce(")[0]]
    assert " all-reduce(" in text


def test_rows_that_do_not_divide_the_mesh_still_work(case):
    h, table, bias, targets, weights = case
    expected = compiled_loss(h, table, bias, targets, weights, size=SIZE, chunk=4).total.sum
    mesh = jax.make_mesh((8, 1, 1), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        result = jax.jit(lambda *a: compiled_loss(*a, size=SIZE, chunk=4).total.sum)(h, table, bias, targets, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_microbatches_merge_to_the_batch(case):
    h, table, bias, targets, weights = case

    def mean(table, cuts):
        parts = [compiled_loss(h[c], table, bias, targets[c], weights[c], size=SIZE, chunk=4).total for c in cuts]
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total.mean()

    whole = jax.jit(jax.value_and_grad(functools.partial(mean, cuts=[slice(0, 3)])))(table)
    parts = jax.jit(jax.value_and_grad(functools.partial(mean, cuts=[slice(0, 1), slice(1, 3)])))(table)
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_shapes_that_do_not_fit_are_refused(case):
    h, table, bias, targets, weights = case
    with pytest.raises(ValueError, match="cross_entropy got states"):
        cross_entropy(h, table, bias, targets[:, 1:], weights, size=SIZE)
    with pytest.raises(ValueError, match="give 1 to 48"):
        cross_entropy(h, table, bias, targets, weights, size=ROWS + 1)

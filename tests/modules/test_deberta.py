"""Disentangled attention against a naive double loop, and the enhanced mask decoder against its two passes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import Bound, build
from plmjax.modules.deberta import VARIANTS
from plmjax.modules.disentangled import DisentangledAttention, DisentangledBlock, table_rows
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import BlockInputs
from tests.modules.networks import network, states, tokens

LENGTH, WIDTH, HEADS, HEAD = 7, 12, 3, 4
SPAN = 5  # under the length: distances are cut


def params_of(module, *arguments):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.4, s.shape), jnp.float32), shapes)


@pytest.mark.parametrize("terms", [("c2p",), ("p2c",), ("c2p", "p2c"), ()])
@pytest.mark.parametrize("share", [False, True])
def test_scores_are_those_of_a_double_loop(terms, share):
    attention = DisentangledAttention(
        HEADS, HEAD, WIDTH, terms, SPAN, 0, share, True, 0.0, jax.nn.initializers.normal(0.1)
    )
    rng = np.random.default_rng(1)
    query, content = (rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32) for _ in range(2))
    table = rng.normal(size=(2 * SPAN, WIDTH)).astype(np.float32)
    params = params_of(attention, query, content, Mask(), table)
    ours = jax.jit(lambda: attention.apply({"params": params}, query, content, Mask(), table))()
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

    def project(name, x):
        return np.einsum("ld,dhk->lhk", x, p[name]["kernel"]) + p[name]["bias"]

    q, k, v = project("query", query[0]), project("key", content[0]), project("value", content[0])
    scores = np.zeros((HEADS, LENGTH, LENGTH))
    for i in range(LENGTH):
        for j in range(LENGTH):
            distance = i - j  # the paper's delta, Eq. 3
            row = 0 if distance <= -SPAN else 2 * SPAN - 1 if distance >= SPAN else distance + SPAN
            at = table[row : row + 1]
            scores[:, i, j] = (q[i] * k[j]).sum(-1)
            if "c2p" in terms:
                scores[:, i, j] += (q[i] * project("key" if share else "position_key", at)[0]).sum(-1)
            if "p2c" in terms:
                scores[:, i, j] += (k[j] * project("query" if share else "position_query", at)[0]).sum(-1)
    weights = np.exp(scores / np.sqrt((1 + len(terms)) * HEAD))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hlt,thk->lhk", weights, v)
    expected = np.einsum("lhk,hkd->ld", mixed, p["out"]["kernel"]) + p["out"]["bias"]
    np.testing.assert_allclose(ours[0], expected, atol=2e-5)


def test_buckets_are_exact_near_and_logarithmic_far():
    distances = np.arange(-600, 601)
    rows = table_rows(distances, 512, 256) - 256
    near = np.abs(distances) <= 128
    np.testing.assert_array_equal(rows[near], distances[near])
    assert (np.diff(rows) >= 0).all() and rows.min() == -256 and rows.max() == 255
    np.testing.assert_array_equal(rows[distances == 511], [255])


def test_enhanced_mask_decoder_is_a_second_pass_of_the_last_layer():
    config = replace(VARIANTS["tiny"], vocab_size=50)
    module = build(config)
    params = params_of(module)
    tokens, segments = np.arange(2 * LENGTH).reshape(2, LENGTH) % 50, np.ones((2, LENGTH), np.int32)
    segments[1, 5:] = 0
    bound = Bound(module, params)
    ours = jax.jit(lambda: bound.encode_for_tokens(tokens, None, None, segments))()
    np.testing.assert_allclose(ours.x_BLD, jax.jit(lambda: bound.encode(tokens, None, None, segments))(), atol=1e-6)

    block: DisentangledBlock = module.bind({"params": params}).encoder.make_block(parent=None)
    layer = [jax.tree.map(lambda leaf, n=n: leaf[n], params["encoder"]["layers"]) for n in range(2)]
    given = BlockInputs(Mask.within(segments), params["encoder"]["relative"]["embedding"])
    x = bound.module.bind({"params": params}).embeddings(tokens, None, None, segments)
    under, _ = block.apply({"params": layer[0]}, x, given)
    query = under + params["embeddings"]["positions"]["embedding"][None, :LENGTH]
    expected = block.apply({"params": layer[1]}, query, under, given, method=DisentangledBlock.attend)
    np.testing.assert_allclose(ours.tokens_BLD, expected, atol=1e-5)
    assert not np.allclose(ours.tokens_BLD, ours.x_BLD, atol=1e-2)


def test_only_the_decoder_knows_absolute_positions():
    """Moving the position table moves what the token head reads, and nothing else."""
    module = build(replace(VARIANTS["tiny"], vocab_size=50))
    params = params_of(module)
    moved = jax.tree.map(lambda x: x, params)
    moved["embeddings"]["positions"] = {"embedding": params["embeddings"]["positions"]["embedding"] + 1.0}
    tokens = np.arange(LENGTH)[None]
    run = jax.jit(lambda p: Bound(module, p).encode_for_tokens(tokens))
    before, after = run(params), run(moved)
    np.testing.assert_array_equal(before.x_BLD, after.x_BLD)
    assert not np.allclose(before.tokens_BLD, after.tokens_BLD, atol=1e-3)


def test_the_convolution_stays_within_its_text():
    """Texts packed in one row are read as if each stood alone."""
    net = network("deberta", convolution=3)
    text = tokens(1, 9)
    segments, positions = jnp.array([[1] * 4 + [2] * 5]), jnp.array([[*range(4), *range(5)]])
    packed = states(net.bound(), text, positions, segments)
    for part in (slice(0, 4), slice(4, 9)):
        alone = states(net.bound(), text[:, part], None, jnp.ones_like(text[:, part]))
        np.testing.assert_allclose(packed[:, part], alone, atol=1e-5)

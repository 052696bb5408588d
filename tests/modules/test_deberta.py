"""Disentangled attention against a naive double loop, and the enhanced mask decoder against its passes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.errors import UserError
from plmjax.modules import Bound, build
from plmjax.modules.deberta import VARIANTS
from plmjax.modules.disentangled import DisentangledAttention, DisentangledBlock, table_rows
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import BlockInputs
from tests.modules.networks import network, states, tokens

LENGTH, WIDTH, HEADS, HEAD = 7, 12, 3, 4
KEY = jax.random.key(0)
SPAN = 5  # under the length: distances are cut


def params_of(module, *arguments):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.4, s.shape), jnp.float32), shapes)


@pytest.mark.parametrize("terms", [("c2p",), ("p2c",), ("c2p", "p2c"), ()])
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("p2c", ["query_to_key", "key_to_query"])
def test_scores_are_those_of_a_double_loop(terms, share, p2c):
    """p2c's row is that of i - j in the released code (disentangled_attention.py:145-155), of j - i in Eq. 4."""
    attention = DisentangledAttention(
        HEADS, HEAD, WIDTH, terms, SPAN, 0, share, True, 0.0, jax.nn.initializers.normal(0.1), p2c
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
            rows = [  # the paper's delta, Eq. 3
                0 if distance <= -SPAN else 2 * SPAN - 1 if distance >= SPAN else distance + SPAN
                for distance in (i - j, j - i)
            ]
            at, turned = (table[row : row + 1] for row in rows)
            scores[:, i, j] = (q[i] * k[j]).sum(-1)
            if "c2p" in terms:
                scores[:, i, j] += (q[i] * project("key" if share else "position_key", at)[0]).sum(-1)
            if "p2c" in terms:
                read = at if p2c == "query_to_key" else turned
                scores[:, i, j] += (k[j] * project("query" if share else "position_query", read)[0]).sum(-1)
    weights = np.exp(scores / np.sqrt((1 + len(terms)) * HEAD))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hlt,thk->lhk", weights, v)
    expected = np.einsum("lhk,hkd->ld", mixed, p["out"]["kernel"]) + p["out"]["bias"]
    np.testing.assert_allclose(ours[0], expected, atol=2e-5)


def test_each_layer_drops_other_entries_of_the_relative_table():
    """As released, pos_dropout is each attention's own (disentangled_attention.py:53 and 88)."""
    config = replace(VARIANTS["tiny"], vocab_size=50, dropout=0.5, attention_dropout=0.0)
    module = build(config)
    params = params_of(module)
    stack = module.bind({"params": params}, rngs={"dropout": KEY}).encoder
    read = []

    def intercept(run, arguments, keywords, context):
        value = run(*arguments, **keywords)
        if context.module.name == "position_dropout" and context.method_name == "__call__":
            read.append(np.asarray(value))
        return value

    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, LENGTH, 32)), jnp.float32)
    with nn.intercept_methods(intercept), jax.disable_jit():
        stack(x, None, None)
    first, second = (one == 0 for one in read if (one == 0).any())  # the shapes of parameters are made without dropout
    assert first.mean() > 0.4 and second.mean() > 0.4 and (first != second).any()


def test_buckets_are_exact_near_and_logarithmic_far():
    distances = np.arange(-600, 601)
    rows = table_rows(distances, 512, 256) - 256
    near = np.abs(distances) <= 128
    np.testing.assert_array_equal(rows[near], distances[near])
    assert (np.diff(rows) >= 0).all() and rows.min() == -256 and rows.max() == 255
    np.testing.assert_array_equal(rows[distances == 511], [255])


def released_decoder(params, hidden, absolute, segments, passes):
    """The queries of EnhancedMaskDecoder.emd_context_layer after its passes, in plain NumPy, of one text [L, D].

    hidden_states = encoder_layers[-2]; z_states += hidden_states; for each layer of [encoder.layer[-1]] * 2:
    query_states = layer(hidden_states, query_states=query_states) (microsoft/DeBERTa, masked_language_model.py:59-72).
    """
    layer = jax.tree.map(lambda leaf: np.asarray(leaf[-1], np.float64), params["encoder"]["layers"])
    table = np.asarray(params["encoder"]["relative"]["embedding"], np.float64)
    attention, span = layer["attention"], len(table) // 2

    def linear(name, x, tree=attention):
        return np.tensordot(x, tree[name]["kernel"], 1) + tree[name].get("bias", 0.0)

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-7)
        return scaled * layer[name]["scale"] + layer[name]["bias"]

    rows = np.clip(np.arange(LENGTH)[:, None] - np.arange(LENGTH) + span, 0, 2 * span - 1)
    seen = (segments[:, None] == segments) & (segments > 0)
    query = hidden + absolute
    for _ in range(passes):
        q, k, v = linear("query", query), linear("key", hidden), linear("value", hidden)
        scores = np.einsum("lhk,thk->hlt", q, k)
        scores += np.einsum("lhk,lthk->hlt", q, linear("position_key", table)[rows])
        scores += np.einsum("thk,lthk->hlt", k, linear("position_query", table)[rows])
        weights = np.where(seen, np.exp(scores / np.sqrt(3 * q.shape[-1])), 0.0)
        weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-30)
        mixed = np.einsum("hlt,thk->lhk", weights, v)
        mixed = np.einsum("lhk,hkd->ld", mixed, attention["out"]["kernel"]) + attention["out"]["bias"]
        x = norm("attention_norm", query + mixed)
        up = linear("up", x, layer["mlp"])
        query = norm("mlp_norm", x + linear("down", np.asarray(jax.nn.gelu(up, approximate=False)), layer["mlp"]))
    return query


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_enhanced_mask_decoder_runs_the_last_layer_on_its_own_queries(passes):
    """As released, two passes (microsoft/DeBERTa, apps/models/masked_language_model.py:59-72)."""
    fields = {} if passes == 2 else {"enhanced_mask_decoder_layers": passes}
    config = replace(VARIANTS["tiny"], vocab_size=50, **fields)
    module = build(config)
    params = params_of(module)
    tokens, segments = np.arange(2 * LENGTH).reshape(2, LENGTH) % 50, np.ones((2, LENGTH), np.int32)
    segments[1, 5:] = 0
    bound = Bound(module, params)
    ours = jax.jit(lambda: bound.encode_for_tokens(tokens, None, None, segments))()
    np.testing.assert_allclose(ours.x_BLD, jax.jit(lambda: bound.encode(tokens, None, None, segments))(), atol=1e-6)

    block: DisentangledBlock = module.bind({"params": params}).encoder.make_block(parent=None)
    first = jax.tree.map(lambda leaf: leaf[0], params["encoder"]["layers"])
    given = BlockInputs(Mask.within(segments), params["encoder"]["relative"]["embedding"])
    x = bound.module.bind({"params": params}).embeddings(tokens, None, None, segments)
    under, _ = block.apply({"params": first}, x, given)
    absolute = np.asarray(params["embeddings"]["positions"]["embedding"][:LENGTH], np.float64)
    for row in range(2):
        expected = released_decoder(params, np.asarray(under[row], np.float64), absolute, segments[row], passes)
        real = segments[row] > 0
        np.testing.assert_allclose(ours.tokens_BLD[row][real], expected[real], atol=2e-5)
    assert not np.allclose(ours.tokens_BLD, ours.x_BLD, atol=1e-2)


def test_a_network_written_before_is_as_it_was():
    """A manifest without these fields is of a network that learned with one pass and the detection head of then."""
    written = to_json(VARIANTS["tiny"])
    assert from_json(written) == VARIANTS["tiny"]
    del written["enhanced_mask_decoder_layers"], written["detection_head"]
    before = {"enhanced_mask_decoder_layers": 1, "detection_head": "transform"}
    assert from_json(written) == replace(VARIANTS["tiny"], **before)


@pytest.mark.parametrize("form", ["context", "transform"])
def test_detection_head(form):
    """The released form adds the first token's state (replaced_token_detection_model.py:40-46); the earlier does not.

    Every token's score then has a gradient to the first state, else its own alone.
    """
    config = replace(VARIANTS["v3_base"], num_layers=1, num_heads=2, d_model=8, d_ff=16, vocab_size=50)
    module = build(replace(config, heads=("replaced_token_detection",), detection_head=form))
    bound = Bound(module, params_of(module))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 8)), jnp.float32)
    jacobian = jax.jit(jax.jacobian(bound.replaced_token_logits))(x)[0, :, 0]  # [scores, states, D]
    reads = np.abs(jacobian).max(-1) > 1e-6
    own = np.eye(5, dtype=bool)
    np.testing.assert_array_equal(reads, own | (np.arange(5) == 0) if form == "context" else own)


def test_a_detection_head_that_is_none_is_refused():
    config = replace(VARIANTS["tiny"], vocab_size=50, heads=("replaced_token_detection",), detection_head="electra")
    with pytest.raises(UserError, match="detection_head is 'electra'; it must be one of context, transform"):
        jax.eval_shape(build(config).init, KEY)


def test_a_decoder_without_layers_is_refused():
    with pytest.raises(UserError, match="enhanced_mask_decoder_layers is 0; give at least 1, or set"):
        jax.eval_shape(build(replace(VARIANTS["tiny"], vocab_size=50, enhanced_mask_decoder_layers=0)).init, KEY)


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

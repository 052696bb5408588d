"""BERT's second stream: what it is made of, and whom it reads."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, Bound, build
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import BlockInputs
from plmjax.noise.directions import BOTH_WAYS, LEFT_TO_RIGHT, PREFIX, RIGHT_TO_LEFT, hidden_by
from plmjax.noise.permutation import hide_by_order
from tests.modules.networks import VOCAB, network, paths, tokens
from tests.modules.test_information_flow import LENGTH, OWN, TOKENS, influences

REAL = 7
SEGMENTS = (np.arange(LENGTH) < REAL).astype(np.int32)[None]
VISIBLE = SEGMENTS[0] > 0


@pytest.fixture(scope="module")
def net():
    return network("bert_two_stream")


def mapping(*places, queries=4):
    """[1, M, L], a query for each place, and some that ask nothing."""
    rows = np.zeros((1, queries, LENGTH), np.float32)
    for row, place in enumerate(places):
        rows[0, row, place] = 1
    return rows


def test_the_content_stream_is_bert(net):
    """With the same parameters but for the query's vector, which is all that there is more."""
    bert = replace(FAMILIES["bert"].variants["roberta_tiny"], vocab_size=VOCAB)
    embeddings = {name: tree for name, tree in net.params["embeddings"].items() if name != "query"}
    whole = Bound(build(bert), net.params | {"embeddings": embeddings})
    assert set(paths(net.params)) - set(paths(whole.params)) == {"embeddings/query"}
    tokens_BL, segments = tokens(2, LENGTH), np.repeat(SEGMENTS, 2, 0)
    want, one, two = (
        jax.jit(run)()
        for run in (
            lambda: whole.encode(tokens_BL, segments_BL=segments),
            lambda: net.bound().encode(tokens_BL, segments_BL=segments),
            lambda: net.bound().two_streams(tokens_BL, None, np.repeat(mapping(3, 1), 2, 0), None, segments).h,
        )
    )
    np.testing.assert_allclose(one, want, atol=1e-5)
    np.testing.assert_allclose(two, want, atol=1e-5)


def test_a_query_is_what_bert_has_at_a_mask_that_nobody_sees(net):
    """The query's vector in place of the row of a token that only its own state reads, which does not read itself."""
    place, masked = 3, 49
    embeddings = net.params["embeddings"]
    table = embeddings["tokens"]["embedding"].at[masked].set(embeddings["query"])
    bound = net.bound(net.params | {"embeddings": embeddings | {"tokens": {"embedding": table}}})
    unseen = np.zeros((1, LENGTH, LENGTH), bool)
    unseen[..., place] = True
    # A copy of the text with the mask behind it, at the same position.
    copy, segments = np.append(TOKENS, [[masked]], axis=1), np.append(SEGMENTS, [[1]], axis=1)
    positions = np.append(np.arange(LENGTH), place)[None]
    hidden = np.zeros((1, LENGTH + 1, LENGTH + 1), bool)
    hidden[..., [place, LENGTH]] = True  # nobody reads the token or its mask,
    hidden[0, place, place] = False  # but the token itself
    mask = Mask(segments, segments, hidden=jnp.asarray(hidden))

    def encode(module, tokens_BL):
        return module.encoder(module.embeddings(tokens_BL, None, positions), BlockInputs(mask))[0]

    want = jax.jit(lambda: net.module.apply({"params": bound.params}, copy, method=encode))()
    asked = jax.jit(lambda: bound.two_streams(TOKENS, unseen, mapping(place), None, SEGMENTS))()
    np.testing.assert_allclose(asked.g[0, 0], want[0, LENGTH], atol=1e-5)


DIRECTIONS = {
    LEFT_TO_RIGHT: np.tril(np.ones((LENGTH, LENGTH), bool)),
    RIGHT_TO_LEFT: np.triu(np.ones((LENGTH, LENGTH), bool)),
    BOTH_WAYS: np.ones((LENGTH, LENGTH), bool),
    # Three of seven tokens, rounded down.
    PREFIX: np.tril(np.ones((LENGTH, LENGTH), bool)) | (np.arange(LENGTH) < 3)[None],
}


def test_each_direction_lets_through_what_it_says(net):
    def run(bound, hidden):
        return bound.two_streams(TOKENS, hidden, None, None, SEGMENTS).h

    seen = influences(net, run, TOKENS)
    real = VISIBLE[:, None] & VISIBLE[None]
    for direction, shown in DIRECTIONS.items():
        hidden = np.asarray(hidden_by(direction, REAL, length=LENGTH, prefix=0.5))
        np.testing.assert_array_equal(seen(hidden[None]), shown & real | OWN)


def test_a_query_reads_what_precedes_it_in_the_order_and_never_its_token(net):
    rng = np.random.default_rng(0)
    special = np.array([1, 0, 0, 0, 0, 0, 1, 0, 0], bool)

    def run(bound, hidden, queries):
        streams = bound.two_streams(TOKENS, hidden, queries, None, SEGMENTS)
        return jnp.concatenate([streams.g, streams.h], axis=1)

    both = influences(net, run, TOKENS)
    for _ in range(4):
        order = rng.permutation(LENGTH)
        chosen = np.zeros(LENGTH, bool)
        chosen[rng.choice(np.arange(1, REAL - 1), 3, replace=False)] = True
        found = hide_by_order(jnp.asarray(order), jnp.asarray(chosen), jnp.asarray(special), 4)
        places = np.flatnonzero(chosen)
        seen = both(np.asarray(found.perm_mask)[None], mapping(*places))
        got, content = seen[:4], seen[4:]
        for row, place in enumerate(places):
            before = VISIBLE & ((~chosen & ~special) | (order < order[place]))
            before[place] = False
            np.testing.assert_array_equal(got[row], before)
            before[place] = True  # which the content has read
            np.testing.assert_array_equal(content[place], before)
        assert not got[3].any(), "a query that asks nothing reads nothing"


def test_the_content_sees_itself_whatever_is_hidden(net):
    """Each token alone, as where each is a text of its own."""
    everything, alone = np.ones((1, LENGTH, LENGTH), bool), np.arange(1, LENGTH + 1)[None]
    hidden = jax.jit(lambda: net.bound().two_streams(TOKENS, everything, None).h)()
    apart = jax.jit(lambda: net.bound().encode(TOKENS, segments_BL=alone))()
    np.testing.assert_allclose(hidden, apart, atol=1e-5)


def test_a_query_that_sees_nothing_is_finite(net):
    everything = np.ones((1, LENGTH, LENGTH), bool)

    def total(params):
        streams = net.bound(params).two_streams(TOKENS, everything, mapping(2), None, SEGMENTS)
        return jnp.sum(jnp.sin(streams.g[:, 0]))

    value, gradients = jax.jit(jax.value_and_grad(total))(net.params)
    assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_scanned_unrolled_and_recomputed_are_one():
    def run(**fields):
        net = network("bert_two_stream", **fields)
        hidden = np.asarray(hidden_by(PREFIX, REAL, length=LENGTH, prefix=0.5))[None]

        def total(params):
            streams = net.bound(params).two_streams(TOKENS, hidden, mapping(5, 1), None, SEGMENTS)
            return jnp.sum(jnp.sin(streams.g)) + jnp.sum(jnp.sin(streams.h))

        return jax.jit(jax.value_and_grad(total))(net.params)

    want, want_gradients = run(unroll=True)
    got, gradients = run(unroll=False, remat=True)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    for path, gradient in paths(gradients).items():
        np.testing.assert_allclose(gradient, paths(want_gradients)[path], atol=2e-4, rtol=1e-4, err_msg=path)

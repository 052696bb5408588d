"""SpanBERT's boundary objective: what its predictions see, and the head against the paper's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules.bert import BertConfig
from plmjax.modules.encoder import EncoderOutput
from plmjax.objectives.spanbert import SpanBertPretraining
from tests.objectives.conftest import bound
from tests.objectives.kit import corrupted, windows_of

LENGTH, ROWS = 40, 6


@pytest.fixture(scope="module")
def network():
    sizes = {"vocab_size": 128, "num_layers": 1, "num_heads": 2, "d_model": 16, "d_ff": 32, "max_positions": 64}
    return bound(BertConfig(**sizes, dropout=0.0, attention_dropout=0.0, heads=("token", "span")))


@pytest.fixture(scope="module")
def batch(split, vocabulary):
    objective = SpanBertPretraining()
    return corrupted(objective, vocabulary, windows_of(objective, split, vocabulary, LENGTH, ROWS))


def test_predictions_see_the_boundary_alone(network, batch, vocabulary):
    part = SpanBertPretraining().span_boundary

    def loss(x_BLD):
        return part.losses(network, EncoderOutput(x_BLD, x_BLD), batch, vocabulary, True)[0]["span_boundary"].sum

    x_BLD = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, LENGTH, 16)), jnp.float32)
    seen = np.abs(np.asarray(jax.jit(jax.grad(loss))(x_BLD))).max(-1) > 0
    expected = np.zeros((ROWS, LENGTH), bool)
    for row, place in np.argwhere(batch["boundary_weights"] > 0):
        expected[row, batch["boundary_left"][row, place]] = True
        expected[row, batch["boundary_right"][row, place]] = True
    assert expected.any()
    np.testing.assert_array_equal(seen, expected)
    masked = np.zeros_like(expected)
    for row, place in np.argwhere(batch["weights"] > 0):
        masked[row, batch["masked_positions"][row, place]] = True
    assert not (seen & masked).any()


def test_boundaries_are_the_unmasked_neighbours(batch):
    counted = np.argwhere(batch["boundary_weights"] > 0)
    for row, place in counted:
        span_ids, position = batch["span_ids"][row], batch["masked_positions"][row, place]
        left, right = batch["boundary_left"][row, place], batch["boundary_right"][row, place]
        assert left < position < right and span_ids[left] == span_ids[right] == 0
        assert (span_ids[left + 1 : right] == left + 2).all() and batch["boundary_offsets"][
            row, place
        ] == position - left - 1
    assert (batch["boundary_weights"] <= batch["weights"]).all()


def test_the_head_is_the_papers(network):
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(2, 1, 3, 16)).astype(np.float32)
    offsets = np.array([[0, 4, 25]])  # past the table's 20 rows, its last
    ours = network.boundary_head(left, right, offsets).logits()
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), network.params)
    head = p["span_head"]

    def layer(h, name):
        h = h @ head[name]["kernel"] + head[name]["bias"]
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-12)
        return h * head[f"{name}_norm"]["scale"] + head[f"{name}_norm"]["bias"]

    h = np.concatenate([left, right, head["positions"][[[0, 4, 19]]]], axis=-1)
    h = layer(layer(h, "first"), "second")
    expected = h @ p["embeddings"]["tokens"]["embedding"].T + head["bias"]
    np.testing.assert_allclose(ours, expected, atol=1e-4)

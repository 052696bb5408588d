"""Inputs and targets in one row of a decoder: the same targets as an encoder-decoder's, from the same text."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules import Bound
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config
from plmjax.modules.t5_lm import T5PrefixLMConfig
from plmjax.objectives import OBJECTIVES
from plmjax.objectives.prefix_lm import PrefixLM
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, in_one_row, sequence_loss, states_in_one_row
from plmjax.objectives.span_corruption import SpanCorruption
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH = 30
IID = SpanCorruption(noise="iid")
PREFIX = PrefixLM(z_loss=0.0)


@pytest.fixture(scope="module")
def prefix_decoder():
    return bound(T5PrefixLMConfig(**SMALL | {"num_layers": 2}, d_kv=8))  # a second layer reads what the first has seen


@pytest.fixture(scope="module")
def batch(split, vocabulary):
    return corrupted(IID, vocabulary, windows_of(IID, split, vocabulary, LENGTH, 4))


def example(inputs, targets, width=6, room=5):
    """The fields of one example, filled up."""
    one, other = (np.pad(x, (0, most - len(x)), constant_values=-1) for x, most in ((inputs, width), (targets, room)))
    return {name: np.asarray(value) for name, value in as_example(jnp.asarray(one), jnp.asarray(other), 0).items()}


def stacked(*examples):
    return {name: np.stack([one[name] for one in examples]) for name in examples[0]}


# Two texts in a row of inputs and one of targets, as packing would put them, and the second text first in another.
PACKED = {
    "tokens": np.array([[11, 12, 1, 31, 32, 33, 1, 0], [51, 1, 0, 0, 0, 0, 0, 0]]),
    "positions": np.array([[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 0, 0, 0, 0, 0, 0]]),
    "segments": np.array([[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 0, 0, 0, 0, 0, 0]]),
    "targets": np.array([[21, 22, 23, 1, 41, 1], [61, 62, 1, 0, 0, 0]]),
    "weights": np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], np.float32),
    "decoder_tokens": np.array([[0, 21, 22, 23, 0, 41], [0, 61, 62, 0, 0, 0]]),
    "decoder_segments": np.array([[1, 1, 1, 1, 2, 2], [1, 1, 1, 0, 0, 0]]),
}
APART = stacked(example([11, 12, 1], [21, 22, 23, 1]), example([31, 32, 33, 1], [41, 1]), example([51, 1], [61, 62, 1]))


def test_the_row_by_hand():
    row = jax.jit(in_one_row)(PACKED)
    np.testing.assert_array_equal(
        row.tokens,
        [[11, 12, 1, 21, 22, 23, 1, 31, 32, 33, 1, 41, 1, 0], [51, 1, 61, 62, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    )
    np.testing.assert_array_equal(row.segments, [[1] * 7 + [2] * 6 + [0], [1] * 5 + [0] * 9])
    np.testing.assert_array_equal(row.positions[0, :13], [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(row.positions[1, :5], range(5))
    np.testing.assert_array_equal(row.is_input[0], [1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(row.is_input[1], [1, 1] + [0] * 12)
    # The last input predicts the first target, and each target the next.
    np.testing.assert_array_equal(row.sources[0], [2, 3, 4, 5, 10, 11])
    np.testing.assert_array_equal(row.sources[1, :3], [1, 2, 3])


def of_targets(network, batch, vocabulary, **settings):
    """(sum, weight) of the loss."""
    loss = jax.jit(lambda batch: sequence_loss("x", network, batch, vocabulary, **settings)[0]["x"])(batch)
    return float(loss.sum), float(loss.weight)


def test_packed_equals_unpacked(vocabulary, decoder, prefix_decoder):
    for network in (decoder, prefix_decoder):
        together, apart = (of_targets(network, one, vocabulary) for one in (PACKED, APART))
        assert together == pytest.approx(apart, rel=1e-5) and apart[1] == 9


def test_padding_changes_nothing(vocabulary, prefix_decoder):
    wider = stacked(*(example(*one, width=9, room=8) for one in (([11, 12, 1], [21, 22, 23, 1]), ([51, 1], [61, 1]))))
    tight = stacked(*(example(*one) for one in (([11, 12, 1], [21, 22, 23, 1]), ([51, 1], [61, 1]))))
    assert of_targets(prefix_decoder, wider, vocabulary) == pytest.approx(
        of_targets(prefix_decoder, tight, vocabulary), rel=1e-5
    )
    empty = {name: np.zeros_like(value) for name, value in tight.items()}
    filled = {name: np.concatenate([tight[name], empty[name]]) for name in tight}
    got = of_targets(prefix_decoder, filled, vocabulary)
    assert got == pytest.approx(of_targets(prefix_decoder, tight, vocabulary), rel=1e-5)


def test_the_loss_is_of_the_targets_in_the_text(vocabulary, batch, decoder, prefix_decoder):
    """Against a row made by hand and logits of every place of it; and as many targets as in an encoder-decoder."""
    width = max(int((segments > 0).sum()) for segments in np.hstack([batch["segments"], batch["decoder_segments"]]))
    for network in (decoder, prefix_decoder):
        decode = jax.jit(partial(network.decode, positions_BL=None))  # one program for the rows of all lengths
        total = 0.0
        for row in range(len(batch["tokens"])):
            inputs = batch["tokens"][row][batch["segments"][row] > 0]
            targets = batch["targets"][row][batch["decoder_segments"][row] > 0]
            length = len(inputs) + len(targets)
            text = np.zeros((1, width), np.int32)
            text[0, :length] = np.concatenate([inputs, targets])
            places = np.arange(width)[None]
            prefix = {"prefix_BL": places < len(inputs)} if network.is_prefix_lm else {}
            x = decode(text, segments_BL=(places < length).astype(np.int32), **prefix)
            logs = jax.nn.log_softmax(network.token_logits(x)[0, :, : vocabulary.size])
            total -= logs[np.arange(len(inputs) - 1, length - 1), targets].sum()
        got, weight = of_targets(network, batch, vocabulary)
        assert got == pytest.approx(float(total), rel=1e-4)
        assert weight == batch["weights"].sum()


def test_encoder_decoder_and_decoder_have_the_same_targets(vocabulary, batch, encoder_decoder, decoder):
    one, other = (losses_of(IID, network, vocabulary, train=False)(batch) for network in (encoder_decoder, decoder))
    assert one[0]["span_corruption"].weight == other[0]["span_corruption"].weight == batch["weights"].sum()
    assert one[1]["span_corruption_accuracy"].weight == other[1]["span_corruption_accuracy"].weight


def test_a_target_is_predicted_from_all_inputs_and_the_targets_before(vocabulary, prefix_decoder, decoder):
    """Seen in the gradients of the states by the tokens' rows: every token of the example is another one."""
    inputs, targets = np.array([11, 12, 13, 1]), np.array([21, 22, 23, 24])
    given = stacked(example(inputs, targets))
    for network in (prefix_decoder, decoder):
        embeddings = network.params["embeddings"]

        def states(table, network=network, embeddings=embeddings):
            tokens = embeddings["tokens"] | {"embedding": table}
            moved = type(network)(network.module, network.params | {"embeddings": embeddings | {"tokens": tokens}})
            return jnp.sum(jnp.sin(3 * states_in_one_row(moved, given)[0]), axis=-1)

        jacobian = jax.jit(jax.jacrev(states))(embeddings["tokens"]["embedding"])
        moves = np.asarray(jnp.any(jacobian != 0, axis=-1))[:4]
        assert moves[:, inputs].all()
        np.testing.assert_array_equal(moves[:, targets], np.tril(np.ones((4, 4), bool), -1))


def test_a_prefix_lms_row_holds_its_text_and_no_more(split, vocabulary, prefix_decoder):
    """The row is as long as train.length: cutting off what lies behind it loses nothing."""
    batch = corrupted(PREFIX, vocabulary, windows_of(PREFIX, split, vocabulary, LENGTH, 8))
    lengths = batch["segments"].sum(1) + batch["decoder_segments"].sum(1)
    assert lengths.max() == LENGTH + 1, "the EOS that ends the row predicts nothing"
    whole = of_targets(prefix_decoder, batch, vocabulary)
    got = losses_of(PREFIX, prefix_decoder, vocabulary, train=False)(batch)[0]["prefix_lm"]
    assert (float(got.sum), float(got.weight)) == pytest.approx(whole, rel=1e-5)
    too_short = of_targets(prefix_decoder, batch, vocabulary, row=LENGTH - 4)
    assert too_short[0] != pytest.approx(whole[0], rel=1e-5)


def test_a_prefix_matters_to_the_network_that_sees_it(vocabulary, batch, prefix_decoder, monkeypatch):
    whole = of_targets(prefix_decoder, batch, vocabulary)
    monkeypatch.setattr(Bound, "is_prefix_lm", False)  # of the buckets the module's own decides
    assert of_targets(prefix_decoder, batch, vocabulary)[0] != pytest.approx(whole[0], rel=1e-4)


def test_which_objectives_a_decoder_carries():
    carried = {name for name, made in OBJECTIVES.items() if made.kinds == SEQUENCE_KINDS}
    assert {"span_corruption", "prefix_lm", "denoising", "translation", "deshuffling"} <= carried
    # Its decoder reads a fragment at the places of the text, which a row has no two of.
    assert OBJECTIVES["mass"].kinds == ("encoder_decoder",)


def test_what_does_not_fit_is_refused(vocabulary):
    short = GPTConfig(max_positions=35)
    inputs, targets = LENGTH, IID.lengths(LENGTH).targets
    message = (
        f"{inputs} inputs and {targets} targets in one row need {inputs + targets} positions, but GPTConfig has 35"
    )
    with pytest.raises(UserError, match=message):
        IID.check(short, "decoder", vocabulary, LENGTH)
    PREFIX.check(short, "decoder", vocabulary, 35)
    with pytest.raises(UserError, match="longer than the 35 positions"):
        PREFIX.check(short, "decoder", vocabulary, 36)
    with pytest.raises(UserError, match="needs a network of kind 'encoder_decoder' or 'decoder'"):
        IID.check(T5Config(), "encoder", vocabulary, LENGTH)

    @dataclasses.dataclass
    class Adaptive:
        cutoffs: tuple = (50,)

    with pytest.raises(UserError, match="Adaptive has an adaptive one; set model.cutoffs to"):
        IID.check(Adaptive(), "decoder", vocabulary, LENGTH)

"""T5's span corruption on real windows and a small network."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.modules.t5 import T5Config
from plmjax.objectives.span_corruption import SpanCorruption
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH, ROWS = 48, 12
CASES = {
    "spans": SpanCorruption(),
    "rolled": SpanCorruption(random_roll=True),
    "iid": SpanCorruption(noise="iid", targets_length=48),
    "dense": SpanCorruption(density=0.5, mean_span=4.0),
}


@pytest.fixture(scope="module")
def batches(split, vocabulary):
    """{case: (clean, corrupted)}"""
    clean = {name: windows_of(objective, split, vocabulary, LENGTH, ROWS) for name, objective in CASES.items()}
    return {name: (clean[name], corrupted(CASES[name], vocabulary, clean[name])) for name in CASES}


def cut(sequence, vocabulary):
    """The runs of a sequence between its sentinels, without EOS and filling; the sentinels must count down."""
    ids = sequence[: list(sequence).index(vocabulary.eos)]
    places = [i for i, token in enumerate(ids) if token in vocabulary.sentinels]
    assert [ids[i] for i in places] == list(vocabulary.sentinels[: len(places)])
    edges = [-1, *places, len(ids)]
    return [list(ids[a + 1 : b]) for a, b in itertools.pairwise(edges)]


def rebuild(inputs, targets, vocabulary):
    """The text: clean runs of the inputs and hidden runs of the targets in turn."""
    clean, hidden = cut(inputs, vocabulary), cut(targets, vocabulary)
    # Either sequence has an empty first run where the other's first run opens the text.
    runs = zip(clean, hidden[1:] if not hidden[0] else hidden, strict=False)
    text = [token for pair in runs for run in pair for token in run]
    return text + (clean[-1] if len(clean) > len(hidden) - (not hidden[0]) else [])


@pytest.mark.parametrize("case", CASES)
def test_inputs_and_targets_give_the_original(batches, vocabulary, case):
    clean, batch = batches[case]
    for text, inputs, targets in zip(clean["tokens"], batch["tokens"], batch["targets"], strict=True):
        np.testing.assert_array_equal(rebuild(inputs, targets, vocabulary), text)


@pytest.mark.parametrize("case", ["spans", "dense"])
def test_spans_fill_both_sequences_to_the_token(batches, vocabulary, case):
    _, batch = batches[case]
    targets = CASES[case].lengths(LENGTH).targets
    # T5's special case at density .5 gives up a place of the inputs rather than let the targets be longer.
    assert batch["tokens"].shape[1] == LENGTH - (case == "dense") and batch["targets"].shape[1] == targets
    assert (batch["tokens"][:, -1] == vocabulary.eos).all() and (batch["targets"][:, -1] == vocabulary.eos).all()
    assert (batch["weights"] == 1).all() and (batch["segments"] == 1).all()
    # Noise at the end: the closing sentinel is the inputs' last token, and not among the targets' last.
    assert np.isin(batch["tokens"][:, -2], vocabulary.sentinels).all()
    assert not np.isin(batch["targets"][:, -2], vocabulary.sentinels).any()


def test_lengths_are_t5s():
    assert SpanCorruption().lengths(512) == (568, 512, 114, None)
    assert SpanCorruption(noise="iid").lengths(512) == (511, 512, 192, None)
    assert SpanCorruption(density=0.5).lengths(512) == (766, 512, 512, None)


@pytest.mark.parametrize("case", CASES)
def test_fields_fit_each_other(batches, vocabulary, case):
    _, batch = batches[case]
    inputs, targets = batch["tokens"], batch["targets"]
    assert inputs.shape[1] <= LENGTH
    np.testing.assert_array_equal(batch["positions"][0], np.arange(inputs.shape[1]))
    np.testing.assert_array_equal(batch["segments"], inputs != vocabulary.pad)
    np.testing.assert_array_equal(batch["weights"], targets != vocabulary.pad)
    np.testing.assert_array_equal(batch["decoder_segments"], batch["weights"])
    assert (batch["decoder_tokens"][:, 0] == vocabulary.pad).all()
    np.testing.assert_array_equal(batch["decoder_tokens"][:, 1:], targets[:, :-1])
    for sequence in (inputs, targets):
        assert ((sequence == vocabulary.eos).sum(1) == 1).all()
    assert (batch["weights"][targets == vocabulary.eos] == 1).all()


def test_targets_that_do_not_fit_are_cut_before_eos(split, vocabulary, batches):
    objective = SpanCorruption(noise="iid", targets_length=6)
    clean, whole = batches["iid"]
    batch = corrupted(objective, vocabulary, clean)
    long = whole["weights"].sum(1) > 6
    assert long.any() and (batch["targets"][long, 5] == vocabulary.eos).all()
    np.testing.assert_array_equal(batch["targets"][long, :5], whole["targets"][long, :5])


def test_sentinels_never_run_out(split, vocabulary, batches):
    few = dataclasses.replace(vocabulary, sentinels=vocabulary.sentinels[:4])
    clean, _ = batches["iid"]
    batch = corrupted(SpanCorruption(noise="iid", density=0.3), few, clean)
    assert (np.isin(batch["tokens"], few.sentinels).sum(1) <= 3).all()
    for text, inputs, targets in zip(clean["tokens"], batch["tokens"], batch["targets"], strict=True):
        np.testing.assert_array_equal(rebuild(inputs, targets, few), text)


def test_noise_is_new_in_each_epoch(vocabulary, batches):
    clean, first = batches["spans"]
    later = corrupted(SpanCorruption(), vocabulary, clean, epoch=1)
    assert (first["tokens"] != later["tokens"]).any(1).mean() > 0.9


def test_an_empty_row_counts_for_nothing(vocabulary, batches):
    clean, _ = batches["spans"]
    empty = clean | {"segments": np.zeros_like(clean["segments"])}
    batch = corrupted(SpanCorruption(), vocabulary, empty)
    assert not batch["weights"].any() and not batch["segments"].any()


def test_information_flow(vocabulary, batches, encoder_decoder):
    """A loss sees the inputs and the targets before its own, and nothing of other rows."""
    batch = {name: value[:2] for name, value in batches["spans"][1].items()}

    @jax.jit
    def token_losses(batch):
        memory = encoder_decoder.encode(batch["tokens"], None, batch["segments"])
        states = encoder_decoder.decode(
            batch["decoder_tokens"], memory, batch["segments"], None, batch["decoder_segments"]
        )
        head = encoder_decoder.token_head(states)
        return cross_entropy(
            head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size
        ).loss

    losses = np.asarray(token_losses(batch))
    decoder_tokens = batch["decoder_tokens"].copy()
    decoder_tokens[0, 5] = 50 + (decoder_tokens[0, 5] == 50)
    changed = np.asarray(token_losses(batch | {"decoder_tokens": decoder_tokens})) != losses
    assert not changed[0, :5].any() and changed[0, 5:].all() and not changed[1].any()
    tokens = batch["tokens"].copy()
    tokens[0, 3] = 50 + (tokens[0, 3] == 50)
    changed = np.asarray(token_losses(batch | {"tokens": tokens})) != losses
    assert changed[0].all() and not changed[1].any()
    result, metrics = losses_of(SpanCorruption(), encoder_decoder, vocabulary, train=False)(batch)
    np.testing.assert_allclose(result["span_corruption"].mean(), losses.mean(), rtol=1e-5)
    assert metrics["span_corruption_accuracy"].weight == batch["weights"].sum()


def test_z_loss_is_for_training_alone(batches, vocabulary):
    network, batch = Bigrams(vocabulary.padded_size), batches["spans"][1]
    objective = SpanCorruption(z_loss=0.01)
    trained, validated = (
        losses_of(objective, network, vocabulary, train)(batch)[0]["span_corruption"].mean() for train in (True, False)
    )
    assert trained > validated


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    def check(objective, length=LENGTH, kind="encoder_decoder", words=vocabulary):
        objective.check(T5Config(), kind, words, length)

    check(SpanCorruption())
    cases = [
        ("needs a network of kind 'encoder_decoder' or 'decoder'", lambda: check(SpanCorruption(), kind="encoder")),
        ("must be 'spans' or 'iid'", lambda: check(SpanCorruption(noise="poisson"))),
        ("must lie between 0 and 1", lambda: check(SpanCorruption(density=0.0))),
        ("set objective.window.isolate to False", lambda: check(SpanCorruption(window=Chunks(isolate=True)))),
        ("needs 28 sentinels, but the vocabulary has 20", lambda: check(SpanCorruption(), length=512)),
        ("sentinels, but the vocabulary has 20", lambda: check(SpanCorruption(noise="iid"), length=512)),
        ("too short for span corruption", lambda: check(SpanCorruption(), length=3)),
        ("no eos", lambda: check(SpanCorruption(), words=dataclasses.replace(vocabulary, eos=None))),
    ]
    for message, call in cases:
        with pytest.raises(UserError, match=message):
            call()

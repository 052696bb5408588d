"""Multitask masked LM and BART's permuted LM on real windows and a small network."""

import dataclasses

import jax
import numpy as np
import pytest

from plmjax.data.windows import DocSentences
from plmjax.errors import UserError
from plmjax.modules.bert import BertConfig
from plmjax.modules.bert_two_stream import BertTwoStreamConfig
from plmjax.noise.directions import hidden_by
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.objectives.multitask_masked_lm import Directions, MultitaskMaskedLM
from plmjax.objectives.permutation_lm import PartialPrediction, PermutationLM, RecurrentPermutationLM
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH, ROWS = 41, 20
MASKS = Masking(mask_share=1.0, random_share=0.0)
MULTITASK = MultitaskMaskedLM(window=DocSentences(), masking=MASKS)
FREE = MultitaskMaskedLM(window=DocSentences(), masking=MASKS, directions=Directions(0.0, 0.0, 1.0, 0.0))
PERMUTED = PermutationLM(window=DocSentences(), prediction=PartialPrediction(k=6.0, spans=False))
NETWORK = BertTwoStreamConfig(**SMALL, max_positions=64, attention_dropout=0.0)


@pytest.fixture(scope="module")
def network():
    return bound(NETWORK)


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(MULTITASK, split, vocabulary, LENGTH, ROWS)


def test_the_four_masks_come_in_their_shares(clean, vocabulary):
    """10,000 draws, within three standard errors; and each text has the mask that was drawn for it."""
    counts = np.zeros(4)
    for epoch in range(500):
        batch = corrupted(MULTITASK, vocabulary, clean, epoch)
        counts += np.bincount(batch["direction"], minlength=4)
    shares = np.array([1 / 6, 1 / 6, 1 / 3, 1 / 3])
    errors = np.sqrt(10_000 * shares * (1 - shares))
    assert (np.abs(counts - 10_000 * shares) < 3 * errors).all(), counts
    for row in range(ROWS):
        real = (batch["segments"][row] > 0).sum()
        want = hidden_by(batch["direction"][row], real, length=LENGTH, prefix=0.5)
        np.testing.assert_array_equal(batch["perm_mask"][row], want)


def test_masks_and_directions_are_drawn_apart(clean, vocabulary):
    """The masked tokens are those of masked LM under the same key, each of them a mask."""
    batch = corrupted(MULTITASK, vocabulary, clean)
    plain = corrupted(MaskedLM(window=DocSentences(), masking=MASKS), vocabulary, clean)
    for name in ("tokens", "masked_positions", "targets", "weights"):
        np.testing.assert_array_equal(batch[name], plain[name])
    rows, places = np.nonzero(batch["weights"])
    assert (batch["tokens"][rows, batch["masked_positions"][rows, places]] == vocabulary.mask).all()


def test_seen_from_both_sides_it_is_masked_lm(clean, vocabulary, network):
    batch = corrupted(FREE, vocabulary, clean)
    assert (batch["direction"] == 2).all() and not batch["perm_mask"].any()
    plain = MaskedLM(window=DocSentences(), masking=MASKS)
    ours, _ = losses_of(FREE, network, vocabulary)(batch)
    theirs, _ = losses_of(plain, network, vocabulary)(batch)
    assert float(ours["masked_lm"].sum) == pytest.approx(float(theirs["masked_lm"].sum), rel=1e-5)
    assert ours["masked_lm"].weight == batch["weights"].sum()


def test_a_masked_token_is_predicted_from_what_its_mask_shows(clean, vocabulary, network):
    """Another token in the text changes exactly the losses that may see it."""
    batch = corrupted(MULTITASK, vocabulary, clean, epoch=1)
    assert set(batch["direction"]) == {0, 1, 2, 3}

    @jax.jit
    def losses(tokens):
        given = batch | {"tokens": tokens}
        return MASKS.token_loss(network, MULTITASK.encoding(network, given), given, vocabulary).loss

    before = np.asarray(losses(batch["tokens"]))
    place = LENGTH // 4
    changed = batch["tokens"].copy()
    changed[:, place] = np.where(changed[:, place] == 50, 51, 50)
    moved = np.asarray(losses(changed)) != before
    rows = np.arange(ROWS)[:, None]
    sees = ~batch["perm_mask"][rows, batch["masked_positions"], place] & (batch["segments"][:, place] > 0)[:, None]
    real = batch["weights"] > 0
    sees |= batch["masked_positions"] == place
    np.testing.assert_array_equal(moved[real], sees[real])
    assert sees[real].any() and not sees[real].all()


def test_padding_changes_nothing(clean, split, vocabulary, network):
    batch = corrupted(MULTITASK, vocabulary, clean)
    short = (batch["segments"][:, -4:] == 0).all(1)
    assert short.any()
    longer = {
        name: np.pad(value, ((0, 0), (0, 3))) if name in ("tokens", "segments", "positions", "token_types") else value
        for name, value in batch.items()
    } | {"perm_mask": np.pad(batch["perm_mask"], ((0, 0), (0, 3), (0, 3)))}
    one, other = (losses_of(MULTITASK, network, vocabulary)(given)[0]["masked_lm"] for given in (batch, longer))
    assert float(one.sum) == pytest.approx(float(other.sum), rel=1e-5) and one.weight == other.weight


def test_permuted_lm_predicts_a_sixth_by_the_queries(clean, vocabulary, network):
    batch = corrupted(PERMUTED, vocabulary, clean)
    real = (batch["segments"] > 0).sum(1)
    np.testing.assert_array_equal(batch["weights"].sum(1), np.maximum(real // 6, 1))
    run = losses_of(PERMUTED, network, vocabulary)
    losses, _ = run(batch)
    # The tokens themselves are not read where all are predicted together at the start of the order.
    alone = dataclasses.replace(PERMUTED, prediction=PartialPrediction(k=LENGTH, spans=False))
    batch, run = corrupted(alone, vocabulary, clean), losses_of(alone, network, vocabulary)
    rows = np.arange(ROWS)
    hidden, elsewhere = batch["tokens"].copy(), batch["tokens"].copy()
    hidden[rows, batch["masked_positions"][:, 0]] = 50
    elsewhere[rows, 2] = 50
    value = run(batch)[0]["permutation_lm"].sum
    np.testing.assert_array_equal(run(batch | {"tokens": hidden})[0]["permutation_lm"].sum, value)
    assert run(batch | {"tokens": elsewhere})[0]["permutation_lm"].sum != value
    assert np.isfinite(losses["permutation_lm"].sum)


def test_what_does_not_fit_is_refused(vocabulary):
    MULTITASK.check(NETWORK, "two_stream", vocabulary, LENGTH)
    PERMUTED.check(NETWORK, "two_stream", vocabulary, LENGTH)
    with pytest.raises(UserError, match="needs a network of kind 'two_stream', but BertConfig is of kind 'encoder'"):
        MULTITASK.check(BertConfig(vocab_size=128), "encoder", vocabulary, LENGTH)
    for shares in (Directions(left_to_right=0.5), Directions(-0.1, 0.1, 0.5, 0.5)):
        with pytest.raises(UserError, match=r"shares of objective\.directions are .*; they must be at least 0"):
            dataclasses.replace(MULTITASK, directions=shares).check(NETWORK, "two_stream", vocabulary, LENGTH)
    with pytest.raises(UserError, match=r"objective\.prefix is 1\.5"):
        dataclasses.replace(MULTITASK, prefix=1.5).check(NETWORK, "two_stream", vocabulary, LENGTH)
    with pytest.raises(UserError, match="carries a memory, for which BertTwoStreamConfig has no room"):
        RecurrentPermutationLM().check(NETWORK, "two_stream", vocabulary, LENGTH)

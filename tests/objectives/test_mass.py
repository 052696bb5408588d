"""MASS on real windows: the fragment, its real positions, and its two limits."""

import dataclasses

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules.bart import BartConfig
from plmjax.modules.t5 import T5Config
from plmjax.objectives import Mass
from plmjax.objectives.sequences import shift_right, target_loss
from tests.noise.test_masking import within
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH, ROWS = 24, 60
CASES = {
    "half": Mass(),
    "previous": Mass(first="previous"),
    "blocks": Mass(block=8),
    "released": Mass(first="previous", decoder_positions="read", opening="eos", start="ends", masks_seen_by="encoder"),
    "one": Mass(share=1e-6, mask_share=1.0, random_share=0.0),
    "all": Mass(share=1.0, mask_share=1.0, random_share=0.0),
}


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(CASES["half"], split, vocabulary, LENGTH, ROWS)


@pytest.fixture(scope="module")
def batches(split, vocabulary):
    return {
        name: corrupted(objective, vocabulary, windows_of(objective, split, vocabulary, LENGTH, ROWS))
        for name, objective in CASES.items()
    }


def examples(batch, clean, vocabulary, opening=()):
    """(text with its special tokens, inputs, targets, decoder tokens, positions) of each row, without filling."""
    for row in range(ROWS):
        text = [*opening, *clean["tokens"][row][clean["segments"][row] > 0].tolist(), vocabulary.eos]
        kept = batch["weights"][row] > 0
        inputs = batch["tokens"][row][batch["segments"][row] > 0].tolist()
        yield (
            text,
            inputs,
            *(batch[name][row][kept].tolist() for name in ("targets", "decoder_tokens", "decoder_positions")),
        )


@pytest.mark.parametrize("case", sorted(set(CASES) - {"released"}))
def test_the_decoder_writes_what_stands_at_its_positions(batches, clean, vocabulary, case):
    for text, inputs, targets, reads, places in examples(batches[case], clean, vocabulary):
        assert targets == [text[place] for place in places]
        assert [t for p, t in enumerate(inputs) if p not in places] == [
            t for p, t in enumerate(text) if p not in places
        ]
        if case == "blocks":
            continue
        assert places == list(range(places[0], places[0] + len(places)))
        assert reads[1:] == targets[:-1]
        expected = text[places[0] - 1] if case == "previous" and places[0] else vocabulary.mask
        assert reads[0] == expected
    batch = batches[case]
    np.testing.assert_array_equal(batch["decoder_segments"], batch["weights"])
    np.testing.assert_array_equal(batch["positions"][0], np.arange(LENGTH))
    assert not vocabulary.is_special[batch["targets"][batch["targets"] != vocabulary.eos]].all()


def test_a_fragment_is_half_of_the_text(batches, clean, vocabulary):
    for text, _, targets, _, _ in examples(batches["half"], clean, vocabulary):
        assert len(targets) == max(1, round(len(text) / 2))
    assert batches["half"]["targets"].shape[1] == LENGTH // 2
    for text, _, targets, _, places in examples(batches["blocks"], clean, vocabulary):
        sizes = [min(8, len(text) - at) for at in range(0, len(text), 8)]
        assert [sum(place // 8 == number for place in places) for number in range(len(sizes))] == [
            max(1, round(size / 2)) for size in sizes
        ]
        assert len(targets) == len(places)


def test_as_released_for_translation(batches, split, vocabulary):
    """</s> opens a text, counts in the share and is never hidden; the decoder is told where what it reads stands."""
    clean = windows_of(CASES["released"], split, vocabulary, LENGTH, ROWS)
    batch = batches["released"]
    for text, _, targets, reads, places in examples(batch, clean, vocabulary, [vocabulary.eos]):
        assert len(targets) == round(len(text) / 2) and places[0] >= 0
        assert targets == [text[place + 1] for place in places] and reads == [text[place] for place in places]
    masked = (batch["tokens"] == vocabulary.mask) & (batch["segments"] > 0)
    np.testing.assert_array_equal(batch["memory_segments"], batch["segments"] * ~masked)
    np.testing.assert_array_equal(batch["encoder_segments"], batch["segments"])


def test_blocks_begin_with_the_mask(batches, clean, vocabulary):
    for _, _, targets, reads, places in examples(batches["blocks"], clean, vocabulary):
        for number, place in enumerate(places):
            first = number == 0 or places[number - 1] // 8 != place // 8
            assert reads[number] == (vocabulary.mask if first else targets[number - 1])


def test_80_10_10_in_the_fragment(clean, vocabulary):
    kinds = []
    for epoch in range(8):
        batch = corrupted(CASES["half"], vocabulary, clean, epoch)
        for text, inputs, _, _, places in examples(batch, clean, vocabulary):
            kinds += [0 if inputs[p] == vocabulary.mask else 1 if inputs[p] == text[p] else 2 for p in places]
    shares = np.bincount(kinds, minlength=3) / len(kinds)
    ordinary = len(vocabulary.non_special)
    for share, expected in zip(shares, (0.8, 0.1 + 0.1 / ordinary, 0.1 - 0.1 / ordinary), strict=True):
        assert within(share, expected, len(kinds), np.sqrt(expected * (1 - expected)))


def test_one_token_is_masked_lm(batches, clean, vocabulary):
    """The decoder is told nothing but where: its input is the mask."""
    for text, inputs, targets, reads, places in examples(batches["one"], clean, vocabulary):
        assert len(targets) == 1 and reads == [vocabulary.mask]
        expected = list(text)
        expected[places[0]] = vocabulary.mask
        assert inputs == expected


def test_all_tokens_are_a_language_model(batches, clean, vocabulary):
    """The encoder is told nothing but the length, and the decoder reads the text shifted by one."""
    batch = batches["all"]
    for text, inputs, targets, reads, places in examples(batch, clean, vocabulary):
        assert set(inputs) == {vocabulary.mask} and targets == text and places == list(range(len(text)))
        assert reads == [vocabulary.mask, *text[:-1]]
    whole = batch["segments"].sum(1) == LENGTH
    np.testing.assert_array_equal(
        batch["decoder_tokens"][whole],
        [shift_right(row, vocabulary.mask) for row in batch["targets"][whole]],
    )


def test_an_empty_row_counts_for_nothing(clean, vocabulary):
    batch = corrupted(CASES["half"], vocabulary, clean | {"segments": np.zeros_like(clean["segments"])})
    assert not batch["weights"].any() and not batch["segments"].any()


def test_information_flow(batches, vocabulary):
    """A loss sees all inputs and the fragment before it; where the fragment lies matters."""
    network = bound(BartConfig(**SMALL, num_decoder_layers=1, max_positions=64, attention_dropout=0.0))
    batch = {name: value[:2] for name, value in batches["half"].items()}
    token_losses = jax.jit(lambda batch: target_loss(network, batch, vocabulary).loss)
    losses, real = np.asarray(token_losses(batch)), batch["weights"][0] > 0

    def changed(name, column, value):
        changed = batch[name].copy()
        changed[0, column] = value
        return np.asarray(token_losses(batch | {name: changed})) != losses

    later = changed("decoder_tokens", 3, 50 + (batch["decoder_tokens"][0, 3] == 50))
    assert not later[0, :3].any() and later[0, 3:][real[3:]].all() and not later[1].any()
    source = changed("tokens", 0, 50 + (batch["tokens"][0, 0] == 50))
    assert source[0][real].all() and not source[1].any()
    moved = changed("decoder_positions", slice(None), batch["decoder_positions"][0] + 7)
    assert moved[0][real].all()
    found, _ = losses_of(CASES["half"], network, vocabulary, train=False)(batch)
    np.testing.assert_allclose(found["mass"].sum, (losses * batch["weights"]).sum(), rtol=1e-5)


@pytest.mark.parametrize("seen_by", ["both", "encoder", "none"])
def test_who_attends_to_masked_source_places(clean, vocabulary, seen_by):
    """Turns one masked place into another token behind the batch's back, its segments left as they are.

    The decoder sees it through its own attention (the paper), through the encoder's alone (MASS-unsupNMT,
    src/trainer.py:985-990), or not at all (MASS-supNMT, mass/xtransformer.py:38).
    """
    network = bound(BartConfig(**SMALL, num_decoder_layers=1, max_positions=64, attention_dropout=0.0))
    objective = Mass(masks_seen_by=seen_by)
    batch = {name: value[:2] for name, value in corrupted(objective, vocabulary, clean).items()}
    token_losses = jax.jit(lambda batch: target_loss(network, batch, vocabulary).loss)
    place = np.argmax(batch["tokens"][0] == vocabulary.mask)
    other = dict(batch, tokens=batch["tokens"].copy())
    other["tokens"][0, place] = 50
    alone = {name: batch[name].copy() for name in ("encoder_segments", "memory_segments")}
    alone["encoder_segments"][0, place] = 0  # the encoder's own way to the others is cut
    moved = np.abs(np.asarray(token_losses(batch)) - np.asarray(token_losses(other)))[0, batch["weights"][0] > 0]
    direct = np.abs(np.asarray(token_losses(batch | alone)) - np.asarray(token_losses(other | alone)))
    direct = direct[0, batch["weights"][0] > 0]
    assert (moved > 0).all() == (seen_by != "none") and moved.any() == (seen_by != "none")
    assert direct.any() == (seen_by == "both")


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    def check(network=None, words=vocabulary, length=LENGTH, **settings):
        Mass(**settings).check(network or BartConfig(), "encoder_decoder", words, length)

    check()
    cases = [
        ("knows distances alone", lambda: check(T5Config())),
        ("share is 1.5", lambda: check(share=1.5)),
        ("random_share is 0.3", lambda: check(random_share=0.3)),
        ("one of mask, previous", lambda: check(first="eos")),
        ("one of uniform, ends", lambda: check(start="middle")),
        ("nothing is read before a fragment", lambda: check(decoder_positions="read")),
        ("give at least 3", lambda: check(opening="eos", length=2)),
        ("block is -1", lambda: check(block=-1)),
        ("too short", lambda: check(length=1)),
        ("no mask", lambda: check(words=dataclasses.replace(vocabulary, mask=None))),
    ]
    for message, call in cases:
        with pytest.raises(UserError, match=message):
            call()

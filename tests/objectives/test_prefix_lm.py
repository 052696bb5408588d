"""Prefix LM: where texts are cut, that nothing of them is lost, and which windows it reads."""

import numpy as np
import pytest

from plmjax.data.windows import Chunks, DocumentChunks
from plmjax.errors import UserError
from plmjax.modules.t5 import T5Config
from plmjax.objectives import PrefixLM
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH = 12
LM = PrefixLM()


def upto(sequence, eos):
    return list(sequence[: list(sequence).index(eos)])


def test_windows_are_parts_of_one_document(split, vocabulary):
    windows = DocumentChunks().build(split, vocabulary, LENGTH, 0)
    parts = [windows[index] for index in range(len(windows))]
    texts = [part["tokens"][part["segments"] > 0].tolist() for part in parts]
    expected = []
    for document in map(split.document, range(split.documents)):
        cut = [document[start : start + LENGTH].tolist() for start in range(0, len(document), LENGTH)]
        expected += [part for part in cut if len(part) >= 2]
    assert texts == expected
    assert all((part["tokens"][part["segments"] == 0] == vocabulary.pad).all() for part in parts)
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_both_parts_make_up_the_text(split, vocabulary):
    clean = windows_of(LM, split, vocabulary, LENGTH, 60)
    batch = corrupted(LM, vocabulary, clean)
    for row in range(60):
        text = clean["tokens"][row][clean["segments"][row] > 0].tolist()
        inputs, targets = (upto(batch[name][row], vocabulary.eos) for name in ("tokens", "targets"))
        assert inputs + targets == text and inputs and targets
        assert batch["segments"][row].sum() == len(inputs) + 1
        assert batch["weights"][row].sum() == batch["decoder_segments"][row].sum() == len(targets) + 1
        assert batch["decoder_tokens"][row].tolist() == [vocabulary.pad, *batch["targets"][row][:-1]]


def test_every_place_is_cut_as_often(split, vocabulary):
    """10,000 draws over texts of eleven tokens: ten places, within four standard errors."""
    clean = windows_of(LM, split, vocabulary, LENGTH, 40)
    whole = np.flatnonzero((clean["segments"] > 0).all(1))[:10]
    clean = {name: value[whole] for name, value in clean.items()}
    counts = np.zeros(LENGTH)
    for epoch in range(1000):
        lengths = (corrupted(LM, vocabulary, clean, epoch)["segments"] > 0).sum(1) - 1
        counts += np.bincount(lengths, minlength=LENGTH)
    assert counts[0] == counts[11] == 0
    np.testing.assert_allclose(counts[1:11], 1000, atol=4 * np.sqrt(10_000 * 0.1 * 0.9))


def test_padding_rows_have_no_loss(split, vocabulary, encoder_decoder):
    clean = windows_of(LM, split, vocabulary, LENGTH, 3)
    empty = {name: np.zeros_like(value) for name, value in clean.items()}
    batch = corrupted(LM, vocabulary, {name: np.concatenate([clean[name], empty[name]]) for name in clean})
    assert not batch["weights"][3:].any() and not batch["segments"][3:].any()
    run = losses_of(LM, encoder_decoder, vocabulary, train=False)
    with_padding, metrics = run(batch)
    alone, _ = run({name: value[:3] for name, value in batch.items()})
    assert with_padding["prefix_lm"].sum == pytest.approx(float(alone["prefix_lm"].sum), rel=1e-5)
    assert np.isfinite(with_padding["prefix_lm"].sum) and "prefix_lm_accuracy" in metrics


def test_what_does_not_fit(vocabulary):
    config = T5Config(vocab_size=128)
    with pytest.raises(UserError, match="train.length is 2, too short to be cut in two"):
        LM.check(config, "encoder_decoder", vocabulary, 2)
    with pytest.raises(UserError, match="reads each window as one text"):
        PrefixLM(window=Chunks(overlap=1)).check(config, "encoder_decoder", vocabulary, LENGTH)

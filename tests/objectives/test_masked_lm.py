"""Masked LM and BERT's pre-training on real windows and a small network."""

import dataclasses

import jax
import numpy as np
import pytest

from plmjax.data.windows import DocSentences
from plmjax.errors import UserError
from plmjax.modules.bert import BertConfig
from plmjax.objectives.bert import BertPretraining
from plmjax.objectives.masked_lm import MaskedLM, Masking
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH, ROWS = 40, 16
DEFAULT = MaskedLM()
WHOLE = MaskedLM(masking=Masking(strategy="whole_words", mask_share=1.0, random_share=0.0))


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(MaskedLM(window=DocSentences()), split, vocabulary, LENGTH, ROWS)


@pytest.fixture(scope="module")
def masked(clean, vocabulary):
    return corrupted(DEFAULT, vocabulary, clean)


@pytest.fixture(scope="module")
def pairs(split, vocabulary):
    return windows_of(BertPretraining(), split, vocabulary, LENGTH, ROWS)


@pytest.mark.parametrize("objective", [DEFAULT, WHOLE], ids=["tokens", "words"])
def test_inputs_and_targets_give_the_original(clean, vocabulary, objective):
    batch = corrupted(objective, vocabulary, clean)
    restored = batch["tokens"].copy()
    rows, places = np.nonzero(batch["weights"])
    positions = batch["masked_positions"][rows, places]
    changed = np.zeros(restored.shape, bool)
    changed[rows, positions] = True
    assert (batch["tokens"] == clean["tokens"])[~changed].all()
    assert not vocabulary.is_special[clean["tokens"][changed]].any()
    restored[rows, positions] = batch["targets"][rows, places]
    np.testing.assert_array_equal(restored, clean["tokens"])
    assert changed.sum() == batch["weights"].sum()  # no position twice


def test_the_count_is_that_of_the_real_tokens(clean, masked):
    real = (clean["segments"] > 0).sum(1)
    assert len(set(real)) > 5
    np.testing.assert_array_equal(masked["weights"].sum(1), [max(1, round(0.15 * n)) for n in real])
    assert masked["masked_positions"].shape[1] == MaskedLM().masking.max_predictions(LENGTH) == 6


def test_whole_words_are_masked_whole(clean, vocabulary):
    hidden = corrupted(WHOLE, vocabulary, clean)["tokens"] == vocabulary.mask
    special = vocabulary.is_special[clean["tokens"]]
    continues = ~vocabulary.word_start[clean["tokens"]][:, 1:] & ~special[:, 1:] & ~special[:, :-1]
    assert continues.any() and (hidden[:, 1:] == hidden[:, :-1])[continues].all()


def test_an_unknown_word_is_masked_as_any_other(vocabulary):
    """BERT's code passes over [CLS] and [SEP] alone."""
    row = np.full(LENGTH, vocabulary.unk, np.int32)
    row[0], row[-1] = vocabulary.cls, vocabulary.sep
    batch = {"tokens": row[None], "segments": np.ones((1, LENGTH), np.int32), "positions": np.arange(LENGTH)[None]}
    batch |= {"example_ids": np.zeros(1, np.int32), "epochs": np.zeros(1, np.int32)}
    for objective in (DEFAULT, WHOLE):
        found = corrupted(objective, vocabulary, batch)
        assert found["weights"].sum() == 6
        assert (found["targets"][found["weights"] > 0] == vocabulary.unk).all()
        assert found["tokens"][0, 0] == vocabulary.cls and found["tokens"][0, -1] == vocabulary.sep


def test_masks_are_new_in_each_epoch_unless_static(clean, masked, vocabulary):
    later = corrupted(DEFAULT, vocabulary, clean, epoch=3)
    assert (masked["masked_positions"] == later["masked_positions"]).all(1).mean() < 0.2
    static = MaskedLM(static=True)
    first, later = (corrupted(static, vocabulary, clean, epoch=epoch) for epoch in (0, 3))
    np.testing.assert_array_equal(first["tokens"], later["tokens"])
    np.testing.assert_array_equal(first["masked_positions"], later["masked_positions"])


def test_the_mask_of_an_example_does_not_depend_on_its_batch(clean, masked, vocabulary):
    rows = np.arange(ROWS)[::-1]
    turned = corrupted(DEFAULT, vocabulary, {name: value[rows] for name, value in clean.items()})
    np.testing.assert_array_equal(turned["tokens"], masked["tokens"][rows])


def test_what_a_mask_hides_is_not_in_the_inputs(clean, vocabulary):
    batch = corrupted(WHOLE, vocabulary, clean)
    hidden = batch["tokens"] == vocabulary.mask
    # Another token that begins a word where the first does.
    other = clean | {"tokens": np.where(hidden, (clean["tokens"] - 8 + 2) % 90 + 8, clean["tokens"]).astype(np.int32)}
    assert (other["tokens"] != clean["tokens"]).any()
    np.testing.assert_array_equal(corrupted(WHOLE, vocabulary, other)["tokens"], batch["tokens"])


@pytest.fixture(scope="module")
def states(encoder):
    """(token logits, sentence logits) of a corrupted batch, with nothing gathered."""

    @jax.jit
    def logits(batch):
        x_BLD = encoder.encode(batch["tokens"], batch["token_types"], batch["positions"], batch["segments"])
        return encoder.token_logits(x_BLD), encoder.next_sentence_logits(x_BLD)

    return logits


def test_bert_adds_masked_lm_and_next_sentence(pairs, vocabulary, encoder, states):
    objective = BertPretraining()
    assert objective.heads == ("token", "next_sentence") and objective.coefficients() == {}
    batch = corrupted(objective, vocabulary, pairs)
    losses, metrics = losses_of(objective, encoder, vocabulary)(batch)
    token_logits, next_sentence_logits = states(batch)
    log_p = np.asarray(jax.nn.log_softmax(token_logits[..., : vocabulary.size]))
    rows, places = np.nonzero(batch["weights"])
    log_p, targets = log_p[rows, batch["masked_positions"][rows, places]], batch["targets"][rows, places]
    expected = -log_p[np.arange(len(rows)), targets].mean()
    np.testing.assert_allclose(losses["masked_lm"].mean(), expected, rtol=1e-5)
    assert losses["masked_lm"].weight == len(rows)
    np.testing.assert_allclose(metrics["masked_lm_accuracy"].mean(), (log_p.argmax(-1) == targets).mean(), rtol=1e-6)

    log_p, label = np.asarray(jax.nn.log_softmax(next_sentence_logits)), batch["sentence_label"]
    assert set(label) == {0, 1}
    np.testing.assert_allclose(losses["next_sentence"].mean(), -log_p[np.arange(ROWS), label].mean(), rtol=1e-5)
    expected = (log_p.argmax(-1) == label).mean()
    np.testing.assert_allclose(metrics["next_sentence_accuracy"].mean(), expected, rtol=1e-6)


def test_parts_of_a_batch_merge_and_empty_rows_count_for_nothing(pairs, vocabulary, encoder):
    objective = BertPretraining()
    losses = losses_of(objective, encoder, vocabulary)
    whole, _ = losses(corrupted(objective, vocabulary, pairs))
    parts = []
    for start in (0, 5):
        kept = (np.arange(ROWS) < 5) == (start == 0)
        part = corrupted(objective, vocabulary, pairs | {"segments": pairs["segments"] * kept[:, None]})
        assert not part["weights"][~kept].any()
        parts.append(losses(part)[0])
        assert parts[-1]["next_sentence"].weight == kept.sum()
    for name in whole:
        np.testing.assert_allclose((parts[0][name] + parts[1][name]).mean(), whole[name].mean(), rtol=1e-5)


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    config = BertConfig(max_positions=64)
    bert = BertPretraining()
    bert.check(config, "encoder", vocabulary, 64)
    with pytest.raises(UserError, match=r"BertPretraining needs a network of kind 'encoder'.*'decoder'"):
        bert.check(config, "decoder", vocabulary, 64)
    with pytest.raises(UserError, match=r"train.length=65 are longer than the 64 positions of BertConfig"):
        bert.check(config, "encoder", vocabulary, 65)
    with pytest.raises(
        UserError, match=r"`token_types`, `sentence_label`|`sentence_label`, which windows of DocSentences"
    ):
        BertPretraining(window=DocSentences()).check(config, "encoder", vocabulary, 64)
    with pytest.raises(UserError, match="no mask"):
        MaskedLM().check(config, "encoder", dataclasses.replace(vocabulary, mask=None), 64)
    with pytest.raises(UserError, match="can't tell where a word starts"):
        whole = MaskedLM(masking=Masking(strategy="whole_words"))
        whole.check(config, "encoder", dataclasses.replace(vocabulary, word_start=None), 64)
    for masking, message in (
        (Masking(rate=1.5), "rate is 1.5; it must be above 0 and at most 1"),
        (Masking(rate=0.0), "rate is 0.0; it must be above 0 and at most 1, else nothing is predicted"),
        (Masking(mask_share=-0.1), "mask_share is -0.1; it must lie between"),
        (Masking(mask_share=0.8, random_share=0.3), "random_share is 0.3; it must lie between"),
    ):
        with pytest.raises(UserError, match=message):
            MaskedLM(masking=masking).check(config, "encoder", vocabulary, 64)
    for value, message in (("unigram", "needs the counts"), ("often", "one of uniform, unigram")):
        with pytest.raises(UserError, match=message):
            Masking(random_tokens=value).check(vocabulary)

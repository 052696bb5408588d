"""T5's other objectives on real windows; their worked examples are in tests/noise/test_tokens.py."""

import dataclasses

import numpy as np
import pytest

from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.modules.t5 import T5Config
from plmjax.objectives import BertStyle, Deshuffling, DropTokens, MassStyle
from plmjax.objectives.t5_styles import dropped_length
from tests.noise.test_masking import within
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH, ROWS = 40, 24
CASES = {"bert": BertStyle(), "mass": MassStyle(), "drop": DropTokens(), "deshuffling": Deshuffling()}


@pytest.fixture(scope="module")
def batches(split, vocabulary):
    """{case: (clean, corrupted)}"""
    clean = {name: windows_of(objective, split, vocabulary, LENGTH, ROWS) for name, objective in CASES.items()}
    return {name: (clean[name], corrupted(CASES[name], vocabulary, clean[name])) for name in CASES}


def rows(batches, case, eos):
    """(text, inputs, targets) of each row; EOS, which both end with, is taken off."""
    clean, batch = batches[case]
    for number in range(ROWS):
        text = clean["tokens"][number][clean["segments"][number] > 0].tolist()
        inputs = batch["tokens"][number][batch["segments"][number] > 0].tolist()
        targets = batch["targets"][number][batch["weights"][number] > 0].tolist()
        assert inputs.pop() == eos and targets.pop() == eos
        yield text, inputs, targets


@pytest.mark.parametrize("case", CASES)
def test_fields_fit_each_other(batches, vocabulary, case):
    _, batch = batches[case]
    assert batch["tokens"].shape[1] == LENGTH
    assert (batch["decoder_tokens"][:, 0] == vocabulary.pad).all()
    np.testing.assert_array_equal(batch["decoder_tokens"][:, 1:], batch["targets"][:, :-1])
    np.testing.assert_array_equal(batch["decoder_segments"], batch["weights"])
    assert ((batch["targets"] == vocabulary.eos).sum(1) == 1).all()


@pytest.mark.parametrize("case", ["bert", "mass"])
def test_styles_of_bert_and_mass(batches, vocabulary, case):
    noise, total, random = 0, 0, 0
    for text, inputs, targets in rows(batches, case, vocabulary.eos):
        assert targets == text and len(inputs) == len(text)
        changed = [new for new, old in zip(inputs, text, strict=True) if new != old]
        random += sum(token != vocabulary.sentinels[0] for token in changed)
        noise, total = noise + len(changed), total + len(text)
    assert within(noise / total, 0.15, total, np.sqrt(0.15 * 0.85))
    assert random == 0 if case == "mass" else within(random / noise, 0.1, noise, 0.3)


def test_deshuffling_keeps_the_tokens_and_not_the_order(batches, vocabulary):
    moved = []
    for text, inputs, targets in rows(batches, "deshuffling", vocabulary.eos):
        assert targets == text and sorted(inputs) == sorted(text)
        moved.append(inputs != text)
    assert all(moved)


def test_dropped_tokens_and_the_rest_are_the_text(batches, vocabulary):
    dropped = total = 0
    for text, inputs, targets in rows(batches, "drop", vocabulary.eos):
        rest, gone = iter([*inputs, None]), iter([*targets, None])
        kept, missing = next(rest), next(gone)
        for token in text:  # each token is the next of one of them
            if token == kept:
                kept = next(rest)
            else:
                assert token == missing
                missing = next(gone)
        assert kept is None and missing is None
        dropped, total = dropped + len(targets), total + len(text)
    assert within(dropped / total, 0.15, total, np.sqrt(0.15 * 0.85))


def test_room_for_dropped_tokens(split, vocabulary, batches):
    assert dropped_length(512, 0.15) == 102
    clean, whole = batches["drop"]
    short = corrupted(DropTokens(targets_length=4), vocabulary, clean)
    long = whole["weights"].sum(1) > 4
    assert long.any() and (short["targets"][long, 3] == vocabulary.eos).all()
    np.testing.assert_array_equal(short["targets"][long, :3], whole["targets"][long, :3])


def test_z_loss_is_for_training_alone(batches, vocabulary):
    network, (_, batch) = Bigrams(vocabulary.padded_size), batches["bert"]
    objective = BertStyle(z_loss=0.01)
    trained, validated = (
        losses_of(objective, network, vocabulary, train)(batch)[0]["bert_style"].mean() for train in (True, False)
    )
    assert trained > validated


def test_each_has_a_loss_of_its_own():
    assert [objective.NAME for objective in CASES.values()] == [
        "bert_style", "mass_style", "drop_tokens", "deshuffling",
    ]  # fmt: skip


def test_an_empty_row_counts_for_nothing(vocabulary, batches):
    for name, objective in CASES.items():
        clean, _ = batches[name]
        batch = corrupted(objective, vocabulary, clean | {"segments": np.zeros_like(clean["segments"])})
        assert not batch["weights"].any() and not batch["segments"].any()


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    def check(objective, words=vocabulary, length=LENGTH):
        objective.check(T5Config(), "encoder_decoder", words, length)

    for objective in CASES.values():
        check(objective)
    cases = [
        ("density is 1.5", lambda: check(BertStyle(density=1.5))),
        ("random_share is -1", lambda: check(BertStyle(random_share=-1))),
        ("targets_length is 1", lambda: check(DropTokens(targets_length=1))),
        ("set objective.window.isolate to False", lambda: check(MassStyle(window=Chunks(isolate=True)))),
        ("no sentinels", lambda: check(BertStyle(), words=dataclasses.replace(vocabulary, sentinels=()))),
        ("no eos", lambda: check(Deshuffling(), words=dataclasses.replace(vocabulary, eos=None))),
        ("too short", lambda: check(Deshuffling(), length=2)),
    ]
    for message, call in cases:
        with pytest.raises(UserError, match=message):
            call()

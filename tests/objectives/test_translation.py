"""Translation: both sequences, directions, and smoothing that validation does without."""

import dataclasses

import numpy as np
import pytest

from plmjax.data.windows import Translations
from plmjax.errors import UserError
from plmjax.modules.bart import MarianConfig
from plmjax.objectives import Translation
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH = 14


@pytest.fixture(scope="module")
def pairs(split):
    """The split's sentences, two and two, as translations from en to de."""
    documents = split.sentence_starts[::2]
    ids = np.tile([0, 1], (len(documents) - 1, 1)).astype(np.int16)
    return dataclasses.replace(split, document_starts=documents, languages=("en", "de"), document_languages=ids)


@pytest.fixture(scope="module")
def named(vocabulary):
    return dataclasses.replace(vocabulary, language_tokens=(4, 5))


def check_rows(clean, batch, before, vocabulary):
    for row in range(len(clean["tokens"])):
        source = clean["tokens"][row][clean["segments"][row] > 0].tolist()
        target = clean["target_tokens"][row][clean["target_segments"][row] > 0].tolist()
        inputs = batch["tokens"][row][batch["segments"][row] > 0].tolist()
        assert inputs == [*before(row), *source, vocabulary.eos]
        assert batch["targets"][row][batch["weights"][row] > 0].tolist() == [*target, vocabulary.eos]
    assert (batch["decoder_tokens"][:, 0] == vocabulary.pad).all()
    np.testing.assert_array_equal(batch["decoder_tokens"][:, 1:], batch["targets"][:, :-1])
    assert batch["tokens"].shape[1] == LENGTH


def test_one_direction_needs_no_token_of_its_language(pairs, vocabulary):
    objective = Translation()
    clean = windows_of(objective, pairs, vocabulary, LENGTH, 20)
    check_rows(clean, corrupted(objective, vocabulary, clean), lambda row: [], vocabulary)


def test_directions_into_several_languages_are_told_by_a_token(pairs, named):
    objective = Translation(window=Translations(("en-de", "de-en")))
    windows = objective.windows(pairs, named, LENGTH, 0)
    ids = np.arange(0, len(windows), 5, dtype=np.int32)
    clean = windows.batch(ids) | {"example_ids": ids, "epochs": np.zeros_like(ids)}
    assert set(clean["target_language"]) == {0, 1}
    check_rows(clean, corrupted(objective, named, clean), lambda row: [4 + clean["target_language"][row]], named)


def test_smoothing_is_for_training_alone(pairs, vocabulary):
    clean = windows_of(Translation(), pairs, vocabulary, LENGTH, 20)
    batch, network = corrupted(Translation(), vocabulary, clean), Bigrams(vocabulary.padded_size)

    def loss(smoothing, train):
        found = losses_of(Translation(label_smoothing=smoothing), network, vocabulary, train)(batch)
        return float(found[0]["translation"].mean())

    assert loss(0.1, True) != loss(0.0, True)
    assert loss(0.1, False) == loss(0.0, False) == pytest.approx(loss(0.0, True))


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    def check(length=LENGTH, words=vocabulary, **settings):
        Translation(**settings).check(MarianConfig(), "encoder_decoder", words, length)

    check()
    both = Translations(("en-de", "de-en"))
    cases = [
        ("with --language_tokens", lambda: check(window=both)),
        ("directions is empty", lambda: check(window=Translations(()))),
        ("label_smoothing is 2", lambda: check(label_smoothing=2)),
        ("too short", lambda: check(length=2)),
        ("no eos", lambda: check(words=dataclasses.replace(vocabulary, eos=None))),
    ]
    for message, call in cases:
        with pytest.raises(UserError, match=message):
            call()

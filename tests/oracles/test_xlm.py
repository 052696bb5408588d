"""XLM's batches are those of the released data code (see xlm_data.py): streams and translations field by field, masks
in distribution.

On purpose: each example has the number of targets that the released code, which tosses a coin for each token, has on
average, so that shapes are static; with `alpha` targets are drawn for each example, not for the whole batch, and never
the first token. Random replacement draws ordinary tokens, where the released one draws from the whole vocabulary. The
tail of a stream that does not fill a window is left out, where the released code fills the front with </s>; windows of
a batch are not parallel stretches of the stream, which no state connects anyway. Streams and translations are mixed in
a batch, where the released code alternates them.
"""

import dataclasses

import numpy as np
import pytest

from plmjax.data.windows import LanguageStreams, TranslationPairs
from plmjax.objectives import CrossLingualLM
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.masking_strategies import AnyTokenMasking, MaskingStrategies
from tests.oracles import xlm_data
from tests.oracles.kit import (
    BOUND,
    DRAWS,
    EOS,
    a_split,
    a_vocabulary,
    corruptions,
    joined,
    p_value,
    random_documents,
    window,
)


def in_two_languages(documents, pairs=()):
    """Documents that are in the first and the second language by turns, and translations."""
    languages = [(number % 2, -1) for number in range(len(documents))] + [(0, 1)] * len(pairs)
    fields = {"languages": ("en", "hi"), "document_languages": np.array(languages, np.int16), "name": "validation"}
    return a_split([*documents, *map(list, pairs)], **fields)


@pytest.mark.parametrize("length", [16, 50])
def test_streams_are_equal_field_by_field(length):
    """One row at a time, of streams that fill their windows: the released code then fills nothing up."""
    documents = random_documents(0, 60)
    for language in (0, 1):
        own = documents[language::2]
        missing = -len(xlm_data.stream(own)) % length
        documents[-2 + language] += [[7] * (missing - 1 if missing else length - 1)]
    windows = LanguageStreams().build(in_two_languages(documents), a_vocabulary(), length, seed=0)
    expected = [
        (batch[:, 0], language)
        for language in (0, 1)
        for batch in xlm_data.stream_batches(xlm_data.stream(documents[language::2]), 1, length)
    ]
    assert len(windows) == len(expected) > 30
    for number, (tokens, language) in enumerate(expected):
        found = windows[number]
        assert found["tokens"].tolist() == tokens.tolist() and set(found["token_types"]) == {language}
        assert found["positions"].tolist() == list(range(length)) and found["segments"].all()


def test_translations_are_equal_field_by_field():
    pairs = [pair for pair in random_documents(1, 300) if len(pair) == 2]
    windows = TranslationPairs().build(in_two_languages([[[7]]], pairs), a_vocabulary(), 30, seed=0)
    expected = [xlm_data.translation(*pair, 0, 1) for pair in pairs if len(pair[0]) + len(pair[1]) + 4 <= 30]
    assert len(windows) == len(expected) > 10
    for number, (tokens, positions, languages) in enumerate(expected):
        found, real = windows[number], len(tokens)
        assert found["tokens"][:real].tolist() == tokens and found["positions"][:real].tolist() == positions
        assert found["token_types"][:real].tolist() == languages
        assert found["segments"].tolist() == [1] * real + [0] * (30 - real)


TEXT = [EOS, 8, 9, 8, EOS, 7, 9, 9, 8, 8, 7, EOS, 8]


def masks_of(objective, vocabulary):
    """[draws, 2L]: tokens, and whether each is a target, of 10,000 masks."""
    example = window(TEXT, types=[0] * len(TEXT)) | {"translation": np.array(0, np.int32)}
    batch = corruptions(objective, example, vocabulary)
    is_target = (batch["masked_positions"][..., None] == np.arange(len(TEXT))) & (batch["weights"][..., None] > 0)
    targets = np.where(batch["weights"] > 0, batch["targets"], -1)
    expected = np.where(batch["weights"] > 0, np.array(TEXT)[batch["masked_positions"]], -1)
    assert (targets == expected).all()
    return joined(batch["tokens"], is_target.any(1))


def test_masks_are_equal_in_distribution():
    """Of the released code's masks, those that have as many targets as the average."""
    objective = CrossLingualLM(masking=Masking(strategy="any_tokens"))
    numbers = np.random.RandomState(1)
    mask = xlm_data.chosen(TEXT, 0.15, 4 * DRAWS, numbers)
    mask = mask[mask.sum(1) == 2]
    assert len(mask) > DRAWS
    tokens = xlm_data.replaced(TEXT, mask, [7, 8, 9], numbers)
    assert p_value(masks_of(objective, a_vocabulary(ordinary=3)), joined(tokens, mask)) > BOUND


def test_rare_tokens_are_masked_more():
    """Targets drawn by count^-alpha, separators left alone."""
    counts = np.zeros(120)
    counts[[7, 8, 9]] = 5, 100, 30
    vocabulary = dataclasses.replace(a_vocabulary(ordinary=3), token_counts=counts)
    strategies = MaskingStrategies(any_tokens=AnyTokenMasking(alpha=0.5))
    objective = CrossLingualLM(masking=Masking(rate=0.2, strategy="any_tokens", strategies=strategies))
    numbers = np.random.RandomState(1)
    scores = np.where(counts > 0, np.maximum(counts, 1) ** -0.5, 0)
    mask = np.stack([xlm_data.chosen_by_count(np.array(TEXT), scores, 3, numbers) for _ in range(DRAWS)])
    tokens = xlm_data.replaced(TEXT, mask, [7, 8, 9], numbers)
    found = masks_of(objective, vocabulary)
    assert p_value(found[:, len(TEXT) :], mask) > BOUND
    assert p_value(found, joined(tokens, mask)) > BOUND

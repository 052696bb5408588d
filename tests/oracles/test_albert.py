"""ALBERT's batches are those of the released data code (see albert_data.py): pairs field by field, n-grams in
distribution.

On purpose: by default a chunk of one sentence is cut in two, where the released code (`lone_sentence="random"`) puts a
random text behind it and calls that the wrong order; random replacement draws ordinary tokens, where the released one
draws from the whole vocabulary.
"""

import random

import numpy as np
import pytest

from plmjax.data.windows import SentenceOrderPair
from plmjax.objectives import AlbertPretraining
from plmjax.objectives.albert import Masking
from tests.oracles import albert_data, bert_data
from tests.oracles.kit import (
    BOUND,
    CLS,
    DRAWS,
    SEP,
    UNK,
    a_split,
    a_vocabulary,
    corruptions,
    filled,
    joined,
    p_value,
    random_documents,
    window,
)

LENGTH = 48


@pytest.mark.parametrize(("short", "duplicates", "lone"), [(0.1, 2, "random"), (1.0, 3, "random"), (0.1, 2, "cut")])
def test_pairs_are_equal_field_by_field(short, duplicates, lone):
    """All windows of all passes, from the same random numbers."""
    documents = random_documents(0, 200)
    windows = SentenceOrderPair(short_probability=short, duplicates=duplicates, lone_sentence=lone).build(
        a_split(documents), a_vocabulary(), LENGTH, seed=5
    )
    rng = random.Random("sentence order 5")
    expected = [
        pair
        for _ in range(duplicates)
        for index in range(len(documents))
        for pair in albert_data.pairs_of_document(documents, index, LENGTH, rng, short, lone)
    ]
    assert len(windows) == len(expected) > 100
    assert 0.4 < np.mean([label for _, _, label in expected]) < 0.8
    for number, (a, b, label) in enumerate(expected):
        tokens, types = bert_data.packed(a, b)
        found, real = windows[number], len(tokens)
        assert found["tokens"][:real].tolist() == tokens and found["token_types"][:real].tolist() == types
        assert found["segments"].tolist() == [1] * real + [0] * (LENGTH - real)
        assert found["sentence_label"] == label


@pytest.mark.parametrize("rate", [0.25, 0.4])
def test_masks_are_equal_in_distribution(rate):
    """Tokens, positions and labels of 10,000 masks of one text of 8 words, as whole rows."""
    vocabulary = a_vocabulary(ordinary=3)
    text = [CLS, 8, 9, 8, UNK, 8, SEP, 8, 9, 9, 8, SEP]
    example = window(text, types=[0] * 7 + [1] * 5) | {"sentence_label": np.array(0, np.int32)}
    batch = corruptions(AlbertPretraining(masking=Masking(strategy="ngrams", rate=rate)), example, vocabulary)
    starts = [i % 2 == 0 for i in range(120)]
    rng, numbers = random.Random(1), np.random.RandomState(1)
    draws = [albert_data.masked(text, rate, 77, [7, 8, 9], starts, rng, numbers) for _ in range(DRAWS)]
    tokens, positions, labels = zip(*draws, strict=True)
    room = batch["masked_positions"].shape[1]
    is_target = batch["weights"] > 0
    places = np.where(is_target, batch["masked_positions"], -1)
    targets = np.where(is_target, batch["targets"], -1)
    assert p_value(places, filled(positions, room)) > BOUND
    theirs = joined(tokens, filled(positions, room), filled(labels, room))
    assert p_value(joined(batch["tokens"], places, targets), theirs) > BOUND

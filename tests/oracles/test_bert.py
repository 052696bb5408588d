"""BERT's batches are those of the released data code (see bert_data.py): pairs field by field, masks in distribution.

On purpose: random replacement draws ordinary tokens, where the released one draws from the whole vocabulary, [MASK] and
[PAD] included; documents and examples are put in another order by the loader, not by the windows.
"""

import random

import numpy as np
import pytest

from plmjax.data.windows import SegmentPair
from plmjax.objectives import BertPretraining
from plmjax.objectives.masked_lm import Masking
from tests.oracles import bert_data
from tests.oracles.kit import (
    BOUND,
    CLS,
    DRAWS,
    MASK,
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


@pytest.mark.parametrize(("short", "duplicates"), [(0.1, 2), (1.0, 3)])
def test_pairs_are_equal_field_by_field(short, duplicates):
    """All windows of all passes, from the same random numbers."""
    documents = random_documents(0, 200)
    windows = SegmentPair(short_probability=short, duplicates=duplicates).build(
        a_split(documents), a_vocabulary(), LENGTH, seed=5
    )
    rng = random.Random("segment pairs 5")
    expected = [
        pair
        for _ in range(duplicates)
        for index in range(len(documents))
        for pair in bert_data.pairs_of_document(documents, index, LENGTH, rng, short)
    ]
    assert len(windows) == len(expected) > 100
    assert 0.3 < np.mean([label for _, _, label in expected]) < 0.8
    for number, (a, b, label) in enumerate(expected):
        tokens, types = bert_data.packed(a, b)
        found, real = windows[number], len(tokens)
        assert found["tokens"][:real].tolist() == tokens and found["token_types"][:real].tolist() == types
        assert found["segments"].tolist() == [1] * real + [0] * (LENGTH - real)
        assert found["sentence_label"] == label


@pytest.mark.parametrize("strategy", ["tokens", "whole_words"])
def test_masks_are_equal_in_distribution(strategy):
    """Tokens, positions and labels of 10,000 masks of one text, as whole rows."""
    vocabulary = a_vocabulary(ordinary=3)
    text = [CLS, 8, 9, UNK, 7, SEP, 8, 9, 9, 8, SEP]
    example = window(text, types=[0] * 6 + [1] * 5) | {"sentence_label": np.array(0, np.int32)}
    objective = BertPretraining(masking=Masking(rate=0.25, strategy=strategy))
    batch = corruptions(objective, example, vocabulary)
    starts = None if strategy == "tokens" else [i % 2 == 0 for i in range(120)]
    rng = random.Random(1)
    draws = [bert_data.masked(text, 0.25, 77, [7, 8, 9], starts, rng) for _ in range(DRAWS)]
    tokens, positions, labels = zip(*draws, strict=True)
    room = batch["masked_positions"].shape[1]
    is_target = batch["weights"] > 0
    found = joined(
        batch["tokens"],
        np.where(is_target, batch["masked_positions"], -1),
        np.where(is_target, batch["targets"], -1),
    )
    assert p_value(found, joined(tokens, filled(positions, room), filled(labels, room))) > BOUND


@pytest.mark.parametrize("real", [5, 64, 127])
def test_counts_of_long_texts(real):
    """How many tokens are masked, and how many of them become a mask or another token."""
    vocabulary, masking = a_vocabulary(), Masking()
    assert masking.max_predictions(128) == 19 and masking.max_predictions(512) == 77
    text = [CLS, *np.random.default_rng(real).integers(7, 100, real - 2).tolist(), SEP]
    example = window(text, types=np.zeros(128), length=128) | {"sentence_label": np.array(0, np.int32)}
    batch = corruptions(BertPretraining(masking=masking), example, vocabulary, seed=real)
    rng = random.Random(real)
    draws = [bert_data.masked(text, 0.15, 20, vocabulary.non_special, None, rng)[:2] for _ in range(2_000)]
    assert set(batch["weights"].sum(1)) == {len(draws[0][1])}

    def kinds(rows):
        rows = np.array(rows)[:, :real]
        return np.stack([(rows == MASK).sum(1), ((rows != MASK) & (rows != text)).sum(1)], axis=1)

    assert p_value(kinds(batch["tokens"]), kinds([tokens for tokens, _ in draws])) > BOUND

"""SpanBERT's batches are those of the released data code (see spanbert_data.py): texts field by field, masks in
distribution.

On purpose: a sentence longer than a window is cut, where the released code leaves it out, and what stands before it at
the end of a document too; random replacement draws ordinary tokens uniformly, as BERT's, where the released one draws
them as often as they are in the text.
"""

import dataclasses

import numpy as np
import pytest

from plmjax.data.windows import DocSentences
from plmjax.objectives import SpanBertPretraining
from plmjax.objectives.spanbert import SpanBertMasking
from tests.oracles import spanbert_data
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

STARTS = np.arange(120) % 2 == 0


@pytest.mark.parametrize("length", [26, 48, 300])
def test_texts_are_equal_field_by_field(length):
    """A window never goes over the end of a document."""
    documents = random_documents(0, 200)
    windows = DocSentences().build(a_split(documents), a_vocabulary(), length, seed=0)
    expected = spanbert_data.blocks(documents, length)
    assert len(windows) == len(expected) >= 60
    for number, text in enumerate(expected):
        found, real = windows[number], len(text) + 2
        assert found["tokens"][:real].tolist() == [CLS, *text, SEP]
        assert found["segments"].tolist() == [1] * real + [0] * (length - real)
        assert not found["token_types"].any()


def rows_of(batch, room):
    """Fields of each draw, as rows."""
    is_target, has_boundary = batch["weights"] > 0, batch["boundary_weights"] > 0
    fields = [np.where(is_target, batch[name], -1) for name in ("masked_positions", "targets")]
    fields += [np.where(has_boundary, batch[f"boundary_{name}"], -1) for name in ("left", "right", "offsets")]
    return joined(batch["tokens"], *fields)


@pytest.mark.parametrize(("rate", "most", "random"), [(0.3, 15, "uniform"), (0.6, 2, "uniform"), (0.3, 15, "unigram")])
def test_masks_are_equal_in_distribution(rate, most, random):
    """Tokens, positions, labels and boundaries of 10,000 masks of one text of 6 words, as whole rows."""
    words = [7, 8, 9] if random == "uniform" else [7, 8, 8, 8, 8, 9, 9, 9, 9, 9]  # the corpus
    vocabulary = dataclasses.replace(a_vocabulary(ordinary=3), token_counts=np.bincount(words, minlength=120))
    text = [8, 9, UNK, 8, 8, 9, 9, 8, 8]
    masking = SpanBertMasking(rate=rate, max_offset=most, random_tokens=random, mask_share=0.5, random_share=0.4)
    objective = SpanBertPretraining(masking=masking)
    batch = corruptions(objective, window([CLS], text, [SEP], types=[0] * 11), vocabulary)
    numbers = np.random.RandomState(1)
    draws = [
        spanbert_data.masked(text, rate, words, STARTS, numbers, most=most, shares=(0.5, 0.4)) for _ in range(DRAWS)
    ]
    room = batch["masked_positions"].shape[1]
    tokens = [row for row, _ in draws]
    positions = [sorted(targets) for _, targets in draws]
    told = [[[targets[place][k] for place in sorted(targets)] for _, targets in draws] for k in range(4)]
    places = filled(positions, room)
    assert p_value(np.where(batch["weights"] > 0, batch["masked_positions"], -1), places) > BOUND
    theirs = joined(tokens, places, *(filled(values, room) for values in told))
    assert p_value(rows_of(batch, room), theirs) > BOUND


def test_runs_of_a_long_text():
    """How many runs of masked tokens there are, and how many are of one token, of 128 tokens."""
    text = np.random.default_rng(0).integers(7, 100, 126).tolist()
    batch = corruptions(SpanBertPretraining(), window([CLS], text, [SEP], types=[0] * 128), a_vocabulary())
    numbers = np.random.RandomState(2)
    draws = [sorted(spanbert_data.masked(text, 0.15, [7], STARTS, numbers)[1]) for _ in range(2_000)]

    def runs(positions):
        is_masked = (positions[..., None] == np.arange(129)).any(1)[:, 1:]  # [CLS], at 0, is none
        before, after = np.roll(is_masked, 1, 1), np.roll(is_masked, -1, 1)
        return np.stack([(is_masked & ~before).sum(1), (is_masked & ~before & ~after).sum(1)], 1)

    assert {len(row) for row in draws} == set(batch["weights"].sum(1))
    assert p_value(runs(batch["masked_positions"]), runs(np.array(draws))) > BOUND

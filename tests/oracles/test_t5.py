"""T5's batches are those of the released data code (see t5_data.py): lengths and chunks are equal, inputs and targets
are equal in distribution, as whole rows.

On purpose: the tail of the corpus that does not fill a chunk is left out, where the released code makes a shorter
example of it; documents are one text from the first to the last, where the released code joins 128 of them at a time,
each cut to a random piece of 65,536 tokens; a random token is an ordinary one, where the released code draws from all
but the first three; iid targets have more room than the released configurations give them, and so are hardly ever cut.
"""

import numpy as np
import pytest

from plmjax.data.windows import DocumentChunks
from plmjax.noise.spans import span_lengths
from plmjax.objectives import BertStyle, Deshuffling, DropTokens, MassStyle, PrefixLM, SpanCorruption
from plmjax.objectives.span_corruption import whole_chunks
from tests.oracles import t5_data
from tests.oracles.kit import (
    BOUND,
    DRAWS,
    a_split,
    a_vocabulary,
    corruptions,
    filled,
    joined,
    p_value,
    random_documents,
    window,
)

TEXT = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
VOCABULARY = a_vocabulary()


def test_lengths_are_equal():
    """Those of inputs from 16 to 1,024 tokens."""
    for density in (0.1, 0.15, 0.25, 0.5):
        for mean in (2, 3, 5, 10):
            for inputs in (*range(16, 80), *range(80, 1025, 24), 512, 1024):
                raw, targets = t5_data.span_lengths(inputs, density, mean)
                if round(raw * density) and round(round(raw * density) / mean):
                    assert span_lengths(inputs, density, mean) == (raw, targets), (inputs, density, mean)


def test_chunks_are_equal_field_by_field():
    documents = random_documents(0, 100)
    split = a_split(documents)
    whole = whole_chunks().build(split, VOCABULARY, 50, seed=0)
    expected = t5_data.chunks(documents, 50)
    assert len(whole) == len(expected) - 1 > 20
    for number in range(len(whole)):
        assert whole[number]["tokens"].tolist() == expected[number] and whole[number]["segments"].all()
    parts = DocumentChunks().build(split, VOCABULARY, 50, seed=0)
    expected = [part for document in documents for part in t5_data.chunks([document], 50) if len(part) > 1]
    assert len(parts) == len(expected) > 100
    for number, part in enumerate(expected):
        found = parts[number]
        assert found["tokens"][: len(part)].tolist() == part
        assert found["segments"].tolist() == [1] * len(part) + [0] * (50 - len(part))


def rows_of(objective, text):
    """(inputs, targets) of 10,000 draws, filled up with -1, and what the decoder reads is checked."""
    batch = corruptions(objective, window(text), VOCABULARY)
    inputs = np.where(batch["segments"] > 0, batch["tokens"], -1)
    targets = np.where(batch["weights"] > 0, batch["targets"], -1)
    assert (batch["decoder_tokens"][:, 0] == VOCABULARY.pad).all()
    assert (batch["decoder_tokens"][:, 1:] == batch["targets"][:, :-1]).all()
    return inputs, targets


def assert_same(objective, text, restated, seed=1):
    """The project's inputs and targets, as rows, against those of a function of random numbers."""
    inputs, targets = rows_of(objective, text)
    numbers = np.random.RandomState(seed)
    their_inputs, their_targets = zip(*(restated(numbers) for _ in range(DRAWS)), strict=True)
    theirs = joined(filled(their_inputs, inputs.shape[1]), filled(their_targets, targets.shape[1]))
    assert p_value(joined(inputs, targets), theirs) > BOUND


@pytest.mark.parametrize(("density", "mean"), [(0.3, 2.0), (0.15, 3.0), (0.5, 3.0)])
def test_spans(density, mean):
    objective = SpanCorruption(density=density, mean_span=mean)

    def restated(numbers):
        return t5_data.span_corruption(TEXT, t5_data.spans_mask(len(TEXT), density, mean, numbers))

    if density != 0.15:
        return assert_same(objective, TEXT, restated)
    inputs, targets = restated(np.random.RandomState(0))  # one span is always the tail
    assert (joined(*rows_of(objective, TEXT)) == [*inputs, *targets]).all()


def test_iid_tokens():
    """With targets that open without a sentinel, or close with one."""
    text = TEXT[:9]

    def restated(numbers):
        return t5_data.span_corruption(text, numbers.random_sample(len(text)) < 0.3)

    assert_same(SpanCorruption(noise="iid", density=0.3, targets_length=20), text, restated)


@pytest.mark.parametrize(("objective", "random_share"), [(BertStyle, 0.1), (MassStyle, 0.0)])
def test_bert_and_mass_style(objective, random_share):
    vocabulary = a_vocabulary(ordinary=4)
    text = [7, 8, 9, 10, 7, 8]
    batch = corruptions(objective(density=0.3), window(text), vocabulary)
    numbers = np.random.RandomState(1)
    draws = [
        t5_data.bert_style(text, numbers.random_sample(len(text)) < 0.3, vocabulary.non_special, random_share, numbers)
        for _ in range(DRAWS)
    ]
    ours, theirs = joined(batch["tokens"], batch["targets"]), joined(*zip(*draws, strict=True))
    assert p_value(ours, theirs) > BOUND
    if random_share:  # whole rows hardly show the share of random tokens
        assert p_value(*(rows[:, :6][rows[:, :6] != text] for rows in (ours, theirs))) > BOUND


def test_dropped_tokens():
    text = TEXT[:9]

    def restated(numbers):
        return t5_data.drop(text, numbers.random_sample(len(text)) < 0.3)

    assert_same(DropTokens(density=0.3, targets_length=10), text, restated)


def test_deshuffling():
    assert_same(Deshuffling(), TEXT[:5], lambda numbers: t5_data.deshuffled(TEXT[:5], numbers))


def test_prefix_lm():
    def restated(numbers):
        start, rest = t5_data.drop(TEXT, ~t5_data.prefix_mask(len(TEXT), numbers))
        return start, rest

    assert_same(PrefixLM(), TEXT, restated)

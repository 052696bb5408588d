import dataclasses
import random

import numpy as np
import pytest

from plmjax.checkpoints.serialize import from_json
from plmjax.data.windows import SegmentPair, SentenceOrderPair, SentencePair, pairs
from plmjax.errors import UserError
from tests.data.conftest import make_split, random_split

CLS, SEP = 4, 5
LENGTH = 64


def parts(window):
    """The places in the text of A and of B, and the label."""
    tokens = window["tokens"][window["segments"] > 0]
    separators = np.flatnonzero(tokens == SEP)
    assert tokens[0] == CLS and len(separators) == 2 and separators[1] == len(tokens) - 1
    first, second = tokens[1 : separators[0]] - 7, tokens[separators[0] + 1 : -1] - 7
    types = window["token_types"]
    assert not types[: separators[0] + 1].any() and types[separators[0] + 1 : len(tokens)].all()
    assert not types[len(tokens) :].any() and (window["tokens"][len(tokens) :] == 0).all()
    return first, second, int(window["sentence_label"])


def document_of(split, places):
    documents = np.searchsorted(split.document_starts, places, side="right")
    assert (documents == documents[0]).all()
    return documents[0]


@pytest.fixture(scope="module", params=[SegmentPair(duplicates=3), SentencePair(duplicates=3)])
def config(request):
    return request.param


def test_segments_are_consecutive_text(split, vocabulary, config):
    windows = config.build(split, vocabulary, LENGTH, seed=0)
    for i in range(len(windows)):
        first, second, label = parts(windows[i])
        assert len(first) and len(second) and len(first) + len(second) <= LENGTH - 3
        assert (np.diff(first) == 1).all() and (np.diff(second) == 1).all()
        same = document_of(split, first) == document_of(split, second)
        assert same == (label == 0)
        if label == 0:
            assert second[0] > first[-1]


def test_fields(split, vocabulary, config):
    window = config.build(split, vocabulary, LENGTH, seed=0)[0]
    assert set(window) == config.gives
    assert window["sentence_label"].shape == () and all(array.dtype == np.int32 for array in window.values())
    assert (window["positions"] == np.arange(LENGTH)).all()


def test_draws_depend_on_the_seed_alone(split, vocabulary, config):
    first, again, other = (config.build(split, vocabulary, LENGTH, seed=seed) for seed in (0, 0, 1))
    assert (first._ranges == again._ranges).all()
    assert len(first) != len(other) or (first._ranges != other._ranges).any()


def test_duplicates_are_fresh_draws(split, vocabulary, config):
    plan = config.build(split, vocabulary, LENGTH, seed=0)._ranges
    once = dataclasses.replace(config, duplicates=1).build(split, vocabulary, LENGTH, seed=0)._ranges
    assert (plan[: len(once)] == once).all()
    second_pass = plan[len(once) : 2 * len(once)]
    assert (second_pass != once[: len(second_pass)]).any()


def test_half_of_the_pairs_are_random_where_the_text_allows(vocabulary):
    # Long documents of short sentences: a chunk of one sentence, always random, is rare.
    split = random_split(200, seed=5, sentences=80, longest=6)
    windows = SegmentPair(duplicates=2).build(split, vocabulary, LENGTH, seed=0)
    share = windows._ranges[:, 4].mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(len(windows)) + 0.02
    always = SegmentPair(next_probability=1.0).build(split, vocabulary, LENGTH, seed=0)
    assert always._ranges[:, 4].mean() < 0.08
    assert SegmentPair(next_probability=0.0).build(split, vocabulary, LENGTH, seed=0)._ranges[:, 4].all()


def test_short_share_of_documents(vocabulary):
    """A tenth of the passes over a document aim at a random length from 2 to 61, of which 57 make a shorter chunk."""
    split = make_split([[2] * 60] * 2000)
    windows = SegmentPair(next_probability=1.0).build(split, vocabulary, LENGTH, seed=0)
    plan = windows._ranges
    sizes = plan[:, 1] - plan[:, 0] + plan[:, 3] - plan[:, 2]
    documents, first = np.unique(np.searchsorted(split.document_starts, plan[:, 0], side="right"), return_index=True)
    assert len(documents) == 2000
    short = (sizes[first] < LENGTH - 4).mean()
    assert abs(short - 0.1 * 57 / 60) < 3 * np.sqrt(0.09 / 2000)
    full = SegmentPair(short_probability=0.0, next_probability=1.0).build(split, vocabulary, LENGTH, seed=0)._ranges
    sizes = full[:, 1] - full[:, 0] + full[:, 3] - full[:, 2]
    assert (sizes >= LENGTH - 4).sum() >= 2000


def test_unused_sentences_are_put_back(vocabulary):
    """Every sentence of the text is in some A or in some true B, unless it was cut."""
    split = random_split(60, seed=9, sentences=30, longest=5)
    windows = SegmentPair(short_probability=0.0).build(split, vocabulary, 512, seed=0)
    used = np.zeros(len(split.tokens), bool)
    for a_start, a_end, b_start, b_end, label in windows._ranges:
        used[a_start:a_end] = True
        if label == 0:
            used[b_start:b_end] = True
    assert used.all()


def test_random_segments_fill_the_window(vocabulary):
    split = make_split([[3] * 200] * 20)
    plan = SegmentPair(short_probability=0.0, next_probability=0.0).build(split, vocabulary, LENGTH, seed=0)._ranges
    sizes = plan[:, 1] - plan[:, 0] + plan[:, 3] - plan[:, 2]
    assert np.median(sizes) == LENGTH - 3


def test_sentence_pairs_are_single_sentences(vocabulary):
    split = random_split(60, longest=20)
    plan = SentencePair().build(split, vocabulary, LENGTH, seed=0)._ranges
    starts = set(split.sentence_starts.tolist())
    bounds = dict(zip(split.sentence_starts[:-1].tolist(), split.sentence_starts[1:].tolist(), strict=True))
    for a_start, a_end, b_start, b_end, label in plan.tolist():
        assert a_start in starts and bounds[a_start] == a_end and bounds[b_start] == b_end
        assert label == 1 or b_start == a_end


def test_truncation_takes_from_the_longer_at_both_ends():
    rng = random.Random(0)
    for _ in range(200):
        (a, b), (c, d) = pairs.truncate((100, 190), (300, 310), 50, rng)
        assert (c, d) == (300, 310) and b - a == 40
        assert a >= 100 and b <= 190
    fronts = [pairs.truncate((100, 190), (300, 310), 50, rng)[0][0] - 100 for _ in range(500)]
    assert abs(np.mean(fronts) - 25) < 1
    (a, b), (c, d) = pairs.truncate((0, 90), (100, 190), 20, rng)
    assert b - a == d - c == 10


def test_one_document_gives_no_random_pairs(vocabulary, config):
    with pytest.raises(UserError, match="1 documents, and random pairs need two"):
        config.build(make_split([[5, 5, 5]]), vocabulary, LENGTH, seed=0)


def test_length_without_room(split, vocabulary, config):
    with pytest.raises(UserError, match="no room for two segments"):
        config.build(split, vocabulary, 4, seed=0)
    windows = config.build(split, vocabulary, 5, seed=0)
    for i in range(len(windows)):
        first, second, _ = parts(windows[i])
        assert len(first) == len(second) == 1


def test_order_is_kept_or_swapped_within_a_text(vocabulary):
    """Never a random text (a released default trained next-sentence prediction instead)."""
    split = random_split(200, seed=5, sentences=80, longest=6)
    windows = SentenceOrderPair().build(split, vocabulary, LENGTH, seed=0)
    for i in range(0, len(windows), 7):
        first, second, label = parts(windows[i])
        assert document_of(split, first) == document_of(split, second)
        before, after = (second, first) if label else (first, second)
        assert len(first) + len(second) <= LENGTH - 3
        # Neighbours, but for what truncation took at the border.
        assert before[-1] < after[0] and (after[0] == before[-1] + 1 or len(first) + len(second) == LENGTH - 3)
    assert abs(windows._ranges[:, 4].mean() - 0.5) < 3 * 0.5 / np.sqrt(len(windows))
    never = SentenceOrderPair(swap_probability=0.0).build(split, vocabulary, LENGTH, seed=0)
    assert not never._ranges[:, 4].any()


def test_a_lone_sentence_is_cut_to_have_an_order(vocabulary):
    plan = SentenceOrderPair().build(make_split([[20], [1], [2]]), vocabulary, LENGTH, seed=0)._ranges
    assert len(plan) == 2  # one token has no order
    for a_start, a_end, b_start, b_end, label in plan.tolist():
        assert (b_end == a_start) if label else (a_end == b_start)
        assert a_start < a_end and b_start < b_end


def test_lengths_do_not_tell_the_order(vocabulary):
    """Of 61 tokens the first text has 31, swapped or not."""
    plan = (
        SentenceOrderPair(short_probability=0.0).build(make_split([[60, 60]] * 50), vocabulary, LENGTH, seed=0)._ranges
    )
    assert set(plan[:, 4]) == {0, 1} and (plan[:, 1] - plan[:, 0] == 31).all() and (plan[:, 3] - plan[:, 2] == 30).all()


def test_a_window_written_under_its_old_name_is_read():
    assert from_json({"type": "plmjax.data.windows_pairs:SentenceOrder", "duplicates": 3}) == SentenceOrderPair(
        duplicates=3
    )


def test_a_lone_sentence_is_cut_or_gets_a_random_text(vocabulary):
    """As released, the second text is from another document, and the label is 1 in every case."""
    split = make_split([[9], [8], [7]])
    cut = SentenceOrderPair(short_probability=0).build(split, vocabulary, LENGTH, seed=0)
    released = SentenceOrderPair(short_probability=0, lone_sentence="random").build(split, vocabulary, LENGTH, seed=0)
    assert len(cut) == len(released) == 3
    for number in range(3):
        first, second, _ = parts(cut[number])
        assert document_of(split, first) == document_of(split, second)
        first, second, label = parts(released[number])
        assert document_of(split, first) != document_of(split, second) and label == 1
    with pytest.raises(UserError, match="lone_sentence is 'keep'; it must be 'cut' or 'random'"):
        SentenceOrderPair(lone_sentence="keep").build(split, vocabulary, LENGTH, seed=0)
    with pytest.raises(UserError, match="random pairs need two"):
        SentenceOrderPair(lone_sentence="random").build(make_split([[5, 5]]), vocabulary, LENGTH, seed=0)

"""XLNet's windows: text A <sep> B <sep> <cls>, whose text is read on."""

import itertools
import random

import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.windows import PairStreams
from plmjax.data.windows.pair_streams import cut_longer, split_a_and_b
from plmjax.errors import UserError
from tests.data.conftest import make_split
from tests.noise.test_masking import within

LENGTH, REUSED, ROOM = 48, 24, 21


@pytest.fixture(scope="module")
def windows(split, vocabulary):
    return PairStreams(reuse_length=REUSED, both_ways=True).build(split, vocabulary, LENGTH, seed=3)


def stream_of(split, vocabulary):
    """The tokens with an eos after each document, and where sentences start."""
    documents = [[*split.document(i).tolist(), vocabulary.eos] for i in range(split.documents)]
    return np.concatenate(documents)


def parts(window, vocabulary):
    """The running text, A and B of one window, by its separators."""
    tokens = window["tokens"]
    first, second = np.flatnonzero(tokens == vocabulary.sep)
    return tokens[:REUSED], tokens[REUSED:first], tokens[first + 1 : second]


def test_the_layout_and_its_token_types(windows, vocabulary):
    for window in (*(windows[i] for i in range(30)), {k: v[0] for k, v in windows.batch_backward([4]).items()}):
        _, a, b = parts(window, vocabulary)
        assert len(a) >= 1 and len(b) >= 1 and len(a) + len(b) == ROOM
        assert window["tokens"][-2:].tolist() == [vocabulary.sep, vocabulary.cls]
        types = [0] * (REUSED + len(a) + 1) + [1] * (len(b) + 1) + [2]
        assert window["token_types"].tolist() == types
        assert (window["segments"] == 1).all() and window["positions"].tolist() == list(range(LENGTH))


def test_each_row_reads_its_text_on_in_both_directions(windows, split, vocabulary):
    text = stream_of(split, vocabulary)
    loader = Loader(windows, 6)
    batches = [loader.batch(step) for step in range(int(loader.steps_per_epoch))]
    first = ROOM + 1
    for row in range(3):
        begin = first + row * len(batches) * REUSED
        expected = text[begin : begin + len(batches) * REUSED]
        assert np.concatenate([batch["tokens"][row, :REUSED] for batch in batches]).tolist() == expected.tolist()
        turned = np.concatenate([batch["tokens"][row + 3, :REUSED] for batch in batches])
        assert turned.tolist() == expected[::-1].tolist()
    for batch, after in itertools.pairwise(batches):
        for row in range(6):  # A begins with the next window's text
            _, a, _ = parts({"tokens": batch["tokens"][row]}, vocabulary)
            assert a.tolist() == after["tokens"][row, : len(a)].tolist()
    assert all(batch["backward"].tolist() == [0, 0, 0, 1, 1, 1] for batch in batches)
    one = Loader(windows, 6, rows=[4, 1]).batch(2)
    assert (one["tokens"] == batches[2]["tokens"][[4, 1]]).all()


def test_half_of_the_windows_have_the_text_that_follows(vocabulary):
    """Where a sentence ends in the room; else B is from anywhere."""
    split = make_split([[4] * 400 for _ in range(10)])
    windows = PairStreams(reuse_length=REUSED).build(split, vocabulary, LENGTH, seed=0)
    follows = []
    for index in range(len(windows)):
        _, a, b = parts(windows[index], vocabulary)
        follows.append(0 <= b[0] - a[-1] - 1 < 4)  # up to 3 tokens are cut from A's right
    assert within(np.mean(follows), 0.5, len(follows), 0.5)


def test_where_a_sentence_fills_the_room_the_second_segment_is_from_anywhere(vocabulary):
    windows = PairStreams(reuse_length=REUSED).build(make_split([[200] * 20]), vocabulary, LENGTH, seed=0)
    for window in (windows[i] for i in range(len(windows))):
        _, a, b = parts(window, vocabulary)
        if (a[0] - 7) % 200 < 200 - ROOM:  # no end of a sentence within the room
            assert (len(a), len(b)) == (11, 10) and (b[0] - 7) % 200 == 0


def test_the_end_of_a_document_is_of_its_last_sentence(vocabulary):
    """So no B begins with it (data_utils.py 90-107)."""
    windows = PairStreams(reuse_length=REUSED).build(make_split([[2, 1]] * 100), vocabulary, LENGTH, seed=0)
    found = [parts(windows[i], vocabulary) for i in range(len(windows))]
    assert all(b[0] != vocabulary.eos for _, _, b in found)
    assert any(a[-1] == vocabulary.eos for _, a, _ in found) and any(b[-1] == vocabulary.eos for _, _, b in found)


def test_pairs_are_a_function_of_seed_and_index(windows, split, vocabulary):
    again, other = (PairStreams(reuse_length=REUSED).build(split, vocabulary, LENGTH, seed=s) for s in (3, 4))
    ahead = PairStreams(reuse_length=REUSED).build(split, vocabulary, LENGTH, seed=3)
    assert all((again[i]["tokens"] == ahead[i]["tokens"]).all() for i in range(9))
    assert any((other[i]["tokens"] != ahead[i]["tokens"]).any() for i in range(9))


@pytest.mark.parametrize(
    ("a", "b", "room", "sizes"),
    [(3, 4, 9, (3, 4)), (9, 2, 8, (6, 2)), (2, 9, 8, (2, 6)), (5, 5, 9, (5, 4)), (8, 6, 9, (5, 4)), (1, 30, 4, (1, 3))],
)
def test_the_longer_is_cut(a, b, room, sizes):
    assert cut_longer(a, b, room) == sizes


def test_worked_example():
    """Sentences of 5; A from 12 in a room of 11 may end at 15 or 20. The text that follows ends at 25, and is cut."""
    borders = np.arange(0, 1001, 5)
    found = [split_a_and_b(borders, 12, 11, random.Random(seed)) for seed in range(2_000)]
    for following in (((12, 15), (15, 23)), ((12, 18), (20, 25))):
        assert within(np.mean([pair == following for pair in found]), 0.25, len(found), np.sqrt(0.25 * 0.75))
    for (begin, a_end), (b_begin, b_end) in found:
        assert begin == 12 and b_begin % 5 == 0 and (a_end - begin) + (b_end - b_begin) == 11


@pytest.mark.parametrize("reused", [0, 44, 60])
def test_a_text_that_leaves_no_room_is_refused(split, vocabulary, reused):
    with pytest.raises(UserError, match=rf"reuse_length is {reused}: of windows of 48 tokens it must be from 1 to 43"):
        PairStreams(reuse_length=reused).build(split, vocabulary, LENGTH, seed=0)


def test_a_split_that_is_too_small_is_refused(vocabulary):
    with pytest.raises(UserError, match="too small for one window of 48 tokens"):
        PairStreams(reuse_length=REUSED).build(make_split([[20, 20]]), vocabulary, LENGTH, seed=0)

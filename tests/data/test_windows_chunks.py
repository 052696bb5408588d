import numpy as np
import pytest

from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from tests.data.conftest import make_split

EOS = 1


def stream_of(split, separator):
    """The whole stream, the slow way."""
    parts = []
    for index in range(split.documents):
        parts += [split.document(index), [EOS] if separator else []]
    return np.concatenate(parts).astype(np.int64)


@pytest.mark.parametrize("separator", [True, False])
@pytest.mark.parametrize("length", [2, 7, 64, 500])
def test_chunks_rebuild_the_text(split, vocabulary, separator, length):
    windows = Chunks(separator=separator).build(split, vocabulary, length, seed=0)
    stream = stream_of(split, separator)
    assert len(windows) == len(stream) // length
    joined = np.concatenate([windows[i]["tokens"] for i in range(len(windows))])
    assert (joined == stream[: len(joined)]).all()


def test_overlapping_chunks_share_tokens(split, vocabulary):
    windows = Chunks(overlap=1).build(split, vocabulary, 33, seed=0)
    stream = stream_of(split, True)
    for i in range(len(windows)):
        assert (windows[i]["tokens"] == stream[32 * i : 32 * i + 33]).all()
    # Every token but the first is a target once: no transition is lost between chunks.
    assert len(windows) == (len(stream) - 1) // 32


@pytest.mark.parametrize("separator", [True, False])
def test_isolated_documents_have_own_segments_and_positions(split, vocabulary, separator):
    windows = Chunks(separator=separator, isolate=True).build(split, vocabulary, 50, seed=0)
    documents = np.repeat(np.arange(split.documents), np.diff(split.document_starts) + separator)
    for i in range(len(windows)):
        here = documents[50 * i : 50 * i + 50]
        window = windows[i]
        assert (window["segments"] == here - here[0] + 1).all()
        for document in np.unique(here):
            inside = here == document
            assert (window["positions"][inside] == np.arange(inside.sum())).all()


def test_plain_chunks_are_one_segment(split, vocabulary):
    window = Chunks().build(split, vocabulary, 50, seed=0)[3]
    assert (window["segments"] == 1).all()
    assert (window["positions"] == np.arange(50)).all()
    assert set(window) == Chunks.gives
    assert all(array.dtype == np.int32 and array.shape == (50,) for array in window.values())


def test_batches_are_stacked_items(split, vocabulary):
    windows = Chunks(isolate=True, overlap=1).build(split, vocabulary, 21, seed=0)
    batch = windows.batch(np.array([5, 0, 5]))
    for row, index in enumerate((5, 0, 5)):
        for name, values in windows[index].items():
            assert (batch[name][row] == values).all()


def test_documents_of_one_token_and_the_very_end(vocabulary):
    split = make_split([[1], [1], [2], [1]])
    windows = Chunks(isolate=True).build(split, vocabulary, 9, seed=0)
    assert len(windows) == 1
    assert windows[0]["tokens"].tolist() == [7, 1, 8, 1, 9, 10, 1, 11, 1]
    assert windows[0]["segments"].tolist() == [1, 1, 2, 2, 3, 3, 3, 4, 4]
    assert windows[0]["positions"].tolist() == [0, 1, 0, 1, 0, 1, 2, 0, 1]


def test_index_out_of_range(split, vocabulary):
    windows = Chunks().build(split, vocabulary, 50, seed=0)
    for index in (-1, len(windows)):
        with pytest.raises(IndexError):
            windows[index]


def test_bad_requests_are_named(split, vocabulary):
    with pytest.raises(UserError, match="train split is too small for one window of 100000 tokens: it has"):
        Chunks().build(split, vocabulary, 100_000, seed=0)
    with pytest.raises(UserError, match="can't overlap by 8"):
        Chunks(overlap=8).build(split, vocabulary, 8, seed=0)
    with pytest.raises(UserError, match="no eos"):
        Chunks().build(split, make_vocabulary(10, {}), 8, seed=0)
    Chunks(separator=False).build(split, make_vocabulary(10, {}), 8, seed=0)

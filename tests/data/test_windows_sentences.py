import numpy as np
import pytest

from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.data.windows import DocSentences, FullSentences
from plmjax.errors import UserError
from tests.data.conftest import make_split, random_split

CLS, SEP = 4, 5


def text_of(window):
    return window["tokens"][window["segments"] > 0]


@pytest.mark.parametrize("config", [FullSentences(), DocSentences()])
@pytest.mark.parametrize("length", [8, 32, 128])
def test_windows_cover_the_text_once_in_order(split, vocabulary, config, length):
    windows = config.build(split, vocabulary, length, seed=0)
    tokens = np.concatenate([text_of(windows[i]) for i in range(len(windows))])
    assert (tokens[tokens > SEP] == split.tokens).all()


@pytest.mark.parametrize("config", [FullSentences(), DocSentences()])
def test_frame(split, vocabulary, config):
    windows = config.build(split, vocabulary, 40, seed=0)
    for i in range(len(windows)):
        window = windows[i]
        text = text_of(window)
        assert text[0] == CLS and text[-1] == SEP
        assert (window["tokens"][len(text) :] == vocabulary.pad).all()
        assert (window["segments"][: len(text)] == 1).all() and not window["segments"][len(text) :].any()
        assert not window["token_types"].any()
        assert (window["positions"] == np.arange(40)).all()
        assert all(array.dtype == np.int32 and array.shape == (40,) for array in window.values())
        assert set(window) == config.gives


def test_full_sentences_put_a_separator_at_each_border(split, vocabulary):
    windows = FullSentences().build(split, vocabulary, 64, seed=0)
    borders = set(split.document_starts[1:-1].tolist())
    for i in range(len(windows)):
        text = text_of(windows[i])[1:-1]
        previous = text[0] - 7
        expected = [previous]
        for place in range(previous + 1, text[-1] - 7 + 1):
            expected += [SEP - 7, place] if place in borders else [place]
        assert (text - 7).tolist() == expected


def test_doc_sentences_never_cross(split, vocabulary):
    windows = DocSentences().build(split, vocabulary, 64, seed=0)
    for i in range(len(windows)):
        places = text_of(windows[i])[1:-1] - 7
        documents = np.searchsorted(split.document_starts, places, side="right")
        assert (documents == documents[0]).all() and places.min() >= 0


def test_sentences_are_whole_unless_longer_than_the_window(vocabulary):
    split = random_split(40, seed=3, longest=20)
    for config in (FullSentences(), DocSentences()):
        windows = config.build(split, vocabulary, 32, seed=0)
        for i in range(len(windows)):
            text = text_of(windows[i])
            assert text[1] - 7 in split.sentence_starts
            assert text[-2] - 7 + 1 in split.sentence_starts


def test_packing_is_tight(vocabulary):
    """No window could have taken the next sentence too."""
    split = random_split(40, seed=3, longest=20)
    windows = FullSentences().build(split, vocabulary, 32, seed=0)
    for i in range(len(windows) - 1):
        start = text_of(windows[i + 1])[1] - 7
        end = split.sentence_starts[np.searchsorted(split.sentence_starts, start, side="right")]
        extra = end - start + (start in split.document_starts)
        assert len(text_of(windows[i])) + extra > 32


def test_long_sentence_is_cut(vocabulary):
    windows = FullSentences().build(make_split([[3], [25], [2]]), vocabulary, 12, seed=0)
    lengths = [int((text_of(windows[i]) > SEP).sum()) for i in range(len(windows))]
    assert lengths == [3, 10, 10, 7]  # the tail of the long one is packed with what follows


def test_roberta_names_serve_as_frame(split):
    vocabulary = make_vocabulary(10_000, {"bos": 0, "pad": 1, "eos": 2})
    window = FullSentences().build(split, vocabulary, 16, seed=0)[0]
    text = text_of(window)
    assert (text[0], text[-1]) == (0, 2)


def test_bad_requests_are_named(split, vocabulary):
    with pytest.raises(UserError, match="no cls"):
        FullSentences().build(split, make_vocabulary(10, {"pad": 0}), 16, seed=0)
    with pytest.raises(UserError, match="no room for text"):
        DocSentences().build(split, vocabulary, 2, seed=0)
    with pytest.raises(UserError, match="too small for one window"):
        DocSentences().build(make_split([]), vocabulary, 16, seed=0)

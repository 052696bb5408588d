"""Windows of whole sentences, of one language each, and of translations; languages that have tokens."""

import dataclasses

import numpy as np
import pytest

from plmjax.data.languages import token_ids
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.split import Split
from plmjax.data.store.store import Store
from plmjax.data.windows import LanguagePassages, Passages, Translations
from plmjax.errors import UserError
from tests.data.conftest import make_split

EOS = 1
DOCUMENTS = [[4, 3, 5, 2], [6], [23, 2], [1, 1, 1]]


@pytest.fixture(scope="module")
def small() -> Split:
    """Tokens count up from 7."""
    return make_split(DOCUMENTS)


@pytest.fixture(scope="module")
def spoken() -> Split:
    """Sentences of 3 tokens in en, de and fr, and translations of two sides."""
    documents = [[3, 3]] * 40 + [[3, 3, 3]] * 10 + [[3]] * 5 + [[2, 4]] * 8 + [[5, 3]] * 4 + [[9, 2]]
    ids = [(0, -1)] * 40 + [(1, -1)] * 10 + [(2, -1)] * 5 + [(0, 1)] * 8 + [(1, 0)] * 4 + [(0, 1)]
    return dataclasses.replace(
        make_split(documents), languages=("en", "de", "fr"), document_languages=np.array(ids, np.int16)
    )


def text(window):
    return window["tokens"][window["segments"] > 0].tolist()


def test_passages_are_whole_sentences_of_one_document(small, vocabulary):
    windows = Passages().build(small, vocabulary, 10, 0)
    found = [windows[index] for index in range(len(windows))]
    sizes = [len(text(window)) for window in found]
    assert sizes == [7, 7, 6, 10, 10, 5, 3]  # 4+3, 5+2 | 6 | 23 cut in 10, 10 and 3, the last with the 2 | 1+1+1
    assert [token for window in found for token in text(window)] == small.tokens.tolist()
    starts = [np.flatnonzero(window["sentence_starts"]).tolist() for window in found]
    assert starts == [[0, 4], [0, 5], [0], [0], [0], [0, 3], [0, 1, 2]]
    assert all(set(window) == Passages.gives for window in found)
    assert all(array.dtype == np.int32 and array.shape == (10,) for window in found for array in window.values())
    assert all((window["tokens"][window["segments"] == 0] == vocabulary.padding).all() for window in found)
    with pytest.raises(IndexError):
        windows[7]


def test_passages_of_real_sizes_cover_the_text(split, vocabulary):
    windows = Passages().build(split, vocabulary, 33, 0)
    found = [text(windows[index]) for index in range(len(windows))]
    assert [token for one in found for token in one] == split.tokens.tolist()
    assert all(0 < len(one) <= 33 for one in found)


def test_passages_of_languages_have_an_eos_after_each_sentence(spoken, vocabulary):
    windows = LanguagePassages(alpha=1.0).build(spoken, vocabulary, 8, 0)
    found = [windows[index] for index in range(len(windows))]
    of_en, of_de = found[0], next(window for window in found if window["language"] == 1)
    tokens = spoken.tokens
    assert text(of_en) == [*tokens[:3], EOS, *tokens[3:6], EOS]
    assert np.flatnonzero(of_en["sentence_starts"]).tolist() == [0, 4]
    first = int(spoken.document_starts[40])
    assert text(of_de) == [*tokens[first : first + 3], EOS, *tokens[first + 3 : first + 6], EOS]
    assert set(of_en) == LanguagePassages.gives and of_en["language"].shape == ()
    pieces = [token for window in found for token in text(window) if token != EOS]
    assert pieces == tokens[: int(spoken.document_starts[55])].tolist()  # translations are left out
    # What is cut out of a long sentence is a sentence too, and fits with its eos.
    for window in (LanguagePassages().build(spoken, vocabulary, 3, 0)[index] for index in range(20)):
        assert text(window)[-1] == EOS and len(text(window)) <= 3


@pytest.mark.parametrize("alpha", [1.0, 0.7, 0.0])
def test_languages_are_drawn_in_their_shares(spoken, vocabulary, alpha):
    windows = LanguagePassages(alpha).build(spoken, vocabulary, 8, 0)
    counts = np.bincount([windows[index]["language"] for index in range(len(windows))])
    sizes = np.array([40, 20, 5]) ** alpha
    np.testing.assert_allclose(counts / counts.sum(), sizes / sizes.sum(), atol=0.01)
    validation = LanguagePassages(alpha).build(dataclasses.replace(spoken, name="validation"), vocabulary, 8, 0)
    assert len(validation) == 65  # each once


def test_translations_are_read_in_the_direction_asked_for(spoken, vocabulary):
    def pairs(*directions, length=8):
        windows = Translations(directions).build(spoken, vocabulary, length, 0)
        return [windows[index] for index in range(len(windows))]

    forward, back = pairs("en-de"), pairs("de-en")
    assert len(forward) == len(back) == 12  # of 9 tokens one does not fit
    assert len(pairs("en-de", length=9)) == 13
    for one, other in zip(forward, back, strict=True):
        assert (one["language"], one["target_language"]) == (0, 1)
        assert (other["language"], other["target_language"]) == (1, 0)
        np.testing.assert_array_equal(one["tokens"], other["target_tokens"])
        np.testing.assert_array_equal(one["target_tokens"], other["tokens"])
        np.testing.assert_array_equal(one["segments"], other["target_segments"])
    assert [int(window["segments"].sum()) for window in forward] == [2] * 8 + [3] * 4
    start = int(spoken.document_starts[55])
    assert text(forward[0]) == spoken.tokens[start : start + 2].tolist()
    assert forward[0]["target_tokens"][:4].tolist() == spoken.tokens[start + 2 : start + 6].tolist()
    assert set(forward[0]) == Translations.gives
    both = pairs("en-de", "de-en")
    assert [int(window["language"]) for window in both] == [0] * 12 + [1] * 12
    assert Translations(("en-de", "fr-de", "de-en")).targets == ("de", "en")


def test_errors(small, spoken, vocabulary):
    cases = [
        (lambda: LanguagePassages().build(small, vocabulary, 8, 0), "has no languages"),
        (lambda: LanguagePassages(-2).build(spoken, vocabulary, 8, 0), "alpha is -2"),
        (lambda: Translations(("en-hi",)).build(spoken, vocabulary, 8, 0), "the store's languages are en, de, fr"),
        (lambda: Translations(("ende",)).build(spoken, vocabulary, 8, 0), "a language, a hyphen and another one"),
        (lambda: Translations(("en-en",)).build(spoken, vocabulary, 8, 0), "a language, a hyphen and another one"),
        (lambda: Translations(("en-fr",)).build(spoken, vocabulary, 8, 0), "no translations from en to fr that fit"),
        (lambda: Translations(("en-de",)).build(small, vocabulary, 8, 0), "has no languages"),
    ]
    for call, words in cases:
        with pytest.raises(UserError, match=words):
            call()


def test_tokens_of_languages():
    specials = {0: "<pad>", 9: "<en>", 8: "[de_DE]", 7: "fr_XX"}
    assert token_ids(("en", "de_DE", "fr_XX"), specials) == (9, 8, 7)
    assert token_ids(("en", "hi"), specials) == () == token_ids((), specials)


def test_a_store_gives_its_languages_tokens(documents, tmp_path):
    for language in ("en", "ne"):
        lines = "\n\n".join(" ".join(document) for document in documents)
        (tmp_path / f"{language}.txt").write_text(lines, encoding="utf-8")
    given = {"documents": "blank_lines", "vocab_size": 380, "sentinels": 0, "workers": 1}
    options = PrepareOptions(
        sources=tuple(f"{language}={tmp_path}/{language}.txt" for language in ("en", "ne")),
        language_tokens=True,
        **given,
    )
    store = prepare(options, tmp_path / "store", progress=False)
    tokens = Store.open(tmp_path / "store").vocabulary.language_tokens
    assert [store.tokenizer.special_names[token] for token in tokens] == ["<en>", "<ne>"]
    assert store.vocabulary.is_special[list(tokens)].all() and not np.isin(tokens, store.vocabulary.non_special).any()
    assert not np.isin(store.split("train").tokens, tokens).any()
    without = prepare(dataclasses.replace(options, language_tokens=False), tmp_path / "other", progress=False)
    assert without.vocabulary.language_tokens == ()
    plain = PrepareOptions(sources=(f"{tmp_path}/en.txt",), language_tokens=True, **given)
    with pytest.raises(UserError, match="language_tokens is for a tokenizer that is trained on sources that name"):
        prepare(plain, tmp_path / "plain", progress=False)

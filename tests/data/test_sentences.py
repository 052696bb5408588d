import pytest

from plmjax.data.store.sentences import splitter
from plmjax.errors import UserError


def test_english_knows_abbreviations():
    text = 'Dr. Smith paid $3.50 in the U.S. in Jan. 2020. He said "Hello." Then he left! Why?'
    assert splitter("en")(text) == [
        "Dr. Smith paid $3.50 in the U.S. in Jan. 2020.",
        'He said "Hello."',
        "Then he left!",
        "Why?",
    ]


@pytest.mark.parametrize("language", ["hi", "ne"])
def test_danda_ends_sentences(language):
    assert splitter(language)("यह एक वाक्य है। यह दूसरा है।") == ["यह एक वाक्य है।", "यह दूसरा है।"]


def test_hard_wrapped_text_is_joined():
    assert splitter("en")("One sentence that\nis wrapped.  And\tanother.") == [
        "One sentence that is wrapped.",
        "And another.",
    ]


def test_newline_takes_lines_as_they_are():
    assert splitter("newline")("A b. C d.\n\n  e  f \n") == ["A b. C d.", "e f"]


def test_no_text_is_lost():
    text = "What? No... yes; e.g. this (or that). 3.14 is pi. “Ha!”--So he said.Then left!He did."
    for language in ("en", "de", "xx"):
        assert " ".join(splitter(language)(text)) == text


def test_languages_without_blanks_are_split():
    assert splitter("zh")("你好。再见。") == ["你好。", "再见。"]


@pytest.mark.parametrize("language", ["English", "", "e1", "englisch"])
def test_bad_language_is_named(language):
    with pytest.raises(UserError, match="is not a language"):
        splitter(language)

"""Splitting a paragraph into sentences, by language."""

import functools
from collections.abc import Callable

import sentencex

from plmjax.errors import UserError

Splitter = Callable[[str], list[str]]
LINES = "newline"
WITHOUT_BLANKS = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "wuu", "yue", "zh"})


def splitter(language: str) -> Splitter:
    """A function from a paragraph to its sentences, in order, none of them empty, blanks in a sentence merged to one.

    Args:
        language: an ISO 639 code ("en", "hi", "ne", ...), for which the `sentencex` library has rules or takes those of
            the nearest language; or "newline": the text has one sentence a line.

    Raises:
        UserError: the language is not a code of two or three letters.
    """
    if language == LINES:
        return split_lines
    code = language.replace("_", "-").split("-")[0]
    if not (code.isascii() and code.isalpha() and code.islower() and len(code) in (2, 3)):
        raise UserError(
            f"{language!r} is not a language: give an ISO 639 code such as en, de or hi, or newline for "
            "one sentence a line."
        )
    return functools.partial(split_sentences, code)


def split_lines(paragraph: str) -> list[str]:
    """One sentence a line."""
    lines = (" ".join(line.split()) for line in paragraph.split("\n"))
    return [line for line in lines if line]


def split_sentences(language: str, paragraph: str) -> list[str]:
    """The sentences that `sentencex` finds. Line breaks in the paragraph are blanks: hard-wrapped text is common.

    A border without a blank ("said he!--Then") is kept in languages written without blanks alone, so that sentences
    joined by a blank are the paragraph again.
    """
    sentences: list[str] = []
    parted = True
    for sentence in sentencex.segment(language, " ".join(paragraph.split())):
        if parted or sentence[:1] == " ":
            sentences.append(sentence)
        else:
            sentences[-1] += sentence
        parted = language in WITHOUT_BLANKS or sentence[-1:] == " "
    return [stripped for sentence in sentences if (stripped := sentence.strip())]

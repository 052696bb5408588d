"""Phrases that a tagger has found (named entities, noun phrases), from characters of a document to its words."""

import re
from typing import Any

import numpy as np

from plmjax.errors import UserError

Ranges = tuple[tuple[int, int], ...]
"""First word and the word after the last of each phrase; words are counted in the document, as blanks separate them."""


def parse(value: Any, text: str, where: str) -> Ranges:
    """The words that phrases touch.

    Args:
        value: the field's value, [[start, end], ...] in characters of `text`, the end excluded.
        text: the document.
        where: the file and line, for messages.

    Raises:
        UserError: no such pairs, a pair that is empty or beyond the text, or two phrases with a word in common.
    """
    is_list = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair) for pair in value
    )
    if not is_list:
        raise UserError(f"{where}: phrases are {value!r:.60}: give a list of [start, end] in characters of the text.")
    words = [found.span() for found in re.finditer(r"\S+", text) if found[0].strip("\ufeff")]
    begins, ends = np.array([word[0] for word in words]), np.array([word[1] for word in words])
    ranges: list[tuple[int, int]] = []
    for start, end in sorted(value):
        if not 0 <= start < end <= len(text):
            raise UserError(
                f"{where}: the phrase [{start}, {end}] lies outside the text of {len(text)} characters: correct it."
            )
        first, after = int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(begins, end, side="left"))
        if ranges and first < ranges[-1][1]:
            raise UserError(f"{where}: the phrase [{start}, {end}] shares a word with the one before: remove one.")
        if first < after:  # else it is nothing but blanks
            ranges.append((first, after))
    return tuple(ranges)

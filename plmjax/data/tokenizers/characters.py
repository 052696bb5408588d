"""Words as rows of characters, as ELMo reads them (Peters et al. 2018; the released UnicodeCharsVocabulary, plus 1).

Ids: 1 to 256 the bytes of UTF-8, then the five marks below; 0 is kept for positions without a word.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError

SENTENCE_BEGIN, SENTENCE_END, WORD_BEGIN, WORD_END, FILLING = range(257, 262)
LENGTH = 50  # characters of a word in the released models


def spell(words: Iterable[str], length: int = LENGTH, marks: Mapping[int | None, int] | None = None) -> np.ndarray:
    """int16 [words, length]: begin of word, bytes, end of word, filling. Bytes that do not fit are left off.

    Args:
        words: any strings.
        length: characters of a word, marks included, at least 3.
        marks: words, by their index, that are spelled by one character: SENTENCE_BEGIN or SENTENCE_END.

    Raises:
        UserError: the length leaves no room for a character.
    """
    if length < 3:
        raise UserError(f"Words of {length} characters have no room for a letter between their marks: take 3 or more.")
    marks = marks or {}
    rows = []
    for index, word in enumerate(words):
        row = np.full(length, FILLING, np.int16)
        letters = np.frombuffer(word.encode("utf-8", "ignore")[: length - 2], np.uint8).astype(np.int16) + 1
        if index in marks:
            letters = np.array([marks[index]], np.int16)
        row[0], row[len(letters) + 1] = WORD_BEGIN, WORD_END
        row[1 : len(letters) + 1] = letters
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, length), np.int16)


@lru_cache(maxsize=4)
def spell_vocabulary(vocabulary: Vocabulary, length: int = LENGTH) -> np.ndarray:
    """int16 [size, length]: the characters of each id's piece; bos and eos by their marks."""
    assert vocabulary.pieces is not None, "the vocabulary belongs to no tokenizer"
    return spell(vocabulary.pieces, length, {vocabulary.bos: SENTENCE_BEGIN, vocabulary.eos: SENTENCE_END})


def spell_sentences(sentences: Sequence[Sequence[str]], length: int = LENGTH) -> np.ndarray:
    """int16 [sentences, longest + 2, length]: each between its begin and end, zeros after its end."""
    longest = max(map(len, sentences), default=0)
    batch = np.zeros((len(sentences), longest + 2, length), np.int16)
    for row, words in zip(batch, sentences, strict=True):
        marks = {0: SENTENCE_BEGIN, len(words) + 1: SENTENCE_END}
        row[: len(words) + 2] = spell(["", *words, ""], length, marks)
    return batch

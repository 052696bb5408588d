"""Phrases that a tagger has found (named entities, noun phrases), from characters of a document to its tokens.

A source gives [start, end] in characters; what is kept is words, which splitting into paragraphs and sentences leaves
whole, and in the end marks on the tokens of the store.
"""

from collections.abc import Sequence

import numpy as np

from plmjax.data.sources.phrases import Ranges
from plmjax.data.tokenizers.base import Tokenizer

OUTSIDE, FIRST, INSIDE = 0, 1, 2  # marks of tokens


def mark(phrases: Ranges, sentences: Sequence[str], ids: Sequence[Sequence[int]], tokenizer: Tokenizer) -> np.ndarray:
    """uint8, a mark for each token of a document. A phrase that no sentence holds whole is left out.

    Args:
        phrases: of the document.
        sentences: of the document, as they were encoded.
        ids: their tokens.
        tokenizer: what gave them.
    """
    marks = [np.full(len(tokens), OUTSIDE, np.uint8) for tokens in ids]
    first = 0
    for sentence, tokens, own in zip(sentences, ids, marks, strict=True):
        words = sentence.split()
        inside = [(a - first, b - first) for a, b in phrases if a >= first and b <= first + len(words)]
        first += len(words)
        if not inside:
            continue
        starts = _word_starts(sentence, words, tokens, tokenizer)
        for a, b in inside if starts is not None else ():
            own[starts[a] : starts[b]] = INSIDE
            own[starts[a] : starts[a] + 1] = FIRST
    return np.concatenate([np.zeros(0, np.uint8), *marks])


def _word_starts(sentence: str, words: list[str], tokens: Sequence[int], tokenizer: Tokenizer) -> np.ndarray | None:
    """Where each word's tokens start, and their number; None where that can't be told.

    Every word has at least one token that begins a word: as many as words, and they are the starts. More have
    tokenizers that part punctuation from words; their words have the same tokens alone as in a sentence.
    """
    begins = tokenizer.vocabulary.word_start
    if begins is not None and len(tokens):
        starts = np.flatnonzero(np.asarray(begins)[np.asarray(tokens)])
        starts = starts if len(starts) and starts[0] == 0 else np.append(0, starts)
        if len(starts) == len(words):
            return np.append(starts, len(tokens))
    encoded = tokenizer.encode_batch(_apart(sentence, words, tokenizer.sentence_prefix))
    if [token for word in encoded for token in word] != list(tokens):
        return None
    return np.cumsum([0, *map(len, encoded)])


def _apart(sentence: str, words: list[str], prefix: str) -> list[str]:
    """The words, each with the blank that its tokens hold, where the tokenizer's do."""
    before = sentence[: len(sentence) - len(sentence.lstrip())]
    return [before + words[0], *(prefix + word for word in words[1:])]

"""Whole words as tokens: a lexicon of every word of a corpus, whose first words are those that a softmax predicts.

Specials come first, then the words of the training text by falling frequency, then those of the validation text alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from plmjax.data.tokenizers.base import check_extra_tokens, extra_metadata
from plmjax.data.tokenizers.huggingface import FastTokenizer
from plmjax.errors import UserError

WORDS_FILE = "words.txt"  # one a line; its first `shortlist` lines are the vocabulary of the softmax
ROLES = {"bos": "<S>", "eos": "</S>", "unk": "<UNK>"}  # the released vocabularies' names

# How text is cut: at blanks and around punctuation, or at blanks alone, for text that is cut already.
SPLITS = {"words": pre_tokenizers.Whitespace, "whitespace": pre_tokenizers.WhitespaceSplit}


class WordTokenizer(FastTokenizer):
    """Words that are looked up; others are <UNK>.

    Args:
        words: of each id; those of ROLES among them.
        shortlist: how many of the first a softmax predicts.
        split: a name in SPLITS.
        extra_tokens: those of the words that are special tokens, not words of a text.
    """

    kind = "words"

    def __init__(self, words: Sequence[str], shortlist: int, split: str, extra_tokens: Sequence[str] = ()):
        self._words, self._shortlist, self._split = list(words), shortlist, split
        self._extra_tokens = tuple(extra_tokens)
        ids = {word: number for number, word in enumerate(self._words)}
        backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=ROLES["unk"]))
        backend.pre_tokenizer = SPLITS[split]()
        backend.add_special_tokens([*ROLES.values(), *self._extra_tokens])
        super().__init__(backend, ROLES)
        non_special = ~self.vocabulary.is_special
        self.vocabulary = replace(self.vocabulary, shortlist=shortlist, word_start=non_special)

    def words(self, text: str) -> list[str]:
        """A text's words, whether they have an id or not."""
        return [word for word, _ in SPLITS[self._split]().pre_tokenize_str(text)]

    def _files(self) -> dict[str, bytes]:
        return {WORDS_FILE: "".join(f"{word}\n" for word in self._words).encode()}

    def _metadata(self) -> dict[str, object]:
        return {"shortlist": self._shortlist, "split": self._split, **extra_metadata(self._extra_tokens)}

    def _with_appended(self, tokens: Sequence[str]) -> "WordTokenizer":
        words, extra_tokens = [*self._words, *tokens], (*self._extra_tokens, *tokens)
        return WordTokenizer(words, self._shortlist, self._split, extra_tokens)


def train(
    texts: Iterable[str], others: Iterable[str], vocab_size: int, split: str, extra_tokens: Sequence[str] = ()
) -> WordTokenizer:
    """The lexicon of `texts`, then of `others`, and the `vocab_size` first ids, specials included, as its shortlist.

    `extra_tokens` are further special tokens.

    Raises:
        UserError: the vocabulary has no room for a word, or the text has none.
    """
    check_extra_tokens(extra_tokens)
    specials = [*ROLES.values(), *extra_tokens]
    if vocab_size <= len(specials):
        raise UserError(
            f"vocab_size is {vocab_size}: a vocabulary of words needs room for more than {', '.join(specials)}."
        )
    lexicon = _by_frequency(texts, split)
    known = set(lexicon)
    lexicon += [word for word in _by_frequency(others, split) if word not in known]
    if not known:
        raise UserError("The training text has no word: give more text.")
    lexicon = specials + [word for word in lexicon if word not in specials]
    return WordTokenizer(lexicon, min(vocab_size, len(lexicon)), split, extra_tokens)


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> WordTokenizer:
    """Loads what `WordTokenizer.save` wrote."""
    try:
        words = (directory / WORDS_FILE).read_bytes().decode().split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The tokenizer in {directory} is damaged: {WORDS_FILE} can't be read ({error}).") from error
    return WordTokenizer(words, metadata["shortlist"], metadata["split"], metadata.get("extra_tokens", ()))


def _by_frequency(texts: Iterable[str], split: str) -> list[str]:
    """Every word of the texts, the most frequent first, equally frequent ones in the order of the alphabet."""
    counter = tokenizers.Tokenizer(models.WordLevel(unk_token=ROLES["unk"]))
    counter.pre_tokenizer = SPLITS[split]()
    trainer = trainers.WordLevelTrainer(vocab_size=np.iinfo(np.int32).max, min_frequency=1, show_progress=False)
    counter.train_from_iterator(texts, trainer)
    ids = counter.get_vocab()
    return sorted(ids, key=ids.__getitem__)

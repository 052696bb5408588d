"""Chunks of text under control codes (CTRL, Keskar et al. 2019, Sec. 2 and 3.2)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import STREAM_FIELDS, Window, Windows, index_in, too_small
from plmjax.errors import UserError


@dataclass(slots=True, unsafe_hash=True)
class CodedChunks:
    """A control code, then a chunk of the texts of this code, one after the other with the vocabulary's eos after each.

    `given` says how many tokens the code has. A tail shorter than a chunk is left out.
    """

    gives: ClassVar[frozenset[str]] = STREAM_FIELDS | {"given"}

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "CodedWindows":
        """Cuts each code's texts; nothing depends on the seed.

        Raises:
            UserError: the split has no codes, is shorter than a chunk or than a code, or the vocabulary has no eos.
        """
        if split.document_codes is None:
            raise UserError(
                f"The {split.name} split has no control codes: prepare the store with --code_field, such as the "
                "documents' source."
            )
        vocabulary.require("eos")
        longest = max(split.codes, key=lambda code: len(split.codes[code]))
        if len(split.codes[longest]) + 2 > length:
            raise UserError(
                f"The control code {longest!r} has {len(split.codes[longest])} tokens, which leave no room for text in "
                f"{length - 1}: raise train.length."
            )
        windows = CodedWindows(split, vocabulary, length)
        if not len(windows):
            raise too_small(split, length, "less text under each control code")
        return windows


class CodedWindows(Windows):
    """The windows of all codes, one code after the other: the loader's permutation mixes them."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int):
        self.length, self.padding = length, vocabulary.padding
        assert vocabulary.eos is not None and split.document_codes is not None
        self._tokens, self._eos = split.tokens, vocabulary.eos
        self._codes = [np.asarray(tokens, np.int32) for tokens in split.codes.values()]
        starts, codes = np.asarray(split.document_starts), np.asarray(split.document_codes)
        self._begins, self._starts, counts = [], [], []
        for number, code in enumerate(self._codes):
            own = np.flatnonzero(codes == number)
            lengths = starts[own + 1] - starts[own] + 1
            self._begins.append(starts[own])  # of each document in the store
            self._starts.append(np.concatenate([[0], np.cumsum(lengths)]))  # and in the stream with eos
            # The last token of a chunk is only predicted, and the first of the next one.
            counts.append(max(0, (int(self._starts[-1][-1]) - 1) // (length - len(code) - 1)) if len(own) else 0)
        self._firsts = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, index: int) -> Window:
        number = int(np.searchsorted(self._firsts, index_in(index, len(self)), side="right")) - 1
        code = self._codes[number]
        text = self.length - len(code)
        position_T = (index - int(self._firsts[number])) * (text - 1) + np.arange(text)
        document_T = np.searchsorted(self._starts[number], position_T, side="right") - 1
        is_eos_T = position_T + 1 == self._starts[number][document_T + 1]
        raw_T = self._begins[number][document_T] + position_T - self._starts[number][document_T]
        text_T = np.where(is_eos_T, self._eos, self._tokens[np.where(is_eos_T, 0, raw_T)])
        return {
            "tokens": np.concatenate([code, text_T]).astype(np.int32),
            "positions": np.arange(self.length, dtype=np.int32),
            "segments": np.ones(self.length, np.int32),
            "given": np.array(len(code), np.int32),
        }

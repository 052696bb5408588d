"""One part of a corpus as arrays."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Split:
    """The tokens of one part of the corpus.

    Attributes:
        tokens: uint16 or uint32 [tokens], usually memory-mapped; no special tokens.
        document_starts: int64 [documents + 1]; document d is tokens[document_starts[d]:document_starts[d + 1]].
        sentence_starts: int64 [sentences + 1]; every document start is among them.
        name: "train" or "validation".
        fingerprint: SHA-256 of the contents; "" for a split that no store holds.
        index_cache: the folder where windows keep their indices; None keeps them in memory.
        languages: codes of the languages that the sources name, in the order of their ids; () where they name none.
        document_languages: int16 [documents, 2], ids of languages; the second is -1 but of translations, whose two
            sentences are the sides. None without languages.
        phrases: uint8 [tokens], marks of a tagger's phrases, see `phrases`. None without.
        codes: the tokens of each control code, by its text, in the order of their numbers. Empty without.
        document_codes: int32 [documents], numbers of control codes. None without.
    """

    tokens: np.ndarray
    document_starts: np.ndarray
    sentence_starts: np.ndarray
    name: str = "train"
    fingerprint: str = ""
    index_cache: Path | None = None
    languages: tuple[str, ...] = ()
    document_languages: np.ndarray | None = None
    phrases: np.ndarray | None = None
    codes: dict[str, list[int]] = field(default_factory=dict)
    document_codes: np.ndarray | None = None

    @property
    def documents(self) -> int:
        return len(self.document_starts) - 1

    @property
    def sentences(self) -> int:
        return len(self.sentence_starts) - 1

    def document(self, index: int) -> np.ndarray:
        """The tokens of one document."""
        return self.tokens[self.document_starts[index] : self.document_starts[index + 1]]

    @cached_property
    def document_sentences(self) -> np.ndarray:
        """int64 [documents + 1]: the index of each document's first sentence, then the number of sentences."""
        return np.searchsorted(self.sentence_starts, self.document_starts)

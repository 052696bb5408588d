"""RoBERTa's packed windows (Liu et al. 2019, Sec. 4.2): whole sentences up to the length.

A window is `[cls] sentences [sep]`; FULL-SENTENCES runs over document borders and puts an extra [sep] at each,
DOC-SENTENCES stops there, so that the last window of a document is shorter. A sentence longer than a window is cut.
"""

from dataclasses import dataclass

import numpy as np

from plmjax.data.store.index_cache import cached_index
from plmjax.data.store.phrases import OUTSIDE
from plmjax.data.store.split import Split
from plmjax.data.templates import cls_sep_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import SENTENCE_FIELDS, Window, Windows, index_in, packed_window, too_small
from plmjax.errors import UserError


@dataclass(slots=True, unsafe_hash=True)
class FullSentences:
    """FULL-SENTENCES: whole sentences packed up to the length, over document borders.

    phrases: give the marks of a tagger's phrases as `phrases`, int32 [L]; see data/phrases.py.
    """

    phrases: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return SENTENCE_FIELDS | ({"phrases"} if self.phrases else set())

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PackedWindows":
        """Packs a split; nothing depends on the seed. Raises UserError if the split or the length is too small,
        or has no phrases where they are to be given."""
        return PackedWindows(split, vocabulary, length, True, self.phrases)


@dataclass(slots=True, unsafe_hash=True)
class DocSentences:
    """DOC-SENTENCES: whole sentences packed up to the length or to the document's end.

    phrases: give the marks of a tagger's phrases as `phrases`, int32 [L]; see data/phrases.py.
    """

    phrases: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return SENTENCE_FIELDS | ({"phrases"} if self.phrases else set())

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PackedWindows":
        """Packs a split; nothing depends on the seed. Raises UserError if the split or the length is too small,
        or has no phrases where they are to be given."""
        return PackedWindows(split, vocabulary, length, False, self.phrases)


class PackedWindows(Windows):
    """Windows over consecutive ranges of the store's tokens."""

    def __init__(self, split: Split, vocabulary: Vocabulary, length: int, crossing: bool, phrases: bool):
        self.length = length
        self.padding = vocabulary.padding
        self._template = cls_sep_template(vocabulary)
        if length < 3:
            raise UserError(
                f"A window of {length} tokens has no room for text between two special tokens: take 3 or more."
            )
        if split.sentences == 0:
            raise too_small(split, length, "no text")
        if phrases and split.phrases is None:
            raise UserError(
                f"objective.window.phrases is True, but the {split.name} split has no phrases: prepare the store with "
                "--phrases_field."
            )
        self._split, self._phrases = split, phrases
        self._ranges = cached_index(split, f"packed/{crossing}/{length}", lambda: pack(split, length - 2, crossing))

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> Window:
        start, end = (int(position) for position in self._ranges[index_in(index, len(self))])
        text = np.asarray(self._split.tokens[start:end], np.int32)
        starts = self._split.document_starts
        borders = starts[np.searchsorted(starts, start, side="right") : np.searchsorted(starts, end, side="left")]
        borders = np.asarray(borders) - start
        text = np.insert(text, borders, self._template.separator[0])
        window = packed_window(self._template.pack(text), self.length, self.padding)
        if self._phrases and self._split.phrases is not None:
            marks_L = np.zeros(self.length, np.int32)
            marks_L[1 : 1 + len(text)] = np.insert(self._split.phrases[start:end], borders, OUTSIDE)
            window["phrases"] = marks_L
        return window


def pack(split: Split, room: int, crossing: bool) -> np.ndarray:
    """The ranges of tokens of consecutive windows, greedily.

    Args:
        split: the text.
        room: tokens a window holds, an extra separator at each document border inside it included.
        crossing: whether a window may run over document borders.

    Returns:
        int64 [windows, 2]: start and end of each range. Together they cover the split once, in order.
    """
    sentences = np.asarray(split.sentence_starts)
    documents = np.asarray(split.document_starts)
    # A range from a to b costs b - a tokens and a separator for each document start strictly between them; with
    # crossing that is cost[b] - a - (document starts up to and with a).
    borders_before = np.searchsorted(documents, sentences, side="left") if crossing else 0
    cost = sentences + borders_before
    total = int(sentences[-1])
    ranges: list[tuple[int, int]] = []
    start = 0
    while start < total:
        passed = np.searchsorted(documents, start, side="right")
        limit = start + room + (int(passed) if crossing else 0)
        end = int(sentences[np.searchsorted(cost, limit, side="right") - 1])
        if not crossing:
            end = min(end, int(documents[passed]))
        if end <= start:  # one sentence is longer than the room
            end = start + room
        ranges.append((start, end))
        start = end
    return np.array(ranges, np.int64)

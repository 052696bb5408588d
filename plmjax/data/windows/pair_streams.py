"""XLNet's windows: a running text, then two segments (Yang et al. 2019, Sec. 2.5; zihangdai/xlnet, data_utils.py).

    text A <sep> B <sep> <cls>

The text goes into the memory, and the next window's text begins where it ends (`create_tfrecords` 449-520). A follows
the text; B follows A, or is text from anywhere (`_split_a_and_b` 255-305).
"""

import random
from dataclasses import dataclass

import numpy as np

from plmjax.data.store.split import Split
from plmjax.data.templates import xlnet_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows.base import SENTENCE_FIELDS, Window, Windows, index_in, packed_window, too_small
from plmjax.data.windows.chunks import TokenStream
from plmjax.errors import UserError

SPECIAL_TOKENS = 3  # A <sep> B <sep> <cls>

Range = tuple[int, int]


@dataclass(slots=True, unsafe_hash=True)
class PairStreams:
    """Windows of a running text and two segments, which each row of the batches reads on in, as in `Streams`.

    Token types are 0 for the text, A and its separator, 1 for B and its, and 2 for <cls>. A ends at a random end of a
    sentence among those that leave room for B. In half of the windows B is the rest; else, and where the first sentence
    fills the room, B is as much text from a random position of the split, sentences whole. What is too long is cut from
    the right of the longer. The pairs are drawn once for all epochs, as in one pass of the released code. It draws B
    from the row's own stretch of the text, and a stretch's last windows end with it; here both see the whole split.

    Attributes:
        reuse_length: tokens of the text, which go into the memory (the released reuse_len); model.reuse_length.
        separator: put the vocabulary's eos after each document (use_eod).
        both_ways: as in `Streams`; a text that is read from its end has its A and B from there too (bi_data).
    """

    reuse_length: int = 256
    separator: bool = True
    both_ways: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return SENTENCE_FIELDS | {"continues"} | ({"backward"} if self.both_ways else set())

    def stride(self, length: int) -> int:
        """Tokens after which the next window begins."""
        return self.reuse_length

    def build(self, split: Split, vocabulary: Vocabulary, length: int, seed: int) -> "PairStreamWindows":
        """Lays a split out; pairs are drawn by the seed.

        Raises:
            UserError: `reuse_length` leaves no room for A and B, the split is too small, or the vocabulary lacks a
                token.
        """
        if not 0 < self.reuse_length < length - SPECIAL_TOKENS - 1:
            raise UserError(
                f"objective.window.reuse_length is {self.reuse_length}: of windows of {length} tokens it must be from "
                f"1 to {length - SPECIAL_TOKENS - 2}, which leaves room for two segments."
            )
        if self.separator:
            vocabulary.require("eos")
        return PairStreamWindows(self, split, vocabulary, length, seed)


class PairStreamWindows(Windows):
    """The windows of a split, each worked out when it is read."""

    consecutive = True

    def __init__(self, config: PairStreams, split: Split, vocabulary: Vocabulary, length: int, seed: int):
        self.length = length
        self.padding = vocabulary.padding
        self.both_ways = config.both_ways
        self._template = xlnet_template(vocabulary)
        self._reused, self._seed = config.reuse_length, seed
        self._room = length - config.reuse_length - SPECIAL_TOKENS
        self._stream = stream = TokenStream(split, vocabulary.eos if config.separator else None)
        self._borders = sentence_borders(split, stream)
        # Read from the end, the first windows need text before them; see `split_a_and_b` for the one token more.
        self._first = self._room + 1 if config.both_ways else 0
        self._count = (stream.total - self._first - self._room - 1) // self._reused
        if self._count < 1:
            raise too_small(split, length, f"{stream.total} tokens")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Window:
        return self._window(index_in(index, self._count), backward=False)

    def batch_backward(self, indices: np.ndarray) -> Window:
        items = [self._window(index_in(int(index), self._count), backward=True) for index in indices]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def _window(self, index: int, backward: bool) -> Window:
        """The window of a number; backward, the one whose running text is the same from its end."""
        begin, borders = self._first + index * self._reused, self._borders
        if backward:
            begin, borders = self._stream.total - begin - self._reused, self._stream.total - borders[::-1]
        rng = random.Random(f"pair streams {self._seed} {index} {backward}")
        (_, a_end), second = split_a_and_b(borders, begin + self._reused, self._room, rng)
        row = self._template.pack(self._read((begin, a_end), backward), self._read(second, backward))
        return packed_window(row, self.length, self.padding)

    def _read(self, places: Range, backward: bool) -> np.ndarray:
        """int32 ids of a range of the stream, counted and read from its end if backward."""
        positions = np.arange(*places)
        return self._stream.tokens(self._stream.total - 1 - positions if backward else positions)


def sentence_borders(split: Split, stream: TokenStream) -> np.ndarray:
    """int64, ascending: where each sentence of the stream starts, and the stream's end.

    A separator is of the sentence before it (data_utils.py 90-107).
    """
    starts = np.asarray(split.sentence_starts)[:-1]
    documents = np.searchsorted(np.asarray(split.document_starts), starts, side="right") - 1
    return np.concatenate([starts + stream.separators_before(documents), stream.starts[-1:]])


def split_a_and_b(borders: np.ndarray, begin: int, room: int, rng: random.Random) -> tuple[Range, Range]:
    """The ranges of A and B, together `room` tokens (data_utils.py 255-305).

    Args:
        borders: where sentences start, ascending, the end of the text last.
        begin: where A starts; more than `room` tokens follow it.
        room: tokens for both.
        rng: gives the draws, in the released order.
    """
    total = int(borders[-1])
    first, after = np.searchsorted(borders, (begin + 1, begin + room), side="left")
    cuts: list[int] = borders[first:after].tolist()
    end = int(borders[after])
    if not cuts or rng.random() < 0.5:
        a_end = rng.choice(cuts) if cuts else end
        size = max(1, room - (a_end - begin))
        b_begin = rng.randint(0, total - 1 - size)
        b_end = b_begin + size
        b_begin = int(borders[np.searchsorted(borders, b_begin, side="right") - 1])
        # The released code's last token is a target of left-to-right LM alone.
        b_end = min(int(borders[np.searchsorted(borders, b_end, side="left")]), total - 1)
    else:
        a_end = b_begin = rng.choice(cuts)
        b_end = end
    a_size, b_size = cut_longer(a_end - begin, b_end - b_begin, room)
    return (begin, begin + a_size), (b_begin, b_begin + b_size)


def cut_longer(a: int, b: int, room: int) -> tuple[int, int]:
    """The sizes after tokens are taken from the longer, from b where they are equal, until both fit (300-305)."""
    excess = max(0, a + b - room)
    a, b = (a - min(excess, max(a - b, 0)), b - min(excess, max(b - a, 0)))
    excess = max(0, a + b - room)
    return a - excess // 2, b - (excess + 1) // 2

"""The ids of a tokenizer, as the rest of the code knows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from plmjax.errors import UserError

SPECIAL_NAMES = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")
ROWS_MULTIPLE = 128  # embedding rows split evenly over tensor-parallel devices and fill the TPU's lanes


def padded(size: int) -> int:
    """The rows of an embedding table for `size` ids: the next multiple of 128."""
    return -(-size // ROWS_MULTIPLE) * ROWS_MULTIPLE


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The ids of a tokenizer and their kinds.

    Attributes:
        size: number of ids that the tokenizer can give, sentinels included; ids run from 0 to size - 1.
        padded_size: rows of the embedding table, `size` rounded up to a multiple of 128.
        pad, bos, eos, cls, sep, mask, unk: the special ids; None where the tokenizer has no such token.
        sentinels: ids of the sentinels, sentinel 0 first; in T5 that is the highest id, and they count down.
        is_special: bool [padded_size]; True for special tokens, sentinels and the rows from `size` on.
        word_start: bool [padded_size], True where a piece begins a word; None if the pieces don't show it.
        non_special: int32 [count]; the ids that are not special, ascending: what random replacement draws from.
        shortlist: a softmax over words predicts the ids below it and takes all others for unk; equal to `size` unless
            the tokenizer's lexicon is larger.
        language_tokens: ids of the tokens of the store's languages, in the order of the languages' ids; () where the
            store names none or the tokenizer lacks a token for one. See `languages.token_names`.
        named: the special tokens by their printed names, sentinels and extra tokens included: {"[MASK]": 4, "[R]": 7}.
        pieces: the piece behind each id, as the tokenizer's files spell it; None where there is no tokenizer.
        token_counts: `np.asarray` of it is int64 [padded_size], how often each id occurs in a store's training text;
            None without a store.
    """

    size: int
    padded_size: int
    pad: int | None
    bos: int | None
    eos: int | None
    cls: int | None
    sep: int | None
    mask: int | None
    unk: int | None
    sentinels: tuple[int, ...]
    is_special: np.ndarray
    word_start: np.ndarray | None
    non_special: np.ndarray
    shortlist: int
    language_tokens: tuple[int, ...] = ()
    named: Mapping[str, int] = field(default_factory=dict)
    pieces: tuple[str, ...] | None = None
    token_counts: ArrayLike | None = None

    def require(self, *names: str) -> None:
        """Raises UserError that names the missing ones of the special tokens `names` ("mask", "sentinels", ...)."""
        missing = [name for name in names if getattr(self, name) is None or getattr(self, name) == ()]
        if missing:
            raise UserError(
                f"The tokenizer has no {' and no '.join(missing)} token, which this objective needs: take a tokenizer "
                "that has it, or train one with specials='all'."
            )

    def require_named(self, *names: str) -> None:
        """Raises UserError unless the vocabulary has a special token of each of these printed names ("[R]", ...)."""
        missing = [name for name in names if name not in self.named]
        if missing:
            raise UserError(
                f"The tokenizer has no token {' and no '.join(missing)}, which this objective needs: prepare the text "
                f"again with --extra_tokens='{','.join(names)}', into another directory."
            )

    @property
    def cls_or_bos(self) -> int | None:
        """The id that opens a classified sequence: cls, or bos where the vocabulary has no cls (RoBERTa's names)."""
        return self.cls if self.cls is not None else self.bos

    @property
    def sep_or_eos(self) -> int | None:
        """The id that closes a segment: sep, or eos where the vocabulary has no sep (RoBERTa's names)."""
        return self.sep if self.sep is not None else self.eos

    @property
    def padding(self) -> int:
        """The id that fills unused positions: pad, or 0 where the vocabulary has no pad."""
        return self.pad if self.pad is not None else 0


def make_vocabulary(
    size: int,
    specials: Mapping[str, int],
    sentinels: Iterable[int] = (),
    others: Iterable[int] = (),
    word_start: Iterable[bool] | None = None,
    *,
    named: Mapping[str, int] | None = None,
    pieces: Sequence[str] | None = None,
) -> Vocabulary:
    """Builds a Vocabulary.

    Args:
        size: number of ids.
        specials: id of each special token, by its name in SPECIAL_NAMES; a missing name means no such token.
        sentinels: ids of the sentinels, sentinel 0 first.
        others: further special ids without a role here, such as BERT's [unused1].
        word_start: for each id below `size`, whether the piece begins a word; None if that is not known.
        named: further special tokens by their printed names.
        pieces: the piece behind each id below `size`, "" for an id without one; the special ones are in `named` too.
    """
    sentinels = tuple(int(i) for i in sentinels)
    named = dict(named or {})
    rows = padded(size)
    is_special = np.zeros(rows, bool)
    is_special[size:] = True
    is_special[[*specials.values(), *sentinels, *others, *named.values()]] = True
    starts = None
    if word_start is not None:
        starts = np.zeros(rows, bool)
        starts[:size] = np.fromiter(word_start, bool, count=size)
        starts &= ~is_special
        starts.setflags(write=False)
    is_special.setflags(write=False)
    non_special = np.flatnonzero(~is_special).astype(np.int32)
    non_special.setflags(write=False)
    if pieces is not None:
        named |= {pieces[token]: token for token in np.flatnonzero(is_special[:size]).tolist() if pieces[token]}
    roles: dict[str, Any] = {name: int(specials[name]) if name in specials else None for name in SPECIAL_NAMES}
    return Vocabulary(
        size=size,
        padded_size=rows,
        **roles,
        sentinels=sentinels,
        is_special=is_special,
        word_start=starts,
        non_special=non_special,
        shortlist=size,
        named=named,
        pieces=None if pieces is None else tuple(pieces),
    )

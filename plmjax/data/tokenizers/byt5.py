"""ByT5's ids: the bytes of UTF-8 behind three special tokens, then the sentinels (Xue et al. 2022)."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from plmjax.data.tokenizers.base import Encoding, Tokenizer, extra_metadata
from plmjax.data.tokenizers.folder import SENTINEL, Folder, UnreadTokenizerError, tokens_behind
from plmjax.data.tokenizers.vocabulary import make_vocabulary

ROLES = {"pad": 0, "eos": 1, "unk": 2}
NAMES = ("<pad>", "</s>", "<unk>")
FIRST, BYTES = len(NAMES), 256
SENTINELS = 125  # google-research/byt5, and transformers' ByT5Tokenizer


class ByT5Tokenizer(Tokenizer):
    """Byte b of a text has the id b + 3; sentinel n has the id 259 + n.

    Args:
        sentinels: their number.
        extra_tokens: names of special tokens behind them.
    """

    kind = "bytes"

    def __init__(self, sentinels: int = SENTINELS, extra_tokens: Sequence[str] = ()):
        self._sentinels, self._extra_tokens = sentinels, tuple(extra_tokens)
        first = FIRST + BYTES
        names = [f"<extra_id_{number}>" for number in range(sentinels)] + list(self._extra_tokens)
        self._pieces = [*NAMES, *(f"<0x{byte:02X}>" for byte in range(BYTES)), *names]
        size = len(self._pieces)
        special = range(first, size)
        starts = [token - FIRST in (9, 10, 13, 32) for token in range(size)]  # the blanks belong to the word behind
        sentinel_ids = range(first, first + sentinels)
        self.vocabulary = make_vocabulary(size, ROLES, sentinel_ids, special, starts, pieces=self._pieces)
        self.special_names = {i: self._pieces[i] for i in (*range(FIRST), *special)}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return [[byte + FIRST for byte in text.encode()] for text in texts]

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        spans = [[(at, at + 1) for at, letter in enumerate(text) for _ in letter.encode()] for text in texts]
        return [Encoding(ids, span) for ids, span in zip(self._encode(texts), spans, strict=True)]

    def _has_text(self, part: str) -> bool:
        return bool(part)  # blanks are bytes like others

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, sorted(self._special_ids, key=len, reverse=True)))})")

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "ByT5Tokenizer":
        return ByT5Tokenizer(self._sentinels, (*self._extra_tokens, *tokens)).with_markers(self.markers)

    def _decode_non_special(self, ids: list[int]) -> str:
        return bytes(token - FIRST for token in ids).decode(errors="ignore")

    def _files(self) -> dict[str, bytes]:
        return {}

    def _metadata(self) -> dict[str, object]:
        return {"sentinels": self._sentinels, **extra_metadata(self._extra_tokens)}


def load(directory: Path, folder: Folder) -> ByT5Tokenizer:
    """The tokenizer of a folder whose files name ByT5's class; there is no vocabulary to read.

    Raises:
        UnreadTokenizerError: there are added words.
    """
    listed = sum(bool(SENTINEL.fullmatch(name)) for name in folder.additional)
    plain = ByT5Tokenizer(listed or int(folder.settings.get("extra_ids", SENTINELS) or 0))
    behind, words = tokens_behind(folder, plain.vocabulary.pieces or ())
    if words:
        raise UnreadTokenizerError(f"{directory} adds words to a ByT5Tokenizer, which plmjax does not read.")
    tokenizer = ByT5Tokenizer(plain._sentinels, behind)
    return tokenizer.with_markers(folder.markers(tokenizer.special_names.values()))


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> ByT5Tokenizer:
    """Loads what `ByT5Tokenizer.save` wrote."""
    return ByT5Tokenizer(int(metadata["sentinels"]), metadata.get("extra_tokens", ()))

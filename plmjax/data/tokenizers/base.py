"""One interface for all tokenizers: text to ids and back, and a Vocabulary that says what the ids are."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

from plmjax.data.surrogates import without_surrogates
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError

METADATA_FILE = "plmjax_tokenizer.json"


class Encoding(NamedTuple):
    """The tokens of a text with their offsets, as Hugging Face's `return_offsets_mapping` gives them.

    Attributes:
        ids: the tokens.
        offset_mapping: (start, end) of each token, which stands for text[start:end]; these characters may begin with
            the blanks before it. A character that is spelled by several tokens belongs to one of them (some tokenizers
            assign it to each), and the others may stand for an empty range.
    """

    ids: list[int]
    offset_mapping: list[tuple[int, int]]


class Tokenizer(ABC):
    """Text to ids and back.

    Attributes:
        kind: "sentencepiece", "huggingface", "fairseq", "marian", "subword-nmt", "bytes" or "words": the library that
            does the work, whose ids they are, or a lexicon.
        vocabulary: the ids and their kinds.
        special_names: the printed name of each special id, sentinels included.
        markers: names of special tokens that stand for these tokens in every text ("[E1]"), see `with_markers`.
        added_words: words with ids behind the model's own, which every text is cut at, by name.
    """

    kind: ClassVar[str]
    vocabulary: Vocabulary
    special_names: dict[int, str]
    markers: tuple[str, ...] = ()
    added_words: Mapping[str, int] = MappingProxyType({})

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """The ids of each text, without added special tokens.

        Names of special tokens in a text are plain text, but for those of `markers`. Half of a surrogate pair, which
        no encoding of Unicode has, is read as U+FFFD.

        `threads`: at most so many threads where the library lets us choose; None leaves it to the library.
        """
        return self._encode_parts(list(map(without_surrogates, texts)), threads)

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        """Encodes as `encode_batch` does and gives each token's characters, also where normalisation changes them.

        Raises:
            UserError: the tokenizer has no offsets.
        """
        return [self._encode_parts_with_offsets(without_surrogates(text)) for text in texts]

    @abstractmethod
    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """The ids of each text as the model cuts it."""

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        """The ids of each text as the model cuts it, with their offsets."""
        raise UserError(
            f"A tokenizer of kind {self.kind!r} has no offsets of its tokens in a text: use another tokenizer."
        )

    @abstractmethod
    def piece(self, token: int) -> str:
        """The piece of vocabulary behind one id, as the tokenizer's files spell it."""

    def _with_appended(self, tokens: Sequence[str]) -> "Tokenizer":
        """A tokenizer with these special tokens, which it does not have yet, behind its own ids."""
        raise UserError(
            f"A tokenizer of kind {self.kind!r} takes no extra tokens, such as {tokens[0]}: leave them out."
        )

    @abstractmethod
    def _decode_non_special(self, ids: list[int]) -> str:
        """The text of ids, none of which is special."""

    @abstractmethod
    def _files(self) -> dict[str, bytes]:
        """The files that make the tokenizer, for `save` and the fingerprint."""

    @abstractmethod
    def _metadata(self) -> dict[str, object]:
        """The facts that the files do not hold: the roles of special tokens, the number of sentinels."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text, without added special tokens.

        With `special`, names of special tokens in the text ("[MASK]", "<extra_id_0>") become their ids, and the blanks
        before such a name belong to it, as in RoBERTa.
        """
        if not special:
            return self.encode_batch([text])[0]
        ids: list[int] = []
        for part in self._special_pattern.split(text):
            if part in self._special_ids:
                ids.append(self._special_ids[part])
            elif self._has_text(part):
                ids.extend(self.encode_batch([part])[0])
        return ids

    def with_extra_tokens(self, tokens: Sequence[str]) -> "Tokenizer":
        """A tokenizer that also has these special tokens ("[R]", "[S]"), each under the next free id.

        All other ids stay as they are. A token that is special already keeps its id. As with other special tokens,
        their names in a text are plain text, except to `encode(text, special=True)`.

        Raises:
            UserError: a name is empty, holds blanks or occurs twice.
        """
        check_extra_tokens(tokens)
        missing = [token for token in tokens if token not in self.vocabulary.named]
        return self._with_appended(missing) if missing else self

    def with_markers(self, names: Sequence[str]) -> Self:
        """A tokenizer to which these special tokens, and no others, are tokens wherever a text has their names.

        Checkpoints that were fine-tuned with marks around entities ("[E1]", "[/E1]") come with them as markers: see
        `load_tokenizer`. A name among them in a text gets its id, in `encode_batch` too.

        Raises:
            UserError: the tokenizer has no such special token.
        """
        for name in names:
            if name not in self._special_ids:
                raise UserError(f"markers has {name!r}, which is no special token of this tokenizer: add it first.")
        other = copy(self)
        for cached in ("fingerprint", "_in_text"):
            other.__dict__.pop(cached, None)
        other.markers = tuple(names)
        return other

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Encodes texts that are to be written, which Marian splits with another model, as `encode_batch` does."""
        return self.encode_batch(texts)

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of ids. Special ids are left out, or with skip_special=False printed by name; no id raises."""
        runs: list[list[int]] = [[]]
        names: list[str] = []
        words = {token: word for word, token in self.added_words.items()}
        for token in map(int, ids):
            if token in words:
                names.append(words[token])
                runs.append([])
            elif 0 <= token < self.vocabulary.size and not self.vocabulary.is_special[token]:
                runs[-1].append(token)
            elif not skip_special:
                names.append(self.special_names.get(token, f"<id_{token}>"))
                runs.append([])
        texts = [self._decode_non_special(run) if run else "" for run in runs]
        if not names:
            return texts[0]
        parts = [texts[0].strip()]
        for name, text in zip(names, texts[1:], strict=True):
            parts += [name, text.strip()]
        return " ".join(part for part in parts if part)

    @property
    def name(self) -> str:
        """A short description: the kind and the number of ids."""
        return f"{self.kind}-{self.vocabulary.size}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer's files and metadata: equal exactly when two tokenizers are the same."""
        digest = hashlib.sha256(json.dumps([self.kind, self._all_metadata()], sort_keys=True).encode())
        for name, content in sorted(self._files().items()):
            digest.update(f"\n{name} {len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()

    @cached_property
    def sentence_prefix(self) -> str:
        """The string before a sentence that follows another in running text.

        " " where the blank is part of the next token (byte-level BPE), "" where the tokenizer itself separates two
        texts that are encoded one by one.
        """
        ids = self.encode("a")
        return "" if re.search(r"\s", self.decode(ids + ids).strip()) else " "

    def save(self, directory: str | Path) -> None:
        """Writes the files that `load_tokenizer(directory)` reads back into an equal tokenizer."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in self._files().items():
            (directory / name).write_bytes(content)
        metadata = {"kind": self.kind, "fingerprint": self.fingerprint, **self._all_metadata()}
        (directory / METADATA_FILE).write_text(json.dumps(metadata, indent=2, sort_keys=True) + "\n")

    def _all_metadata(self) -> dict[str, object]:
        """The metadata with the markers; without any, that of before there were markers, so that fingerprints stay."""
        return self._metadata() | ({"markers": list(self.markers)} if self.markers else {})

    def _encode_parts(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """The ids of each text, cut at the names that are tokens in every text."""
        if self._in_text is None:
            return self._encode(texts, threads)
        parts = [self._in_text.split(text) for text in texts]  # text, name, text, name, ..., text
        plain = iter(self._encode([part for cut in parts for part in cut[::2] if self._has_text(part)], threads))
        rows: list[list[int]] = []
        for cut in parts:
            row: list[int] = []
            for number, part in enumerate(cut):
                if number % 2:
                    row.append(self._token_in_text(part))
                elif self._has_text(part):
                    row.extend(next(plain))
            rows.append(row)
        return rows

    def _encode_parts_with_offsets(self, text: str) -> Encoding:
        """The ids and offsets of a text, cut at the names that are tokens in every text."""
        if self._in_text is None:
            return self._encode_with_offsets([text])[0]
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        at = 0
        for number, part in enumerate(self._in_text.split(text)):
            if number % 2:
                ids.append(self._token_in_text(part))
                offsets.append((at, at + len(part)))
            elif self._has_text(part):
                encoding = self._encode_with_offsets([part])[0]
                ids.extend(encoding.ids)
                offsets.extend((at + start, at + end) for start, end in encoding.offset_mapping)
            at += len(part)
        return Encoding(ids, offsets)

    def _has_text(self, part: str) -> bool:
        """Whether what stands between two names is more than blanks, which belong to the names."""
        return bool(part.strip())

    def _token_in_text(self, name: str) -> int:
        return self.added_words[name] if name in self.added_words else self._special_ids[name]

    @cached_property
    def _in_text(self) -> re.Pattern[str] | None:
        """What a text is cut at before the model sees it; None where it is nothing."""
        names = sorted({*self.markers, *self.added_words}, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names))})") if names else None

    @cached_property
    def _special_ids(self) -> dict[str, int]:
        return {name: token for token, name in self.special_names.items()}

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        names = sorted(self._special_ids, key=len, reverse=True)
        alternatives = "|".join(re.escape(name) for name in names) or r"(?!)"
        return re.compile(rf"\s*({alternatives})")


def check_extra_tokens(tokens: Sequence[str]) -> None:
    """Raises UserError for names that no extra tokens can have."""
    for token in tokens:
        if not token or any(character.isspace() for character in token):
            raise UserError(f"extra_tokens has {token!r}: give each token a name without blanks, such as [R].")
        if tokens.count(token) > 1:
            raise UserError(f"extra_tokens has {token!r} twice: name each token once.")


def extra_metadata(tokens: Sequence[str]) -> dict[str, object]:
    """The metadata of extra tokens; nothing without any, so that fingerprints from before extra tokens stay."""
    return {"extra_tokens": list(tokens)} if tokens else {}

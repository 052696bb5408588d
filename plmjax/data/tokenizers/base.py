"""One interface for all tokenizers: text to ids and back, and a Vocabulary that says what the ids are."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

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
        kind: "sentencepiece", "huggingface", "fairseq", "marian" or "words": the library that does the work, whose ids
            they are, or a lexicon.
        vocabulary: the ids and their kinds.
        special_names: the printed name of each special id, sentinels included.
    """

    kind: ClassVar[str]
    vocabulary: Vocabulary
    special_names: dict[int, str]

    @abstractmethod
    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """The ids of each text, without added special tokens; names of special tokens in a text are plain text.

        `threads`: at most so many threads where the library lets us choose; None leaves it to the library.
        """

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        """Encodes as `encode_batch` does and gives each token's characters, also where normalisation changes them.

        Raises:
            UserError: the tokenizer has no offsets.
        """
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
            elif part.strip():
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

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Encodes texts that are to be written, which Marian splits with another model, as `encode_batch` does."""
        return self.encode_batch(texts)

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of ids. Special ids are left out, or with skip_special=False printed by name; no id raises."""
        runs: list[list[int]] = [[]]
        names: list[str] = []
        for token in map(int, ids):
            if 0 <= token < self.vocabulary.size and not self.vocabulary.is_special[token]:
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
        digest = hashlib.sha256(json.dumps([self.kind, self._metadata()], sort_keys=True).encode())
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
        metadata = {"kind": self.kind, "fingerprint": self.fingerprint, **self._metadata()}
        (directory / METADATA_FILE).write_text(json.dumps(metadata, indent=2, sort_keys=True) + "\n")

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

"""The memory-mapped token store: a directory of plain arrays, a tokenizer and a manifest with hashes.

manifest.json                       written last: a store without it is unfinished
tokenizer/                          what `load_tokenizer` reads
train/, validation/
    tokens.npy                      uint16 or uint32 [tokens], plain text without special tokens
    document_starts.npy             int64 [documents + 1], ends with the number of tokens
    sentence_starts.npy             int64 [sentences + 1], the same; every document start is a sentence start
    document_languages.npy          int16 [documents, 2], only where the sources name languages: see Split
index_cache/                        where windows lie in the tokens; may be deleted (plans/ in older stores)
"""

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from plmjax.data.hashing import hash_file
from plmjax.data.languages import token_ids
from plmjax.data.store.split import Split
from plmjax.data.store.token_counts import TokenCounts
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError

MANIFEST_FILE = "manifest.json"
TOKENIZER_DIRECTORY = "tokenizer"
INDEX_CACHE_DIRECTORY = "index_cache"
SPLITS = ("train", "validation")
ARRAYS = ("tokens", "document_starts", "sentence_starts")
LANGUAGES_ARRAY = "document_languages"
PHRASES_ARRAY = "phrases"
CODES_ARRAY = "document_codes"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Store:
    """A token store on disk. Attributes: directory; manifest, the content of manifest.json."""

    directory: Path
    manifest: dict
    _splits: dict[str, Split] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, directory: str | Path, verify: bool = False) -> "Store":
        """Opens a store and checks that every file is there with its size; with `verify` also each file's hash.

        Raises:
            UserError: there is no store, it is unfinished, or it is damaged.
        """
        directory = Path(directory)
        manifest = _read_manifest(directory)
        for name, expected in manifest["files"].items():
            _check_file(directory, name, expected, verify)
        return cls(directory, manifest)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        tokenizer = load_tokenizer(self.directory / TOKENIZER_DIRECTORY)
        if tokenizer.fingerprint != self.manifest["tokenizer"]["fingerprint"]:
            raise _damaged(self.directory, "its tokenizer is not the one that made the tokens")
        return tokenizer

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer's vocabulary, with the tokens of the store's languages and the counts of its training text."""
        vocabulary = self.tokenizer.vocabulary
        return replace(
            vocabulary,
            language_tokens=token_ids(self.languages, self.tokenizer.special_names),
            token_counts=TokenCounts(self.split("train"), vocabulary.padded_size),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer and of every array: equal exactly when two stores hold the same."""
        return self.manifest["fingerprint"]

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that the sources name, in the order of their ids."""
        return tuple(self.manifest.get("languages", ()))

    def require_tokenizer(self, fingerprint: str) -> None:
        """Raises UserError unless `fingerprint` is that of the store's tokenizer."""
        own = self.manifest["tokenizer"]["fingerprint"]
        if own != fingerprint:
            raise UserError(
                f"The store {self.directory} was made with another tokenizer ({own[:12]}) than the one asked for "
                f"({fingerprint[:12]}): prepare the text again with that tokenizer, into another directory."
            )

    def split(self, name: str) -> Split:
        """The split "train" or "validation", memory-mapped.

        Raises:
            UserError: there is no such split, or its arrays do not fit together.
        """
        if name not in SPLITS:
            raise UserError(f"The store {self.directory} has no split {name!r}: choose one of {', '.join(SPLITS)}.")
        if name not in self._splits:
            self._splits[name] = self._open_split(name)
        return self._splits[name]

    def _open_split(self, name: str) -> Split:
        try:
            tokens, documents, sentences = (
                np.load(self.directory / name / f"{array}.npy", mmap_mode="r") for array in ARRAYS
            )
        except (OSError, ValueError) as error:
            raise _damaged(self.directory, f"an array of {name} can't be read ({error})") from error
        spoken = self._open_beside(name, LANGUAGES_ARRAY, (len(documents) - 1, 2)) if self.languages else None
        phrases = self._open_beside(name, PHRASES_ARRAY, tokens.shape) if self.manifest.get("phrases") else None
        codes = self.manifest.get("codes", {})
        coded = self._open_beside(name, CODES_ARRAY, (len(documents) - 1,)) if codes else None
        if documents[-1] != len(tokens) or sentences[-1] != len(tokens):
            raise _damaged(self.directory, f"the arrays of {name} do not fit each other")
        fingerprint = hashlib.sha256(f"{self.fingerprint}/{name}".encode()).hexdigest()
        cache = self.directory / INDEX_CACHE_DIRECTORY
        return Split(
            tokens, documents, sentences, name, fingerprint, cache, self.languages, spoken, phrases, codes, coded
        )

    def _open_beside(self, name: str, array: str, shape: tuple[int, ...]) -> np.ndarray:
        try:
            values = np.load(self.directory / name / f"{array}.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise _damaged(self.directory, f"{array} of {name} can't be read ({error})") from error
        if values.shape != shape:
            raise _damaged(self.directory, f"the arrays of {name} do not fit each other")
        return values


def write_manifest(directory: Path, content: dict, files: dict[str, dict]) -> None:
    """Writes manifest.json atomically, which finishes the store.

    Args:
        directory: the store.
        content: what to record beside the files: tokenizer, counts, sources, options.
        files: {"bytes", "sha256"} of each file, by its path in the store.
    """
    arrays = {name: file["sha256"] for name, file in sorted(files.items()) if name.endswith(".npy")}
    names = [content[kind] for kind in ("languages", "codes") if kind in content]
    identity = json.dumps([VERSION, content["tokenizer"]["fingerprint"], arrays, *names])
    manifest = {
        "version": VERSION,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        **content,
        "files": dict(sorted(files.items())),
    }
    temporary = directory / (MANIFEST_FILE + ".tmp")
    temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, directory / MANIFEST_FILE)


def _read_manifest(directory: Path) -> dict:
    if not directory.is_dir():
        raise UserError(f"No token store at {directory}: make one with python -m experiments.prepare.")
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise UserError(
            f"{directory} holds no finished token store: run python -m experiments.prepare with the same options to "
            "finish it, or give another directory."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(directory, f"{MANIFEST_FILE} can't be read ({error})") from error
    if manifest.get("version") != VERSION or "files" not in manifest:
        raise UserError(
            f"The store {directory} has version {manifest.get('version')} but this code reads {VERSION}: "
            "prepare it again."
        )
    return manifest


def _check_file(directory: Path, name: str, expected: dict, verify: bool) -> None:
    path = directory / name
    if not path.is_file():
        raise _damaged(directory, f"{name} is missing")
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise _damaged(directory, f"{name} has {size} bytes, not {expected['bytes']}")
    if verify and hash_file(path)["sha256"] != expected["sha256"]:
        raise _damaged(directory, f"the content of {name} has changed")


def _damaged(directory: Path, what: str) -> UserError:
    return UserError(f"The store {directory} is damaged: {what}; delete it and prepare it again.")

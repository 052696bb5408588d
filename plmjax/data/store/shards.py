"""The unit of preparing a store: a few thousand documents, split into sentences, encoded and written as one shard."""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plmjax.data.languages import document_ids
from plmjax.data.sources.base import Document
from plmjax.data.store.phrases import mark
from plmjax.data.store.sentences import LINES, splitter
from plmjax.data.store.store import SPLITS
from plmjax.data.tokenizers.base import Tokenizer

UNIT_CHARACTERS = 1 << 21
COUNTS = ("documents", "sentences", "words", "characters", "tokens", "unknown")


class Unit(NamedTuple):
    """Documents that make one shard. `split` is None where the documents' hashes decide."""

    number: int
    split: str | None
    documents: list[Document]

    @property
    def digest(self) -> str:
        """SHA-256 of the text, which says whether a shard on disk is this unit's."""
        digest = hashlib.sha256(str(self.split).encode())
        for document in self.documents:
            more: list[object] = [document.phrases] if document.phrases else []
            more += [document.code] if document.code else []
            digest.update(repr((document.paragraphs, document.languages, *more)).encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Recipe:
    """The recipe for making shards from units: what the worker processes need besides the tokenizer.

    `language` splits the sentences of text whose source names none; `languages` are those that sources name;
    `phrases` is whether the tokens of a tagger's phrases are marked; `codes` whether documents have control codes.
    """

    language: str
    validation_fraction: float
    directory: Path
    languages: tuple[str, ...] = ()
    phrases: bool = False
    codes: bool = False

    def path(self, index: int) -> Path:
        return self.directory / f"shard-{index:06}.npz"


def units(documents: Iterable[tuple[str | None, Document]]) -> Iterator[Unit]:
    """Groups documents, each with its split, into units of about UNIT_CHARACTERS."""
    index, characters = 0, 0
    split: str | None = None
    group: list[Document] = []
    for document_split, document in documents:
        if group and (characters >= UNIT_CHARACTERS or document_split != split):
            yield Unit(index, split, group)
            index, characters, group = index + 1, 0, []
        split = document_split
        group.append(document)
        characters += sum(map(len, document.paragraphs))
    if group:
        yield Unit(index, split, group)


def document_hash(document: Document) -> float:
    """A number in [0, 1) that depends on the text alone, so that copies of a document fall into the same split."""
    digest = hashlib.sha256("\n\n".join(document.paragraphs).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def is_validation(document: Document, fraction: float) -> bool:
    """Whether a document belongs to the validation split when `fraction` of the documents should."""
    return document_hash(document) < fraction


def finished(unit: Unit, recipe: Recipe) -> dict[str, dict[str, int]] | None:
    """The counts of a unit whose shard is on disk already; None where it is not, or is of other text."""
    try:
        with np.load(recipe.path(unit.number)) as shard:
            return _named_counts(shard) if str(shard["digest"]) == unit.digest else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def encode(unit: Unit, recipe: Recipe, tokenizer: Tokenizer, threads: int | None = None) -> dict[str, dict[str, int]]:
    """Encodes a unit and writes its shard atomically.

    Returns:
        The numbers named in COUNTS for each split.
    """
    by_split: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for document in unit.documents:
        held_out = is_validation(document, recipe.validation_fraction)
        by_split[unit.split or ("validation" if held_out else "train")].append(document)
    arrays: dict[str, Any] = {"digest": np.array(unit.digest)}
    for name, documents in by_split.items():
        found = _encode_documents(documents, recipe, tokenizer, threads)
        arrays |= {f"{name}/{array}": values for array, values in found.items()}
    path = recipe.path(unit.number)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)
    return _named_counts(arrays)


def token_dtype(tokenizer: Tokenizer) -> np.dtype:
    """uint16 where every id fits into it, else uint32."""
    return np.dtype(np.uint16 if tokenizer.vocabulary.size <= 1 << 16 else np.uint32)


def _encode_documents(
    documents: list[Document], recipe: Recipe, tokenizer: Tokenizer, threads: int | None
) -> dict[str, np.ndarray]:
    """Tokens, tokens of each document, tokens of each sentence, the counts and, where there are some, the languages and
    the codes of each document and the phrases' marks."""
    sentences: list[str] = []
    owners: list[int] = []
    for index, document in enumerate(documents):
        pieces = document_sentences(document, recipe.language, tokenizer.sentence_prefix)
        sentences += pieces
        owners += [index] * len(pieces)
    ids = tokenizer.encode_batch(sentences, threads) if sentences else []
    _drop_half_pairs(documents, owners, ids)
    lengths = np.array([len(sentence) for sentence in ids], np.int64)
    document_lengths = (
        np.bincount(owners, weights=lengths, minlength=len(documents)).astype(np.int64) if owners else lengths
    )
    tokens = np.fromiter((token for sentence in ids for token in sentence), token_dtype(tokenizer), int(lengths.sum()))
    # What gives no token (a lone control character, say) is no sentence and no document.
    has_tokens = document_lengths > 0
    lengths, document_lengths = lengths[lengths > 0], document_lengths[has_tokens]
    unk = tokenizer.vocabulary.unk
    counts = [
        len(document_lengths),
        len(lengths),
        sum(len(sentence.split()) for sentence in sentences),
        sum(map(len, sentences)),
        len(tokens),
        0 if unk is None else int((tokens == unk).sum()),
    ]
    arrays = {
        "tokens": tokens,
        "documents": document_lengths,
        "sentences": lengths,
        "counts": np.array(counts, np.int64),
    }
    if recipe.languages:
        spoken = [document_ids(document.languages, recipe.languages) for document in documents]
        arrays["languages"] = np.array(spoken, np.int16).reshape(-1, 2)[has_tokens]
    if recipe.codes:
        arrays["codes"] = np.array([document.code for document in documents], np.str_)[has_tokens]
    if recipe.phrases:
        arrays["phrases"] = _phrase_marks(documents, owners, sentences, ids, tokenizer)
    return arrays


def _phrase_marks(
    documents: list[Document], owners: list[int], sentences: list[str], ids: list[list[int]], tokenizer: Tokenizer
) -> np.ndarray:
    """uint8, a mark for each token."""
    marks = [np.zeros(0, np.uint8)]
    borders = np.searchsorted(owners, np.arange(len(documents) + 1))
    for document, first, after in zip(documents, borders, borders[1:], strict=False):
        marks.append(mark(document.phrases, sentences[first:after], ids[first:after], tokenizer))
    return np.concatenate(marks)


def _drop_half_pairs(documents: list[Document], owners: list[int], ids: list[list[int]]) -> None:
    """Empties translations of which one side gives no token, so that a pair has two sentences always."""
    for position, owner in enumerate(owners):
        if len(documents[owner].languages) == 2 and not ids[position]:
            for other in (position - 1, position + 1):
                if 0 <= other < len(owners) and owners[other] == owner:
                    ids[other] = []


def document_sentences(document: Document, language: str, prefix: str) -> list[str]:
    """The sentences of a document, each with what parts it from the sentence before.

    Args:
        document: its paragraphs; the end of a paragraph ends a sentence.
        language: as `sentences.splitter` takes it; that of the document goes before it, and a side of a translation
            is a sentence.
        prefix: the tokenizer's `sentence_prefix`. Where it is a blank, paragraphs, and the lines of text that has one
            sentence a line, are separated by a line break.
    """
    if len(document.languages) == 2:
        return list(document.paragraphs)
    if document.languages and language != LINES:
        language = document.languages[0]
    split = splitter(language)
    line_break = "\n" if prefix else ""
    within = line_break if language == LINES else prefix
    sentences: list[str] = []
    for paragraph in document.paragraphs:
        for number, sentence in enumerate(split(paragraph)):
            before = (within if number else line_break) if sentences else ""
            sentences.append(before + sentence)
    return sentences


def _named_counts(arrays) -> dict[str, dict[str, int]]:
    return {name: dict(zip(COUNTS, arrays[f"{name}/counts"].tolist(), strict=True)) for name in SPLITS}

"""The base of every source of text: documents of paragraphs, in an order that is always the same."""

import glob
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from plmjax.data.sources.phrases import Ranges
from plmjax.errors import UserError

BLANK_LINE = re.compile(r"\n[ \t\r]*\n\s*")


class Document(NamedTuple):
    """One document: an id that is unique in its source, and its paragraphs, none of them blank.

    `languages` has its language where the source names one; translations have both, and their paragraphs are the sides.
    `phrases` has the words of a tagger's phrases, see `phrases.parse`; `code` is its control code (CTRL).
    """

    id: str
    paragraphs: list[str]
    languages: tuple[str, ...] = ()
    phrases: Ranges = ()
    code: str = ""


DOCUMENTS = ("files", "blank_lines", "lines")


@dataclass(slots=True)
class ReadOptions:
    """Options for reading sources.

    Attributes:
        text_field: the field of JSON lines and Parquet columns that holds the text.
        documents: what is a document of .txt files: "files" (whose blank lines part paragraphs), "blank_lines" (each
            block between them) or "lines".
        tfds_data_dir: where TFDS keeps its data; None is TFDS's own choice.
        pair_columns: the two columns, from 1, of translations in one tab-separated file.
        phrases_field: the field of JSON lines that holds a tagger's phrases, [[start, end], ...] in characters of the
            text; empty: none are read.
        code_field: the field of JSON lines that holds a document's control code, such as its source; empty: none.
    """

    text_field: str = "text"
    documents: str = "files"
    tfds_data_dir: str | None = None
    pair_columns: str = "1,2"
    phrases_field: str = ""
    code_field: str = ""


class Source(ABC):
    """Documents, in an order that is always the same.

    Attributes:
        total, done: how much there is to read and how much `documents` has read, in a unit of the source's own.
        languages: those of its text, as its name says; two for translations.
        skipped: translations that `documents` has left out because a side was empty.
    """

    total: int = 0
    done: int = 0
    languages: tuple[str, ...] = ()
    skipped: int = 0

    @abstractmethod
    def documents(self) -> Iterator[Document]:
        """Reads the documents from the start. Raises UserError for what can't be read."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """The source's description for the manifest: two sources with the same description hold the same text."""


def matching_files(pattern: str) -> list[Path]:
    """The files that a glob matches, sorted; {a,b} alternatives are understood. What links lead to is there once.

    Raises:
        UserError: none matches.
    """
    found = {
        Path(path)
        for alternative in alternatives(pattern)
        for path in glob.glob(str(Path(alternative).expanduser()), recursive=True)
        if Path(path).is_file()
    }
    if not found:
        hint = f"; {pattern} is a folder, so add /**/*.txt" if Path(pattern).is_dir() else ""
        raise UserError(f"No files match {pattern!r}{hint}: give a path or a quoted glob that exists.")
    return sorted({path.resolve(): path for path in sorted(found, reverse=True)}.values())


def alternatives(pattern: str) -> list[str]:
    """The patterns that {a,b} groups expand to, innermost first: "x.{a,b}" gives "x.a" and "x.b"."""
    group = re.search(r"\{([^{}]*)\}", pattern)
    if not group:
        return [pattern]
    head, tail = pattern[: group.start()], pattern[group.end() :]
    return [full for choice in group[1].split(",") for full in alternatives(head + choice + tail)]


def split_paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, which blank lines separate, without blanks around them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    return [part for part in (part.strip() for part in BLANK_LINE.split(text)) if part]

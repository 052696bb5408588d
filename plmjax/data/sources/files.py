"""Sources that are files: .txt, .jsonl, .jsonl.gz and .parquet."""

import gzip
import json
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plmjax.data.hashing import hash_file
from plmjax.data.sources.base import Document, ReadOptions, Source, split_paragraphs
from plmjax.data.sources.phrases import Ranges, parse
from plmjax.data.surrogates import loads
from plmjax.errors import UserError

JSON_LINES = (".jsonl", ".jsonl.gz")

BYTE_ORDER_MARK = "\ufeff"


class Line(NamedTuple):
    """A line of a file: its number from 1 and its text."""

    number: int
    text: str


class RawDocument(NamedTuple):
    """A document as a file has it: the number of its line or row, its text, its phrases and its control code."""

    number: int
    text: str
    phrases: Ranges = ()
    code: str = ""


def read_lines(path: Path, report: Callable[[int], None] = lambda done: None) -> Iterator[Line]:
    """The lines of a text file, unzipped as its name says; `report` is told how many bytes of the file are read.

    A byte order mark at the head of the file is left off.

    Raises:
        UserError: bytes that are not UTF-8, or a gzip file that is not whole.
    """
    with path.open("rb") as raw:
        file: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        offset = 0
        try:
            for number, line in enumerate(file, start=1):
                text = _decoded(path, line, offset)
                yield Line(number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text)
                offset += len(line)
                report(raw.tell())
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path} is not a complete gzip file ({error}): download it again.") from error


def _decoded(path: Path, line: bytes, offset: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: byte {offset + error.start} is 0x{line[error.start]:02x}; convert the "
            "file to UTF-8, for example with iconv."
        ) from error


class FileSource(Source):
    """A file. Its description is the hash of its content, wherever it lies."""

    def __init__(self, path: Path, options: ReadOptions):
        self.path = path
        self.options = options
        self.total = path.stat().st_size

    def documents(self) -> Iterator[Document]:
        self.done = 0
        for number, text, phrases, code in self._texts():
            if paragraphs := split_paragraphs(text):
                yield Document(f"{self.path.name}:{number}", paragraphs, phrases=phrases, code=code)
        self.done = self.total

    @abstractmethod
    def _texts(self) -> Iterator[RawDocument]:
        """The documents."""

    def describe(self) -> dict[str, object]:
        return {"name": str(self.path), **hash_file(self.path)}

    def _lines(self) -> Iterator[Line]:
        return read_lines(self.path, self._report)

    def _report(self, done: int) -> None:
        self.done = done


class TextFile(FileSource):
    """A .txt file: one document of paragraphs, or a document for each block between blank lines, or for each line."""

    def _texts(self) -> Iterator[RawDocument]:
        if self.options.documents == "files":
            yield RawDocument(1, "".join(line.text for line in self._lines()))
            return
        if self.options.documents == "lines":
            yield from (RawDocument(line.number, line.text) for line in self._lines())
            return
        block: list[str] = []
        first = 1
        for line in self._lines():
            if line.text.strip():
                if not block:
                    first = line.number
                block.append(line.text)
            elif block:
                yield RawDocument(first, "".join(block))
                block = []
        yield RawDocument(first, "".join(block))


class JsonLinesFile(FileSource):
    """A .jsonl or .jsonl.gz file: one JSON object a line, a document in each."""

    def _texts(self) -> Iterator[RawDocument]:
        for line in self._lines():
            if line.text.strip():
                record = self._record(line)
                text = record[self.options.text_field]
                yield RawDocument(line.number, text, self._phrases(record, text, line), self._code(record, line))

    def _phrases(self, record: dict[str, Any], text: str, line: Line) -> Ranges:
        field = self.options.phrases_field
        if not field:
            return ()
        if field not in record:
            raise UserError(
                f"{self.path}:{line.number} has no field {field!r} but {', '.join(record)}: give every document its "
                "phrases, [] where it has none, or name the field with --phrases_field."
            )
        return parse(record[field], text, f"{self.path}:{line.number}")

    def _code(self, record: dict[str, Any], line: Line) -> str:
        field = self.options.code_field
        if not field:
            return ""
        code = record.get(field)
        if not isinstance(code, str) or not code.strip():
            raise UserError(
                f"{self.path}:{line.number} has {code!r:.40} in the field {field!r}, not a control code: give every "
                "document a string there, or name the field with --code_field."
            )
        return code.strip()

    def _record(self, line: Line) -> dict[str, Any]:
        field = self.options.text_field
        try:
            record = loads(line.text)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{self.path}:{line.number} is not JSON ({error.msg} at column {error.colno}): correct or remove the "
                "line."
            ) from error
        if not isinstance(record, dict) or field not in record:
            has = ", ".join(record) if isinstance(record, dict) else f"a {type(record).__name__}"
            raise UserError(
                f"{self.path}:{line.number} has no field {field!r} but {has}: name the field with --text_field."
            )
        if record[field] is None:  # no document, as in Parquet
            return record | {field: ""}
        if not isinstance(record[field], str):
            raise UserError(
                f"{self.path}:{line.number}: the field {field!r} is {record[field]!r:.40}, not text: "
                "name another with --text_field."
            )
        return record


class ParquetFile(FileSource):
    """A .parquet file: a document a row."""

    def _texts(self) -> Iterator[RawDocument]:
        import pyarrow  # here, as it takes half a second, and few read Parquet
        import pyarrow.parquet

        field = self.options.text_field
        try:
            file = pyarrow.parquet.ParquetFile(self.path)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise UserError(f"{self.path} is not a Parquet file ({error}): convert it or leave it out.") from error
        with file:
            if field not in file.schema_arrow.names:
                columns = ", ".join(file.schema_arrow.names)
                raise UserError(
                    f"{self.path} has no column {field!r} but {columns}: name the column with --text_field."
                )
            rows = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for text in batch.column(0).to_pylist():
                    rows += 1
                    if text is not None and not isinstance(text, str):
                        raise UserError(
                            f"{self.path}: the column {field!r} is {text!r:.40}, not text: "
                            "name another with --text_field."
                        )
                    yield RawDocument(rows, text or "")
                self.done = self.total * rows // max(file.metadata.num_rows, 1)


SUFFIXES: dict[str, type[FileSource]] = {
    ".txt": TextFile,
    ".jsonl": JsonLinesFile,
    ".jsonl.gz": JsonLinesFile,
    ".parquet": ParquetFile,
}


def open_file(path: Path, options: ReadOptions) -> FileSource:
    """The source for a file, by its suffix. Raises UserError for a suffix that is not in SUFFIXES."""
    for suffix, kind in SUFFIXES.items():
        if path.name.endswith(suffix):
            return kind(path, options)
    raise UserError(f"{path} has an unknown suffix: sources are {', '.join(SUFFIXES)} files.")

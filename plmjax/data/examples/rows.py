"""Labelled examples: rows of named fields, from local files or TFDS.

- a path or glob: .tsv, .csv, .jsonl, .jsonl.gz, .parquet; .json, SQuAD's or JSON lines; a .zip of .jsonl files
- `FILE,FILE`: texts whose lines belong together; train.en.gz,train.de.gz gives the fields en and de
- `tfds:NAME[/CONFIG][:SPLIT]`: a TensorFlow data set, read without TensorFlow; split train by default
"""

import csv
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plmjax.data.sources.base import matching_files
from plmjax.data.sources.files import JSON_LINES, read_lines
from plmjax.data.sources.tfds import read_tfds
from plmjax.data.sources.translations import split_names
from plmjax.data.surrogates import loads
from plmjax.errors import UserError

csv.field_size_limit(2**31 - 1)  # Python's own limit of 131,072 characters is less than a long document


@dataclass(frozen=True, slots=True)
class Row:
    """An example: its fields, and where it stands ("FILE:LINE"), which messages and predictions name."""

    fields: Mapping[str, Any]
    place: str

    def __getitem__(self, field: str) -> Any:
        """The value of a field; UserError where the row lacks it."""
        if field not in self.fields:
            known = ", ".join(map(str, self.fields))
            raise UserError(
                f"{self.place} has no field {field!r} but {known:.200}: name one of these, or, for a table without a "
                "header line, name its columns."
            )
        return self.fields[field]


def read_rows(source: str, columns: Sequence[str] = ()) -> list[Row]:
    """The examples of a source, in its order.

    Args:
        source: see the head of this file.
        columns: names of the columns of a .tsv or .csv file without a header line, empty: its first line has them; or
            of the lines of each of several files, empty: the files' suffixes.

    Raises:
        UserError: there is no such source, it holds no example, or one of its lines can't be read.
    """
    if not source:
        raise UserError("No file of examples is named: give a path, a quoted glob or tfds:NAME:SPLIT.")
    if source.startswith("tfds:"):
        rows = [Row(fields, f"{source}:{number}") for number, fields in enumerate(read_tfds(source), start=1)]
    elif len(files := split_names(source)) > 1 and not Path(source).is_file():
        rows = list(_parallel([one_file(file) for file in files], columns))
    else:
        rows = [row for path in matching_files(source) for row in _read_file(path, columns)]
    if not rows:
        raise UserError(f"{source} holds no example: leave it out, or put examples into it.")
    return rows


def _read_file(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    if path.suffix in (".tsv", ".csv"):
        return _table(path, columns)
    if path.name.endswith(JSON_LINES):
        return _json_lines(str(path), ((line.number, line.text) for line in read_lines(path)))
    if path.suffix == ".json":
        return _json(path)
    if path.suffix == ".zip":
        return _zipped(path)
    if path.suffix == ".parquet":
        return _parquet(path)
    raise UserError(
        f"{path} has an unknown suffix: examples are in .tsv, .csv, .jsonl, .jsonl.gz, .json, .parquet or .zip files."
    )


def one_file(pattern: str) -> Path:
    """The one file that a path or glob matches; UserError where there are several."""
    found = matching_files(pattern)
    if len(found) > 1:
        raise UserError(f"{pattern!r} matches {len(found)} files: name each of the files whose lines belong together.")
    return found[0]


def _parallel(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[Row]:
    """A row for each line number; UserError for files with different numbers of lines, or with one name twice."""
    names = list(columns) or [path.name.removesuffix(".gz").rpartition(".")[2] for path in paths]
    if len(names) != len(paths) or max(Counter(names).values()) > 1:
        raise UserError(
            f"{len(paths)} files whose lines belong together are named {', '.join(names)}: give each a different name "
            "with --task.columns."
        )
    texts = [[line.text.strip() for line in read_lines(path)] for path in paths]
    for path, lines in zip(paths, texts, strict=True):
        if len(lines) != len(texts[0]):
            raise UserError(
                f"{paths[0]} has {len(texts[0])} lines and {path} has {len(lines)}: give files with equally many lines."
            )
    for number, cells in enumerate(zip(*texts, strict=True), start=1):
        yield Row(dict(zip(names, cells, strict=True)), f"{paths[0]}:{number}")


def _table(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table. Comma-separated fields may be quoted and then hold line breaks; tab-separated ones not."""
    lines = (line.text for line in read_lines(path))
    if path.suffix == ".tsv":
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, strict=True)
    try:
        names = list(columns) or next(reader, [])
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise UserError(
                    f"{path}:{reader.line_num} has {len(cells)} columns, not the {len(names)} of "
                    f"{', '.join(names):.200}: correct the line, or name the columns of a file that has no header line."
                )
            yield Row(dict(zip(names, cells, strict=True)), f"{path}:{reader.line_num}")
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num} can't be read as a table ({error}): correct the line.") from error


def _json_lines(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
    for number, text in lines:
        if not text.strip():
            continue
        try:
            record = loads(text)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{name}:{number} is not JSON ({error.msg} at column {error.colno}): correct or remove the line."
            ) from error
        if not isinstance(record, dict):
            raise UserError(
                f"{name}:{number} is a JSON {type(record).__name__}, not an object: correct or remove the line."
            )
        yield Row(record, f"{name}:{number}")


def _zipped(path: Path) -> Iterator[Row]:
    """The .jsonl files of an archive, sorted by name; what macOS puts beside them is left alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                name for name in archive.namelist() if name.endswith(".jsonl") and not Path(name).name.startswith(".")
            ]
            for name in sorted(names):
                place = f"{path}/{name}"
                with archive.open(name) as raw:
                    yield from _json_lines(place, enumerate((_decoded(place, line) for line in raw), start=1))
    except (zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a complete zip file ({error}): download it again.") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow  # here, as it takes half a second, and few read Parquet
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield Row(row, f"{path}: row {number}")
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a Parquet file ({error}): convert it or leave it out.") from error


def _decoded(place: str, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place} is not UTF-8 ({error.reason}): convert it to UTF-8, for example with iconv."
        ) from error


def _json(path: Path) -> Iterator[Row]:
    """The rows of a file that is one JSON value in SQuAD's form, or has an object on each line."""
    lines = [(line.number, line.text) for line in read_lines(path)]
    text = "".join(line for _, line in lines)
    try:
        content = loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise UserError(
                f"{path}:{error.lineno} is not JSON ({error.msg}): download it again or correct it."
            ) from error
        return _json_lines(str(path), lines)
    return _squad(path, content)


def _squad(path: Path, content: Any) -> Iterator[Row]:
    """Rows of `id`, `title`, `context`, `question`, `answers` and `answer_starts`.

    The value has SQuAD's form, articles of paragraphs of questions, or a flat list of questions, alone or as its
    "data".
    """
    flat = content if isinstance(content, list) else None
    try:
        for question in flat if flat is not None else _nested(content):
            answers = question.get("answers", {"text": [], "answer_start": []})
            if isinstance(answers, list):
                answers = {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}
            fields = {name: question[name] for name in ("id", "context", "question")}
            found = {"answers": list(answers["text"]), "answer_starts": list(answers["answer_start"])}
            yield Row({"title": question.get("title", ""), **fields, **found}, f"{path}: question {question['id']}")
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not of SQuAD's form ({error!r}): write the examples as .jsonl or .tsv.") from error


def _nested(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for article in content["data"]:
        if "paragraphs" not in article and "question" in article:
            yield article
            continue
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield question | {"title": article.get("title", ""), "context": paragraph["context"]}

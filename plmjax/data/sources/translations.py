"""Sources of translations: two files with a sentence a line, or one file of tab-separated columns; plain or .gz."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from plmjax.data.sources.base import Document, ReadOptions, Source, alternatives, matching_files
from plmjax.data.sources.files import FileSource, RawDocument
from plmjax.errors import UserError


class LinesFile(FileSource):
    """A file as its lines, whatever its suffix."""

    def _texts(self) -> Iterator[RawDocument]:
        for line in self._lines():
            yield RawDocument(line.number, line.text)


class PairedFiles(Source):
    """Two files whose lines of one number translate each other."""

    def __init__(self, paths: tuple[Path, Path], options: ReadOptions):
        self._files = [LinesFile(path, options) for path in paths]
        self.total = sum(file.total for file in self._files)

    def documents(self) -> Iterator[Document]:
        self.skipped = 0
        counts = [0, 0]
        first, second = self._files
        for sides in zip_longest(first._texts(), second._texts()):
            for index, side in enumerate(sides):
                counts[index] += side is not None
            if None in sides:
                continue  # the longer one is counted to its end
            left, right = sides
            yield from self._pair(f"{first.path.name}:{left.number}", left.text, right.text)
            self.done = first.done + second.done
        if counts[0] != counts[1]:
            raise UserError(
                f"{first.path} has {counts[0]} lines and {second.path} has {counts[1]}: each line "
                "needs its translation."
            )
        self.done = self.total

    def describe(self) -> dict[str, object]:
        files = [file.describe() for file in self._files]
        return {"name": ",".join(str(file["name"]) for file in files), "files": files}

    def _pair(self, name: str, left: str, right: str) -> Iterator[Document]:
        if pair := as_pair(name, left, right):
            yield pair
        else:
            self.skipped += 1


class PairedColumns(LinesFile):
    """One file of tab-separated columns, two of which translate each other."""

    def __init__(self, path: Path, options: ReadOptions):
        super().__init__(path, options)
        self._columns = parse_columns(options.pair_columns)

    def documents(self) -> Iterator[Document]:
        self.done = self.skipped = 0
        for number, line, *_ in self._texts():
            fields = line.split("\t")
            if line.strip() and len(fields) < max(self._columns):
                raise UserError(
                    f"{self.path}:{number} has {len(fields)} tab-separated columns and no column "
                    f"{max(self._columns)}: correct the line or choose others with --pair_columns."
                )
            left, right = (fields[column - 1] if line.strip() else "" for column in self._columns)
            if pair := as_pair(f"{self.path.name}:{number}", left, right):
                yield pair
            else:
                self.skipped += 1
        self.done = self.total


def as_pair(name: str, left: str, right: str) -> Document | None:
    """A document whose two paragraphs are the sides, None where one of them is empty."""
    sides = [" ".join(side.replace("\ufeff", "").split()) for side in (left, right)]
    return Document(name, sides) if all(sides) else None


def parse_columns(columns: str) -> tuple[int, int]:
    """The two columns, from 1, of "1,2". Raises UserError for anything else."""
    parts = columns.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise UserError(f"pair_columns is {columns!r}: give two numbers from 1 with a comma between, as 1,2.")
    return int(parts[0]), int(parts[1])


def open_translations(pattern: str, options: ReadOptions) -> Source:
    """The source of `FILE`, `FILE,FILE` or `FILE.{en,hi}`. Raises UserError for another number of files."""
    paths = [path for part in split_names(pattern) for one in alternatives(part) for path in matching_files(one)]
    if len(paths) == 1:
        return PairedColumns(paths[0], options)
    if len(paths) == 2:
        return PairedFiles((paths[0], paths[1]), options)
    raise UserError(
        f"{pattern!r} matches {len(paths)} files: translations are one file of tab-separated columns, or two files "
        "whose lines translate each other."
    )


def split_names(text: str) -> list[str]:
    """The parts of a text between commas that are outside {a,b} groups."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]

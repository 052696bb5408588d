"""The built-in corpus: the prose of documentation strings of installed Python packages and of the standard library.

It lets a first run start without a download. Files are read, nothing is imported: a regular expression finds the
strings that follow a module's start or a line that ends in a colon, which takes seconds where parsing takes a minute.
What is not prose goes: examples, code, tables, lists of parameters, headings and text that came before. A module is a
document. The text depends on the versions of the packages; its hash is recorded.
"""

import ast
import hashlib
import importlib.util
import inspect
import json
import re
import sysconfig
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from plmjax.data.sources.base import Document, Source
from plmjax.errors import UserError

# Packages that installing plmjax brings along. The standard library comes first.
PACKAGES = (
    "absl", "etils", "flax", "grain", "jax", "matplotlib", "ml_collections", "numpy", "optax", "orbax", "scipy", "tqdm",
)  # fmt: skip
SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "_test", "site-packages", "dist-packages", "idlelib", "lib2to3", "turtledemo", "__pycache__"}
)

# A documentation string: at the start of the file or after a colon at a line's end, comments between them or not.
DOCSTRING = re.compile(r"""(?:\A|:[ \t]*(?:\#[^\n]*)?\n)\s*(?:\#[^\n]*\n\s*)*([rR]?)(\"{3}|'{3})(.*?)\2""", re.DOTALL)

UNDERLINE = re.compile(r"([-=~^*#\"'`+])\1{2,}\s*")
PROSE_SECTIONS = frozenset(
    {"notes", "note", "warnings", "description", "overview", "introduction", "summary", "background"}
)
ENTRY_SECTION = re.compile(
    r"(args?|arguments|parameters|params|returns?|raises|yields|attributes|examples?|usage|references?|see also"
    r"|keyword args|keyword arguments|kwargs|inputs?|outputs?|methods|fields|options|synopsis|todo"
    r"|notes?|warnings?)\s*:{1,2}",
    re.IGNORECASE,
)
NOT_PROSE = re.compile(
    r"^(>>>|\.\.|[-*+•#|:@$%&=]|\(?[0-9a-zA-Z]{1,2}[.)]\s|\[\d+\])|:math:|::\s*\S|\bTODO\b"
    r"|Copyright|License|^\w+\s:\s|--\s",
    re.MULTILINE,
)
ROLE = re.compile(r":[\w:+-]+:`[~!]?([^`<]*?)\s*(?:<[^`>]*>)?`")
LINK = re.compile(r"`([^`<]*?)\s*<[^`>]*>`_{1,2}")
QUOTED = re.compile(r"(`{1,2})([^`]*)\1_?")
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=\S)([^*\n]+?)(?<=\S)\1(?![\w*])")
SYMBOL = re.compile(r"[=<>{}\[\]_/\\|+#@$^~`*%&\u0080-\uffff]")
SENTENCE = re.compile(r"[A-Z\"'(].*[.!?:;)\"']", re.DOTALL)

MIN_WORDS = 6
MAX_SYMBOLS = 0.03  # the share of characters of a paragraph that prose does not use
MIN_DOCUMENT = 200  # characters; shorter modules are left out


class BuiltinSource(Source):
    """The built-in corpus as a source."""

    def documents(self) -> Iterator[Document]:
        documents = self._documents
        self.total = len(documents)
        for self.done, document in enumerate(documents):
            yield document
        self.done = self.total

    def describe(self) -> dict[str, object]:
        content = json.dumps(self._documents, ensure_ascii=False)
        return {
            "name": "builtin",
            "documents": len(self._documents),
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
        }

    @cached_property
    def _documents(self) -> list[Document]:
        documents = corpus()
        if not documents:
            raise UserError("The built-in corpus is empty: no Python source files are installed; give --input.")
        return documents


def corpus() -> list[Document]:
    """The documents, in the order of PACKAGES and of the files' paths. Takes a few seconds."""
    seen: set[str] = set()
    documents = []
    for name, path in source_files():
        paragraphs = []
        for paragraph in _file_prose(path):
            if paragraph not in seen:
                seen.add(paragraph)
                paragraphs.append(paragraph)
        if sum(map(len, paragraphs)) >= MIN_DOCUMENT:
            documents.append(Document(name, paragraphs))
    return documents


def source_files() -> Iterator[tuple[str, Path]]:
    """Name ("numpy/fft/__init__.py") and path of each source file of the corpus."""
    roots = [("python", Path(sysconfig.get_paths()["stdlib"]))]
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        roots += [(package, Path(folder)) for folder in (spec.submodule_search_locations or [] if spec else [])]
    for package, root in roots:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            if (
                not SKIPPED_FOLDERS.intersection(parts)
                and not parts[-1].startswith(("test_", "conftest"))
                and not parts[-1].endswith("_test.py")
            ):
                yield "/".join((package, *parts)), path


def _file_prose(path: Path) -> Iterator[str]:
    try:
        code = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return
    for raw, quote, text in DOCSTRING.findall(code):
        if "\\" in text and not raw:
            try:
                text = ast.literal_eval(quote + text + quote)
            except (SyntaxError, ValueError):
                continue
        yield from prose(text)


def prose(docstring: str) -> Iterator[str]:
    """The paragraphs of running text of a documentation string, each on one line, without markup."""
    keep = True
    for block in re.split(r"\n[ \t]*\n", inspect.cleandoc(docstring)):
        lines = block.split("\n")
        if len(lines) > 1 and UNDERLINE.fullmatch(lines[1]):
            keep = lines[0].strip().lower().rstrip(":") in PROSE_SECTIONS
            lines = lines[2:]
        if keep and (paragraph := _paragraph(lines)):
            yield paragraph


def _paragraph(lines: list[str]) -> str | None:
    """The lines of one block as a paragraph; None where they are no prose."""
    for number, line in enumerate(lines):
        if ENTRY_SECTION.fullmatch(line.strip()):
            lines = lines[:number]
            break
    if not lines or any(line[:1].isspace() for line in lines):
        return None
    block = "\n".join(lines)
    if NOT_PROSE.search(block):
        return None
    text = LINK.sub(r"\1", ROLE.sub(r"\1", block))
    text = EMPHASIS.sub(r"\2", QUOTED.sub(r"\2", text))
    text = " ".join(text.split())
    text = re.sub(r":{2,}$", ":", text)
    if len(text.split()) < MIN_WORDS or not SENTENCE.fullmatch(text):
        return None
    return text if len(SYMBOL.findall(text)) <= MAX_SYMBOLS * len(text) else None

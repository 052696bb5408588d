"""Words with tags: CoNLL's files, a word a line and a blank line between sentences; and the two schemes of tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plmjax.data.examples.rows import Row
from plmjax.data.sources.base import matching_files
from plmjax.data.sources.files import read_lines
from plmjax.errors import UserError

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between documents, which is no sentence


def read_conll(source: str, word_column: int = 0, tag_column: int = -1) -> list[Row]:
    """A row of `tokens` and `tags` for each sentence, named by the line of its first word.

    Columns are separated by blanks or tabs; lines that start with "# " are comments.

    Raises:
        UserError: there is no such file, it holds no sentence, or a line has too few columns.
    """
    rows = [row for path in matching_files(source) for row in _sentences(path, word_column, tag_column)]
    if not rows:
        raise UserError(f"{source} holds no sentence: leave it out, or put sentences into it.")
    return rows


def _sentences(path: Path, word_column: int, tag_column: int) -> list[Row]:
    rows: list[Row] = []
    words: list[str] = []
    tags: list[str] = []
    first = 0

    def end() -> None:
        if words and words != [DOCUMENT]:
            rows.append(Row({"tokens": list(words), "tags": list(tags)}, f"{path}:{first}"))
        words.clear()
        tags.clear()

    for line in read_lines(path):
        columns = line.text.split()
        if not columns:
            end()
            continue
        if line.text.startswith("# "):
            continue
        needed = max(
            word_column + 1 if word_column >= 0 else -word_column, tag_column + 1 if tag_column >= 0 else -tag_column, 2
        )
        if len(columns) < needed:
            raise UserError(
                f"{path}:{line.number} has {len(columns)} columns, and the word is to be in column "
                f"{word_column} and the tag in column {tag_column}: correct the line or name other columns."
            )
        if not words:
            first = line.number
        words.append(columns[word_column])
        tags.append(columns[tag_column])
    end()
    return rows


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Tags of the scheme IOB1, where B- only parts an entity from one of its kind before it, as those of IOB2, where
    every entity begins with B-; tags of IOB2 stay as they are."""
    out: list[str] = []
    for number, tag in enumerate(tags):
        before = tags[number - 1] if number else "O"
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        out.append(f"B-{tag[2:]}" if begins else tag)
    return out


def wrong_tag(tags: Sequence[str], scheme: str) -> int | None:
    """The index of the first tag that the scheme ("IOB1" or "IOB2") does not allow; None where there is none."""
    for number, tag in enumerate(tags):
        before = tags[number - 1] if number else "O"
        is_tag = tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)
        separating = tag.startswith("B-") and before[2:] != tag[2:]  # a B- where nothing needs to be separated
        unbegun = tag.startswith("I-") and before[2:] != tag[2:]
        if not is_tag or (scheme == "IOB1" and separating) or (scheme == "IOB2" and unbegun):
            return number
    return None

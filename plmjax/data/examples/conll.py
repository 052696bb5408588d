"""Words with tags: CoNLL's files, a word a line and a blank line between sentences; and the two schemes of tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from plmjax.data.examples.rows import Row
from plmjax.data.sources.base import matching_files
from plmjax.data.sources.files import read_lines
from plmjax.errors import UserError

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between documents, which is no sentence
COMMENT = re.compile(r"#\s*([\w.]+\s*=|newdoc\b|newpar\b)")  # CoNLL-U's


def read_conll(source: str, word_column: int = 0, tag_column: int = -1) -> list[Row]:
    """A row of `tokens` and `tags` for each sentence, named by the line of its first word.

    Columns are separated by tabs in a line that has one, so that a word may hold a blank, and otherwise by blanks. A
    line that begins with # and a blank is a comment where it has not as many columns as the file's other lines, or is
    a comment of CoNLL-U's before the first word of a sentence; else # is a word.

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

    lines = list(read_lines(path))
    usual = _usual_columns([line.text for line in lines])
    for line in lines:
        if not line.text.strip():
            end()
            continue
        columns = _columns(line.text)
        if (line.text.startswith("# ") and len(columns) != usual) or (not words and COMMENT.match(line.text)):
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


def _columns(line: str) -> list[str]:
    """The columns of a line that is not blank; a no-break space parts none."""
    line = line.strip("\r\n ").rstrip("\t ")
    return [column.strip(" ") for column in line.split("\t")] if "\t" in line else re.split(" +", line)


def _usual_columns(lines: Sequence[str]) -> int:
    """How many columns most lines have that begin with no #; of all lines where each does."""
    counts = Counter(len(_columns(line)) for line in lines if line.strip() and not line.startswith("#"))
    counts = counts or Counter(len(_columns(line)) for line in lines if line.strip())
    return counts.most_common(1)[0][0] if counts else 0


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
    """The index of the first tag that the scheme (IOB1, IOB2, IOB) does not allow; None where there is none.

    IOB allows what is right in either of the others: conlleval and seqeval, too, let an I- begin an entity.
    """
    for number, tag in enumerate(tags):
        before = tags[number - 1] if number else "O"
        is_tag = tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)
        separating = tag.startswith("B-") and before[2:] != tag[2:]  # a B- where nothing needs to be separated
        unbegun = tag.startswith("I-") and before[2:] != tag[2:]
        if not is_tag or (scheme == "IOB1" and separating) or (scheme == "IOB2" and unbegun):
            return number
    return None

"""Files of words with tags as people have them."""

from pathlib import Path

import pytest

from plmjax.data.examples.conll import read_conll, to_iob2, wrong_tag
from plmjax.errors import UserError

CASES = {
    "a word #": ("I O\nlove O\n# O\nit O\n\n# O\n1 O\nfan O\n", [["I", "love", "#", "it"], ["#", "1", "fan"]]),
    "hashtags": ("#fun O\n#1 O\n\n#b O\n", [["#fun", "#1"], ["#b"]]),
    "a comment of old": ("# id 7 of news\nthe O\n# by hand it is\ncat O\n", [["the", "cat"]]),
    "CoNLL-U": ("# text = the cat\n# sent_id = 4\n1\tthe\tX\n2\tcat\tX\n", [["1", "2"]]),
    "CoNLL-U with four columns": ("# sent_id = 4\nthe DT B-NP O\n# SYM B-NP O\n", [["the", "#"]]),
    "a new document": ("# newdoc\nthe O\n", [["the"]]),
    "a blank in a word": (
        "10\u00a0000\tB-NUM\nmen\tO\nNew York\tB-LOC\n",
        [["10\u00a0000", "men", "New York"]],
    ),
    "blanks and a no-break space": ("10\u00a0000 B-NUM\nmen  O\n", [["10\u00a0000", "men"]]),
    "Windows' line ends": ("the\tO\r\ncat\tO\r\n\r\na\tO\r\n", [["the", "cat"], ["a"]]),
    "a tab at the end": ("the O\t\ncat\tO\t\n", [["the", "cat"]]),
    "a line of blanks": ("the O\n \t \na O\n", [["the"], ["a"]]),
    "a line of a no-break space": ("the O\n\u00a0\na O\n", [["the"], ["a"]]),
    "a byte order mark": ("\ufeffthe O\n", [["the"]]),
}


@pytest.mark.parametrize("name", CASES)
def test_words(name: str, tmp_path: Path) -> None:
    content, expected = CASES[name]
    file = tmp_path / "a.txt"
    file.write_text(content, encoding="utf-8", newline="")
    assert [row["tokens"] for row in read_conll(str(file))] == expected


def test_an_empty_column_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("the\tO\nO\n")
    with pytest.raises(UserError, match=r"a.txt:2 has 1 columns, and the word is to be in column 0"):
        read_conll(str(file))


def test_tags_that_follow_neither_scheme_strictly() -> None:
    tags = ["O", "I-PER", "I-PER", "B-PER", "I-LOC", "O", "B-ORG"]
    assert wrong_tag(tags, "IOB2") == 1 and wrong_tag(tags, "IOB1") == 6
    assert wrong_tag(tags, "IOB") is None
    assert to_iob2(tags) == ["O", "B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-ORG"]
    assert wrong_tag(["O", "S-PER"], "IOB") == 1

"""SQuAD's exact match and F1, with examples worked out by the rules of its official script."""

import pytest

from plmjax.tasks.exact_match import exact_match, f1, normalize


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The  Cat!", "cat"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),  # an article is a whole word
        ("U.S.A.", "usa"),
        ("the-cat", "thecat"),  # punctuation goes before articles
        ("$1,000.50", "100050"),
        ("«the» cat", "« » cat"),  # other than ASCII punctuation stays
        (" \t\n", ""),
        ("The", ""),
    ],
)
def test_normalization(answer, normal):
    assert normalize(answer) == normal


def test_any_of_the_answers_will_do():
    assert exact_match("the Broncos.", ["Denver Broncos", "Broncos"]) == 1
    assert exact_match("Denver", ["Denver Broncos", "Broncos"]) == 0
    assert exact_match("broncos denver", ["Denver Broncos"]) == 0


def test_f1_is_the_best_over_the_answers():
    assert f1("the Denver team", ["Denver Broncos", "a b c"]) == pytest.approx(0.5)  # 1 of 2 words, both ways
    assert f1("Denver Denver", ["Denver"]) == pytest.approx(2 / 3)  # a word counts as often as it is there
    assert f1("x y z", ["x", "x y"]) == pytest.approx(0.8)
    assert f1("none", ["of them"]) == 0


def test_no_answer_is_matched_by_silence_alone():
    assert (exact_match("", []), f1("", [])) == (1, 1)
    assert (exact_match("Broncos", []), f1("Broncos", [])) == (0, 0)
    assert (exact_match("", ["Broncos"]), f1("", ["Broncos"])) == (0, 0)
    assert (exact_match("the", []), f1("the", [])) == (1, 1)

"""Prompts with examples in context: how they are written, drawn and made to fit."""

import pytest

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.prompts import Fit, Prompter, check_limit, check_pool, check_settings, labels

POOL = [(Row({"q": f"q{i}"}, f"train:{i}"), f"a{i}") for i in range(30)]
QUESTION = Row({"q": "what {is} it?", "video-id": 7}, "test:1")


def test_a_prompt_is_instruction_examples_and_question():
    prompter = Prompter("Q: {q}\nA:", "Answer.", "\n\n")
    assert prompter.prompt(QUESTION, []) == "Answer.\n\nQ: what {is} it?\nA:"
    assert prompter.prompt(QUESTION, POOL[:2]) == "Answer.\n\nQ: q0\nA: a0\n\nQ: q1\nA: a1\n\nQ: what {is} it?\nA:"
    assert Prompter("{{{video-id}}}").prompt(QUESTION, []) == "{7}"
    with pytest.raises(UserError, match=r"test:1 has no field 'x' but q, video-id"):
        Prompter("{x}").question(QUESTION)


def test_examples_are_drawn_anew_for_each_question_and_always_the_same():
    prompter = Prompter("{q}", seed=3)
    drawn = [prompter.drawn(POOL, QUESTION, number, 8) for number in range(20)]
    assert drawn == [prompter.drawn(POOL, QUESTION, number, 8) for number in range(20)]
    assert len({tuple(answer for _, answer in examples) for examples in drawn}) == 20
    assert all(len({answer for _, answer in examples}) == 8 for examples in drawn)
    assert prompter.drawn(POOL, QUESTION, 5, 3) == drawn[5][:3]  # with more examples the first ones stay
    assert prompter.drawn(POOL, QUESTION, 5, 0) == []
    assert Prompter("{q}", seed=4).drawn(POOL, QUESTION, 5, 8) != drawn[5]
    # Over many questions each of the 30 is drawn in 8 of 30: 2,000 draws, three standard errors.
    counts = [0] * 30
    for number in range(2_000):
        for _, answer in prompter.drawn(POOL, QUESTION, number, 8):
            counts[int(answer[1:])] += 1
    p, n = 8 / 30, 2_000
    assert max(abs(count / n - p) for count in counts) < 3 * (p * (1 - p) / n) ** 0.5


def test_a_question_is_no_example_of_itself():
    prompter = Prompter("{q}")
    for number, (row, answer) in enumerate(POOL[:4]):
        assert answer not in [other for _, other in prompter.drawn(POOL[:4], row, number, 3)]


def test_examples_that_do_not_fit_are_left_out_from_the_first_on():
    prompter = Prompter("{q}", separator=" ")
    for room, kept in ((0, 0), (3, 0), (5, 1), (6, 1), (7, 2), (99, 4)):
        prompt, dropped = prompter.fitting(QUESTION, POOL[:4], lambda text, room=room: len(text.split()) <= room)
        assert dropped == 4 - kept
        assert prompt == prompter.prompt(QUESTION, POOL[:4][dropped:])
    fit = Fit()
    fit.add(3, True)
    fit.add(0, False)
    dropped, cut = fit.notes("8 examples", 2, 512)
    assert dropped == "8 examples: 1.50 of them did not fit into 512 tokens, on average."
    assert cut == "8 examples: 1 questions alone are longer than 512 tokens; their starts are cut off."
    assert Fit().notes("8 examples", 2, 512) == []


def test_labels_are_what_ends_with_a_colon():
    assert labels("{context}\nQuestion: {question}\nAnswer:") == ["Question:", "Answer:"]
    assert labels("{a} is {b}") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("{q", (0,), "", 0), "config.task.prompt is '{q'"),
        (("no field", (0,), "", 0), "it needs fields"),
        (("{}", (0,), "", 0), "it needs fields"),
        (("{q:>3}", (0,), "", 0), "it needs fields"),
        (("{q}", (), "", 0), r"config.task.shots is \(\)"),
        (("{q}", (-1,), "x", 0), r"config.task.shots is \(-1,\)"),
        (("{q}", (1, 1), "x", 0), r"each once"),
        (("{q}", (0, 4), "", 0), "config.task.train names no examples"),
        (("{q}", (0,), "", -1), "config.task.limit is -1"),
    ],
)
def test_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(UserError, match=message):
        check_settings(*settings)
    check_settings("{q}", (0, 4), "train.tsv", 0)
    check_limit(0)


def test_there_must_be_enough_examples():
    check_pool(POOL, (0, 29), "train.tsv")
    with pytest.raises(UserError, match="asks for 30 examples in context, but train.tsv has 30"):
        check_pool(POOL, (0, 30), "train.tsv")

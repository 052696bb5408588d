"""What a run says at its end."""

from experiments._summary import describe_parts


def test_parts_say_where_they_came_from_and_what_chance_is():
    first = {"split": "validation", "step": 0, "masked_lm": 8.25, "masked_lm_accuracy": 0.001}
    first |= {"sentence_order": 0.7, "sentence_order_accuracy": 0.48, "sentence_order_positives": 0.375}
    last = first | {"step": 500, "masked_lm": 5.5, "masked_lm_accuracy": 0.125, "sentence_order_accuracy": 0.75}
    assert describe_parts(first, last) == [
        "masked_lm: loss 8.2500 -> 5.5000; accuracy 0.1% -> 12.5%",
        "sentence_order: loss 0.7000 -> 0.7000; accuracy 48.0% -> 75.0% (the commoner answer always: 62.5%)",
    ]
    assert describe_parts({}, {"loss": 2.0, "causal_lm": 2.0, "causal_lm_accuracy": 0.5}) == [
        "causal_lm: loss 2.0000; accuracy 50.0%"
    ]

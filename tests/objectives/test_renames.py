"""Objectives that were written under earlier names are read."""

import pytest

from plmjax.checkpoints.serialize import from_json
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.masking_strategies import (
    AnyTokenMasking,
    MaskingStrategies,
    NGramMasking,
    PhraseMasking,
    SpanMasking,
)
from plmjax.objectives.sentence_pair import NextSentencePrediction, SentenceOrderPrediction
from plmjax.objectives.spanbert import SpanBertMasking
from plmjax.renames import new_field

CHOICES = "plmjax.objectives.choices"
OLD_CHOICES = {
    "type": f"{CHOICES}:Choices",
    "any_tokens": {"type": f"{CHOICES}:AnyTokens", "alpha": 0.5},
    "ngrams": {"type": f"{CHOICES}:NGrams", "longest": 2, "favour_shorter": False},
    "spans": {"type": f"{CHOICES}:Spans", "stop": 0.3, "longest": 5},
    "phrases": {"type": f"{CHOICES}:Phrases", "share": 0.4},
}
STRATEGIES = MaskingStrategies(
    any_tokens=AnyTokenMasking(0.5),
    ngrams=NGramMasking(2, False),
    spans=SpanMasking(0.3, 5),
    phrases=PhraseMasking(0.4),
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"type": "plmjax.objectives.masked_lm:Masking", "choice": "ngrams", "choices": OLD_CHOICES},
            Masking(strategy="ngrams", strategies=STRATEGIES),
        ),
        (
            {"type": "plmjax.objectives.spanbert:SpanMasking", "choice": "spans", "max_offset": 7},
            SpanBertMasking(max_offset=7),
        ),
        ({"type": "plmjax.objectives.sentence_pair:NextSentence"}, NextSentencePrediction()),
        ({"type": "plmjax.objectives.sentence_pair:SentenceOrder"}, SentenceOrderPrediction()),
    ],
)
def test_old_names_are_read(old: dict, new: object) -> None:
    assert from_json(old) == new


def test_an_old_field_has_its_new_name() -> None:
    assert new_field("Masking", "choice") == new_field("GeneratorMasking", "choice") == "strategy"
    assert new_field("SpanBertMasking", "choices") == "strategies"

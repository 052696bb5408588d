"""Objectives: one file each. A new one is a line in the registry."""

from plmjax.objectives.base import EncoderObjective, Objective, Part
from plmjax.objectives.bert import BertPretraining
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.objectives.span_corruption import SpanCorruption

OBJECTIVES: dict[str, type] = {
    "bert": BertPretraining,
    "causal_lm": CausalLM,
    "masked_lm": MaskedLM,
    "span_corruption": SpanCorruption,
}

__all__ = [
    "OBJECTIVES",
    "BertPretraining",
    "CausalLM",
    "EncoderObjective",
    "MaskedLM",
    "Objective",
    "Part",
    "SpanCorruption",
]

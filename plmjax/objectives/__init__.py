"""Objectives: one file each. A new one is a line in the registry."""

from plmjax.objectives.albert import AlbertPretraining
from plmjax.objectives.base import EncoderObjective, LossTerm, Objective
from plmjax.objectives.bert import BertPretraining
from plmjax.objectives.bidirectional_lm import BidirectionalLM
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.conditional_lm import ConditionalLM
from plmjax.objectives.cross_lingual import CrossLingualCausalLM, CrossLingualLM
from plmjax.objectives.denoising import Denoising, MultilingualDenoising
from plmjax.objectives.distillation import Distillation
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.objectives.mass import Mass
from plmjax.objectives.mixture_of_denoisers import MixtureOfDenoisers
from plmjax.objectives.multitask_masked_lm import MultitaskMaskedLM
from plmjax.objectives.permutation_lm import PermutationLM, RecurrentPermutationLM
from plmjax.objectives.prefix_lm import PrefixLM
from plmjax.objectives.recurrent_lm import RecurrentLM
from plmjax.objectives.replaced_tokens import AllTokensMLM, ReplacedTokens, ReplaceMLM
from plmjax.objectives.span_corruption import SpanCorruption
from plmjax.objectives.spanbert import SpanBertPretraining
from plmjax.objectives.t5_styles import BertStyle, Deshuffling, DropTokens, MassStyle
from plmjax.objectives.translation import Translation

OBJECTIVES: dict[str, type] = {
    "albert": AlbertPretraining,
    "all_tokens_mlm": AllTokensMLM,
    "bert": BertPretraining,
    "bert_style": BertStyle,
    "bidirectional_lm": BidirectionalLM,
    "causal_lm": CausalLM,
    "conditional_lm": ConditionalLM,
    "cross_lingual_causal_lm": CrossLingualCausalLM,
    "cross_lingual_lm": CrossLingualLM,
    "denoising": Denoising,
    "deshuffling": Deshuffling,
    "distillation": Distillation,
    "drop_tokens": DropTokens,
    "masked_lm": MaskedLM,
    "mass": Mass,
    "mass_style": MassStyle,
    "mixture_of_denoisers": MixtureOfDenoisers,
    "multilingual_denoising": MultilingualDenoising,
    "multitask_masked_lm": MultitaskMaskedLM,
    "permutation_lm": PermutationLM,
    "prefix_lm": PrefixLM,
    "recurrent_lm": RecurrentLM,
    "recurrent_permutation_lm": RecurrentPermutationLM,
    "replace_mlm": ReplaceMLM,
    "replaced_tokens": ReplacedTokens,
    "span_corruption": SpanCorruption,
    "spanbert": SpanBertPretraining,
    "translation": Translation,
}

__all__ = [
    "OBJECTIVES",
    "AlbertPretraining",
    "AllTokensMLM",
    "BertPretraining",
    "BertStyle",
    "BidirectionalLM",
    "CausalLM",
    "ConditionalLM",
    "CrossLingualCausalLM",
    "CrossLingualLM",
    "Denoising",
    "Deshuffling",
    "Distillation",
    "DropTokens",
    "EncoderObjective",
    "LossTerm",
    "MaskedLM",
    "Mass",
    "MassStyle",
    "MixtureOfDenoisers",
    "MultilingualDenoising",
    "MultitaskMaskedLM",
    "Objective",
    "PermutationLM",
    "PrefixLM",
    "RecurrentLM",
    "RecurrentPermutationLM",
    "ReplaceMLM",
    "ReplacedTokens",
    "SpanBertPretraining",
    "SpanCorruption",
    "Translation",
]

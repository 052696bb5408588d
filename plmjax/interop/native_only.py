"""Networks that no class of transformers holds: families by kind of network, which any new network has by itself.

They are trained, loaded, fine-tuned and generated from like the others; to write them as a class of transformers is
refused in one sentence. Two have a family of their own: a BART that translates by a new encoder, and an ELMo under a
task's network.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from jax import Array

from plmjax.errors import UserError
from plmjax.interop.bart import BART
from plmjax.interop.family import SPECIAL_ROLES, Family, Outputs
from plmjax.interop.gpt import INPUTS as DECODER_ONLY_INPUTS
from plmjax.interop.gpt import base_model, causal_lm, classify
from plmjax.interop.heads import CLASS, architecture_of_heads, fine_tuned
from plmjax.interop.seq2seq import DECODER_INPUTS, ENCODER_INPUTS, LABELS, class_of_heads, forwards, shift_right
from plmjax.interop.seq2seq import conditional_generation as conditional
from plmjax.interop.templates import bart_target, no_pair, translation_source
from plmjax.interop.tokenizer_format import BERT_FORMAT, FAST, TokenizerFormat, ended
from plmjax.modules import Bound
from plmjax.modules.bart_translation import BartTranslationConfig
from plmjax.modules.elmo_task import ElmoTaskConfig
from plmjax.modules.facts import heads_of

TRANSLATION = "BartTranslationForConditionalGeneration"
ELMO = "ElmoUnderTask"
FORMER_DECODER = "UnnamedLMHeadModel"  # of checkpoints written before the families had their kinds' names
ENCODER_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


def _refuse(config: Any, *_: Any) -> NoReturn:
    raise UserError(
        f"No class of transformers holds the network of a {type(config).__name__}: it stays a plmjax checkpoint."
    )


def _no_tokens(*_: Any) -> NoReturn:
    raise UserError("An ELMo reads words as characters and has no tokens: use its methods on strings.")


REFUSED: dict[str, Any] = {
    "model_type": "", "prefix": "", "ignored": r"(?!)", "read_config": _refuse, "write_config": _refuse,
    "table": _refuse, "special": {}, "choose": _refuse,
}  # fmt: skip


def _states(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Array:
    return network.encode(
        inputs["input_ids"], inputs.get("token_type_ids"), inputs.get("position_ids"), inputs.get("attention_mask")
    )


def _encoder_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states."""
    return {"last_hidden_state": _states(network, inputs, special)}


def _masked_lm(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the tokens."""
    return {"logits": network.token_logits(_states(network, inputs, special))}


def _encoder_class(name: str, config: Any) -> str:
    """The class of an encoder's heads, the tokens' first."""
    heads: tuple[str, ...] = config.heads
    return f"{name}ForMaskedLM" if "token" in heads else architecture_of_heads(name, heads) or f"{name}Model"


def _encoder_family(name: str) -> Family:
    """Makes the family of networks that encode a text as a whole."""
    return Family(
        base_model=f"{name}Model",
        forward={
            f"{name}Model": _encoder_model,
            f"{name}ForMaskedLM": _masked_lm,
            **fine_tuned(name, _states),
        },
        inputs=lambda architecture: ENCODER_INPUT_NAMES,
        config_classes=(),
        architecture=partial(_encoder_class, name),
        tokenizer=replace(BERT_FORMAT, wordpiece=FAST),
        **REFUSED,
    )


def _decoder_class(config: Any) -> str:
    return "NativeDecoder" + (CLASS if "sequence_classification" in heads_of(config) else "ForCausalLM")


def _encoder_decoder_class(config: Any) -> str:
    return class_of_heads(heads_of(config), ENCODER_DECODER_CLASSES, "NativeEncoderDecoderModel")


ENCODER_DECODER_CLASSES = {
    "token": "NativeEncoderDecoderForConditionalGeneration",
    "sequence_classification": "NativeEncoderDecoderForSequenceClassification",
    "question_answering": "NativeEncoderDecoderForQuestionAnswering",
}
BY_KIND: dict[str, Family] = {
    "encoder": _encoder_family("NativeEncoder"),
    "two_stream": _encoder_family("NativeTwoStream"),
    "decoder": Family(
        base_model="NativeDecoderModel",
        forward={
            "NativeDecoderModel": base_model,
            "NativeDecoderForCausalLM": causal_lm,
            "NativeDecoderForSequenceClassification": classify,
            FORMER_DECODER: causal_lm,
        },
        inputs=lambda architecture: DECODER_ONLY_INPUTS,
        config_classes=(),
        architecture=_decoder_class,
        **REFUSED,
    ),
    "encoder_decoder": Family(
        base_model="NativeEncoderDecoderModel",
        forward=forwards(
            "NativeEncoderDecoderModel", ENCODER_DECODER_CLASSES["token"], "NativeEncoderDecoder", shift_right
        ),
        inputs=lambda architecture: (*ENCODER_INPUTS, *DECODER_INPUTS, *LABELS),
        config_classes=(),
        architecture=_encoder_decoder_class,
        tokenizer=TokenizerFormat(ended),
        special_roles=SPECIAL_ROLES | {"decoder_start_token_id": "padding"},
        **REFUSED,
    ),
}

BART_TRANSLATION = Family(
    base_model="",
    forward={TRANSLATION: partial(conditional, shift=shift_right)},
    inputs=lambda architecture: (*ENCODER_INPUTS, *DECODER_INPUTS, *LABELS),
    config_classes=(BartTranslationConfig,),
    architecture=lambda config: TRANSLATION,
    tokenizer=BART.tokenizer,
    special_roles=BART.special_roles,
    source_template=translation_source,
    target_template=bart_target,
    pair_template=no_pair,
    **REFUSED,
)

ELMO_TASK = Family(
    base_model="",
    forward={ELMO: _no_tokens},
    inputs=_no_tokens,
    config_classes=(ElmoTaskConfig,),
    architecture=lambda config: ELMO,
    **REFUSED,
)

OWN_FAMILIES = (BART_TRANSLATION, ELMO_TASK)
ALL: dict[str, Family] = {name: family for family in (*BY_KIND.values(), *OWN_FAMILIES) for name in family.forward}

"""Networks that no class of transformers holds: decoders (GPT-3 with scaled banded attention, LaMDA), a BART that
translates by a new encoder, and an ELMo under a task's network.

They are read from plmjax's own checkpoints and used like the others; to write them as a class of transformers is
refused in one sentence.
"""

from functools import partial
from typing import Any, NoReturn

from plmjax.errors import UserError
from plmjax.interop.family import Family
from plmjax.interop.gpt import INPUTS, causal_lm
from plmjax.interop.seq2seq import DECODER_INPUTS, ENCODER_INPUTS, LABELS, conditional_generation, shift_right
from plmjax.modules.bart_translation import BartTranslationConfig
from plmjax.modules.elmo_task import ElmoTaskConfig

CLASS = "UnnamedLMHeadModel"
TRANSLATION = "BartTranslationForConditionalGeneration"
ELMO = "ElmoUnderTask"


def _refuse(config: Any, *_: Any) -> NoReturn:
    raise UserError(
        f"No class of transformers holds the network of a {type(config).__name__}: it stays a plmjax checkpoint."
    )


def _no_tokens(*_: Any) -> NoReturn:
    raise UserError("An ELMo reads words by their characters and has no tokens: use its methods on strings.")


REFUSED: dict[str, Any] = {
    "prefix": "", "base_model": "", "ignored": r"(?!)", "read_config": _refuse, "write_config": _refuse,
    "table": _refuse,
}  # fmt: skip

UNNAMED = Family(
    model_type="",
    forward={CLASS: causal_lm},
    inputs=lambda architecture: INPUTS,
    choose=lambda names, stated: CLASS,
    special={},
    config_classes=(object,),
    architecture=lambda config: CLASS,
    **REFUSED,
)

BART_TRANSLATION = Family(
    model_type="bart",  # whose decoder and special tokens it has
    forward={TRANSLATION: partial(conditional_generation, shift=shift_right)},
    inputs=lambda architecture: (*ENCODER_INPUTS, *DECODER_INPUTS, *LABELS),
    choose=lambda names, stated: TRANSLATION,
    special={},
    config_classes=(BartTranslationConfig,),
    architecture=lambda config: TRANSLATION,
    **REFUSED,
)

ELMO_TASK = Family(
    model_type="",
    forward={ELMO: _no_tokens},
    inputs=_no_tokens,
    choose=lambda names, stated: ELMO,
    special={},
    config_classes=(ElmoTaskConfig,),
    architecture=lambda config: ELMO,
    **REFUSED,
)

ALL = {CLASS: UNNAMED, TRANSLATION: BART_TRANSLATION, ELMO: ELMO_TASK}

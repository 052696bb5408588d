"""Decoders that no class of transformers holds (GPT-3 with scaled banded attention, LaMDA).

They are read from plmjax's own checkpoints and called and continued like the others; to write them as a class of
transformers is refused in one sentence.
"""

from typing import Any, NoReturn

from plmjax.errors import UserError
from plmjax.interop.family import Family
from plmjax.interop.gpt import INPUTS, causal_lm

CLASS = "UnnamedLMHeadModel"


def _refuse(config: Any, *_: Any) -> NoReturn:
    raise UserError(
        f"No class of transformers holds the network of a {type(config).__name__}: it stays a plmjax checkpoint."
    )


UNNAMED = Family(
    model_type="",
    prefix="",
    bare="",
    forward={CLASS: causal_lm},
    inputs=lambda architecture: INPUTS,
    ignored=r"(?!)",
    read_config=_refuse,
    write_config=_refuse,
    table=_refuse,
    choose=lambda names, stated: CLASS,
    special={},
    ours=(object,),
    architecture=lambda config: CLASS,
)

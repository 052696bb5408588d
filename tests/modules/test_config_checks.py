"""A config that no network can have is refused in a sentence that names the field, for every family."""

from dataclasses import fields, replace
from typing import Any

import pytest

from plmjax.errors import UserError
from plmjax.modules import FAMILIES, build

WRONG: dict[str, tuple[Any, str]] = {
    "num_layers": (0, "it must be above 0"),
    "num_decoder_layers": (-1, "it must be above 0"),
    "d_ff": (0, "it must be above 0"),
    "d_model": (-4, "it must be above 0"),
    "num_heads": (0, "it must be above 0"),
    "max_positions": (0, "it must be above 0"),
    "norm_eps": (-1e-5, "it must be above 0"),
    "dropout": (-0.1, "it must be at least 0 and below 1"),
    "attention_dropout": (1.0, "it must be at least 0 and below 1"),
    "init_std": (float("nan"), "it must be a finite number"),
    "activation": ("gelo", "it must be one of gelu, gelu_tanh, relu, swish, tanh"),
    "dtype": ("int8", "it must be one of float32, bfloat16, float16"),
    "adapter_width": (-1, "it must be at least 0"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_bound_of_every_family(family: str) -> None:
    config = replace(FAMILIES[family].variants["tiny"], vocab_size=40)
    build(config)
    tried = 0
    for field in {one.name for one in fields(config)} & WRONG.keys():
        value, sentence = WRONG[field]
        with pytest.raises(UserError) as caught:
            build(replace(config, **{field: value}))
        assert str(caught.value) == f"The {family} config's {field} is {value!r}: {sentence}."
        tried += 1
    assert tried >= 4


def test_heads_divide_the_width_unless_they_have_one_of_their_own() -> None:
    bert = replace(FAMILIES["bert"].variants["tiny"], vocab_size=40)
    with pytest.raises(UserError, match=r"num_heads is 5: it must divide d_model, which is \d+"):
        build(replace(bert, num_heads=5))
    build(replace(FAMILIES["t5"].variants["tiny"], vocab_size=40, num_heads=5))

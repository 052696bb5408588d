"""What the configs share: picking a variant, and the stores of the small runs."""

from collections.abc import Callable
from typing import TypeVar

from plmjax.data.store.prepare import PrepareOptions
from plmjax.errors import UserError
from plmjax.train.config import DataConfig

Made = TypeVar("Made")  # a Config, or a FineTune

ENGLISH = DataConfig(store="runs/english")  # what the first command of docs/results/index.md writes


def builtin(extra_tokens: tuple[str, ...] = ()) -> DataConfig:
    """The built-in corpus, made ready in the working folder at the first run; `extra_tokens` for its tokenizer."""
    options = PrepareOptions(sources=("builtin",), vocab_size=2048, model_type="bpe", extra_tokens=extra_tokens)
    return DataConfig(prepare=options)


def pick(variants: dict[str, Callable[[], Made]], variant: str) -> Made:
    """The config of a name; UserError with the names that there are."""
    if variant not in variants:
        raise UserError(f"The config has no variant {variant!r}: choose one of {', '.join(variants)}.")
    return variants[variant]()

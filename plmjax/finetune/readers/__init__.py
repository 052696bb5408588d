"""The readers: one line for each kind of network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plmjax.data.tokenizers import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.readers.base import Reader
from plmjax.finetune.readers.decoder import decoder_reader
from plmjax.finetune.readers.encoder import encoder_reader, two_stream_reader

__all__ = ["READERS", "Reader", "make_reader"]

# kind of network -> (its config, tokenizer, recipe) -> Reader
READERS: dict[str, Callable[[Any, Tokenizer, Any], Reader]] = {
    "encoder": encoder_reader,
    "two_stream": two_stream_reader,
    "decoder": decoder_reader,
}


def make_reader(kind: str, config: Any, tokenizer: Tokenizer, recipe: Any) -> Reader:
    """The reader of a kind of network; UserError where there is none."""
    if kind not in READERS:
        raise UserError(f"A network of kind {kind!r} is not fine-tuned here: use one of kind {', '.join(READERS)}.")
    return READERS[kind](config, tokenizer, recipe)

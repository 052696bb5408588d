"""The readers: one line for each kind of network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plmjax.errors import UserError
from plmjax.finetune.readers.base import Reader
from plmjax.finetune.readers.characters import character_reader
from plmjax.finetune.readers.decoder import decoder_reader
from plmjax.finetune.readers.encoder import encoder_reader, two_stream_reader
from plmjax.finetune.readers.encoder_decoder import encoder_decoder_reader
from plmjax.interop import Pretrained

__all__ = ["READERS", "Reader", "make_reader"]

# kind of network -> (checkpoint, recipe) -> Reader
READERS: dict[str, Callable[[Pretrained, Any], Reader]] = {
    "encoder": encoder_reader,
    "two_stream": two_stream_reader,
    "decoder": decoder_reader,
    "encoder_decoder": encoder_decoder_reader,
    "bidirectional": character_reader,
}


def make_reader(pretrained: Pretrained, recipe: Any) -> Reader:
    """The reader of a checkpoint's network; UserError where there is none, or the checkpoint has no tokenizer."""
    kind = pretrained.module.kind
    if kind not in READERS:
        raise UserError(f"A network of kind {kind!r} is not fine-tuned here: use one of kind {', '.join(READERS)}.")
    return READERS[kind](pretrained, recipe)

"""How texts are put together for a network: the special tokens around them, token types, and where the class is read.

BERT and its like: [CLS] A [SEP] B [SEP]. RoBERTa doubles the separator between A and B. XLNet: A <sep> B <sep> <cls>,
the class token last and of a type of its own. GPT (Radford et al. 2018, Sec. 3.3): start A delimiter B extract.
Those of encoder-decoders are in readers/encoder_decoder.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError


class Framed(NamedTuple):
    """One row for a network.

    Attributes:
        tokens, types: int32 [L].
        starts: the index of the first token of each text.
        class_index: where the row's class is read.
    """

    tokens: np.ndarray
    types: np.ndarray
    starts: tuple[int, ...]
    class_index: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Special tokens around one text or two.

    Attributes:
        opening, between, closing: tokens before, between and after the texts.
        class_last: whether the class is read at the last token, not at the first.
        after_class: tokens that follow that last one.
        types: what the token types are: "none" (all 0), "texts" (0 and 1), "xlnet" (0, 1, and 2 for the class token).
        context_first: whether a context comes before the question about it.
    """

    opening: tuple[int, ...]
    between: tuple[int, ...]
    closing: tuple[int, ...]
    class_last: bool = False
    after_class: int = 0
    types: str = "none"
    context_first: bool = False

    def added(self, texts: int) -> int:
        """Special tokens around so many texts."""
        return len(self.opening) + len(self.between) * (texts - 1) + len(self.closing)

    def join(self, texts: Sequence[Sequence[int]]) -> Framed:
        """One row of one text or two."""
        tokens, types, starts = list(self.opening), [0] * len(self.opening), []
        for number, text in enumerate(texts):
            if number:
                tokens += self.between
                types += [number - 1] * len(self.between)
            starts.append(len(tokens))
            tokens += text
            types += [number] * len(text)
        tokens += self.closing
        types += [len(texts) - 1] * len(self.closing)
        class_index = len(tokens) - 1 - self.after_class if self.class_last else 0
        if self.types == "none":
            types = [0] * len(types)
        elif self.types == "xlnet":
            types[-1] = 2
        return Framed(np.array(tokens, np.int32), np.array(types, np.int32), tuple(starts), class_index)


def encoder_frame(config: Any, vocabulary: Vocabulary) -> Frame:
    """The frame of an encoder; UserError where the vocabulary lacks a token that opens or closes a text."""
    opening, closing = vocabulary.cls_or_bos, vocabulary.sep_or_eos
    if opening is None or closing is None:
        raise UserError(
            "The tokenizer has no token that opens a text or none that closes it ([CLS] and [SEP], or <s> and </s>): "
            "take a checkpoint whose tokenizer has them."
        )
    doubled = getattr(config, "position_offset", 0) > 0  # RoBERTa
    between = (closing, closing) if doubled else (closing,)
    types = "texts" if getattr(config, "token_type_vocab", 0) > 1 else "none"
    return Frame((opening,), between, (closing,), types=types)


def two_stream_frame(vocabulary: Vocabulary) -> Frame:
    """XLNet's frame. A context comes before its question, as in the released code."""
    vocabulary.require("cls", "sep")
    closing = (vocabulary.sep, vocabulary.cls)
    return Frame((), (vocabulary.sep,), closing, class_last=True, types="xlnet", context_first=True)

"""The template of special tokens: what is put before, between and after texts, token types, where the class is read.

    prefix A separator B suffix

BERT and its like: [CLS] A [SEP] B [SEP]. RoBERTa doubles the separator between A and B. XLNet: A <sep> B <sep> <cls>,
the class token last and of a type of its own. GPT (Radford et al. 2018, Sec. 3.3): start A delimiter B extract.
BART: <s> A </s></s> B </s>. T5: A </s> B </s>. mBART: A </s> B </s> en_XX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError


class PackedTexts(NamedTuple):
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
class Template:
    """Special tokens around one text or two.

    Attributes:
        prefix, separator, suffix: tokens before, between and after the texts.
        class_last: whether the class is read at the last token, not at the first.
        after_class: how many tokens follow that last one.
        token_types: "none" (all 0), "segments" (0 and 1), "xlnet" (0, 1, and 2 for the class token).
        context_first: whether a context comes before the question about it.
    """

    prefix: tuple[int, ...] = ()
    separator: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    class_last: bool = False
    after_class: int = 0
    token_types: str = "none"
    context_first: bool = False

    def num_special_tokens(self, texts: int = 1) -> int:
        """The number of special tokens around so many texts."""
        return len(self.prefix) + len(self.separator) * (texts - 1) + len(self.suffix)

    def wrap(self, text: Sequence[int]) -> list[int]:
        """The tokens of one text with its special tokens."""
        return [*self.prefix, *text, *self.suffix]

    def pack(self, *texts: Sequence[int] | np.ndarray) -> PackedTexts:
        """One row of one text or two."""
        length = sum(map(len, texts)) + self.num_special_tokens(len(texts))
        tokens_L, types_L = np.empty(length, np.int32), np.zeros(length, np.int32)
        ends = [0]
        for tokens, token_type in self.parts(*texts):
            start, end = ends[-1], ends[-1] + len(tokens)
            tokens_L[start:end] = tokens
            if token_type:
                types_L[start:end] = token_type
            ends.append(end)
        starts = tuple(ends[1 : 2 * len(texts) : 2])
        return PackedTexts(tokens_L, types_L, starts, length - 1 - self.after_class if self.class_last else 0)

    def parts(self, *texts: Sequence[Any] | np.ndarray) -> list[tuple[Sequence[Any] | np.ndarray, int]]:
        """Prefix, first text, separator, second text, ..., suffix, each with its token type.

        The suffix is in two parts: its last token has a type of its own in XLNet. Texts may be anything that stands for
        their tokens.
        """
        parts: list[tuple[Sequence[Any] | np.ndarray, int]] = [(self.prefix, 0)]
        typed = self.token_types != "none"
        for number, text in enumerate(texts):
            if number:
                parts.append((self.separator, number - 1 if typed else 0))
            parts.append((text, number if typed else 0))
        last = len(texts) - 1 if typed else 0
        cut = max(len(self.suffix) - 1, 0)
        return [*parts, (self.suffix[:cut], last), (self.suffix[cut:], 2 if self.token_types == "xlnet" else last)]


class Seq2SeqTemplate(NamedTuple):
    """The special tokens of an encoder-decoder that rewrites texts: around the text, and of its decoder.

    Attributes:
        source: the special tokens around the text.
        decoder_start_token_id: the first id that the decoder reads.
        forced_bos_token_id: the id that it must write first, or None.
        eos_token_id: the id that ends what is written; None: the vocabulary's EOS.
        source_tokenizer: the text's tokenizer, where it differs from that of what is written.
    """

    source: Template
    decoder_start_token_id: int
    forced_bos_token_id: int | None = None
    eos_token_id: int | None = None
    source_tokenizer: Tokenizer | None = None


def cls_sep_template(vocabulary: Vocabulary, *, double_separator: bool = False, token_types: str = "none") -> Template:
    """BERT's [CLS] A [SEP] B [SEP]; bos and eos stand in for them in vocabularies with RoBERTa's names.

    Raises:
        UserError: the vocabulary has neither cls nor bos, or neither sep nor eos.
    """
    prefix, suffix = _edges(vocabulary)
    missing = [name for name, ids in (("cls or bos", prefix), ("sep or eos", suffix)) if not ids]
    if missing:
        raise UserError(
            f"The tokenizer has no {' and no '.join(missing)} token to put around a text ([CLS] and [SEP], or <s> and "
            "</s>): take a tokenizer that has both, or train one with specials='all'."
        )
    return Template(prefix, suffix * 2 if double_separator else suffix, suffix, token_types=token_types)


def single_text_template(vocabulary: Vocabulary) -> Template:
    """[CLS] A [SEP] with those of the two that the vocabulary has, under BERT's names or RoBERTa's."""
    prefix, suffix = _edges(vocabulary)
    return Template(prefix, (), suffix)


def xlnet_template(vocabulary: Vocabulary) -> Template:
    """XLNet's A <sep> B <sep> <cls>. A context comes before its question, as in the released code.

    Raises:
        UserError: the vocabulary lacks cls or sep.
    """
    vocabulary.require("cls", "sep")
    cls, sep = (vocabulary.cls,), (vocabulary.sep,)
    return Template((), sep, sep + cls, class_last=True, token_types="xlnet", context_first=True)


def _edges(vocabulary: Vocabulary) -> tuple[tuple[int, ...], tuple[int, ...]]:
    cls, sep = vocabulary.cls_or_bos, vocabulary.sep_or_eos
    return () if cls is None else (cls,), () if sep is None else (sep,)

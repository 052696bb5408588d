"""Filling what a text leaves out: an encoder's masks with probabilities, an encoder-decoder's
sentinels with spans.

Legend: L length, M masks, K candidates a mask, V vocabulary rows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from plmjax.data.buckets import bucket
from plmjax.data.templates import single_text_template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.config import GenerationConfig
from plmjax.decode.generate_tokens import unsupported_kind
from plmjax.decode.text import BATCH_SIZE, MASK, generate_ids
from plmjax.errors import UserError
from plmjax.modules import Bound
from plmjax.modules.network import Network

SENTINEL = re.compile(r"<extra_id_(\d+)>")
BLANK = re.compile(r"_{3,}")


class Candidate(NamedTuple):
    """One token that may stand at a mask; printed, a piece inside a word is ##piece.

    Attributes:
        token: its text.
        probability: under the network.
        starts_word: whether it starts a word; None for a special token, or where the vocabulary does not tell.
    """

    token: str
    probability: float
    starts_word: bool | None = None

    def __str__(self) -> str:
        return f"##{self.token}" if self.starts_word is False else self.token.strip()


class FilledText(NamedTuple):
    """A text with its blanks filled.

    Attributes:
        text: the text; a blank that the output says nothing about stays as it was.
        spans: what was put in each blank, in the text's order; None where the output has no such
            span.
    """

    text: str
    spans: tuple[str | None, ...]


def fill_mask(network: Bound, tokenizer: Tokenizer, text: str, top_k: int = 5) -> list[list[Candidate]]:
    """The likeliest tokens at each mask of the text, with their probabilities.

    Each mask is predicted with all masks in place, as in pre-training (Devlin et al. 2018, Sec.
    3.1).

    Args:
        network: an encoder with a token head.
        tokenizer: whose vocabulary has a mask.
        text: with [MASK] or <mask> where a token is missing; either spelling does for any
            tokenizer.
        top_k: candidates a mask.

    Returns:
        A list for each mask, in the text's order, of `top_k` candidates, the likeliest first.

    Raises:
        UserError: the network is no encoder or has no token head, the text has no mask, or it is
            too long.
    """
    module = network.module
    if module.kind != "encoder" or "token" not in module.config.heads:
        remedy = "use an encoder with a masked-language-model head"
        raise unsupported_kind(module, "fill a mask", remedy)
    if not MASK.search(text):
        raise UserError(f"The text {_shorten(text)!r} has no mask: write [MASK] or <mask> where a word is missing.")
    tokens_L, masked_M = _masked_tokens(tokenizer, text)
    length, positions = len(tokens_L), module.config.max_positions
    if length > positions:
        raise UserError(
            f"The text has {length} tokens, special tokens included, but this network has "
            f"{positions} positions: shorten the text around its mask."
        )
    size = min(tokenizer.vocabulary.size, module.config.vocab_size)
    padded_length, padded_masks = bucket(length, most=positions), bucket(len(masked_M))
    probabilities_MK, tokens_MK = _mask_program(
        module,
        network.params,
        np.pad(tokens_L, (0, padded_length - length))[None],
        (np.arange(padded_length) < length).astype(np.int32)[None],
        np.pad(masked_M, (0, padded_masks - len(masked_M))),
        size=size,
        top_k=min(top_k, size),
    )
    return [
        [
            Candidate(_readable(tokenizer, int(token)), float(probability), _starts_word(tokenizer, int(token)))
            for token, probability in zip(tokens_K, probabilities_K, strict=True)
        ]
        for tokens_K, probabilities_K in zip(
            np.asarray(tokens_MK)[: len(masked_M)],
            np.asarray(probabilities_MK)[: len(masked_M)],
            strict=True,
        )
    ]


def fill_sentinels(
    network: Bound,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    config: GenerationConfig | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[list[FilledText]]:
    """Fills <extra_id_0>, <extra_id_1>, ... in each text with a T5's spans, `num_return_sequences` times.

    The network reads the text with its sentinels and writes `<extra_id_0> span <extra_id_1> span` and so on (Raffel et
    al. 2019, Fig. 2). Runs of three or more underscores are blanks too, numbered in order. `config` None: greedy, 20
    new tokens.

    Raises:
        UserError: the network is no encoder-decoder, the tokenizer has no sentinels or fewer than a text, a text has no
            blank, or mixes both spellings.
    """
    vocabulary = tokenizer.vocabulary
    if network.kind != "encoder_decoder":
        remedy = "use an encoder-decoder that was pre-trained with them, such as T5"
        raise unsupported_kind(network.module, "fill sentinels", remedy)
    if not vocabulary.sentinels:
        raise UserError("The checkpoint's tokenizer has no <extra_id_N> sentinels: use one that was trained with them.")
    vocabulary.require("eos", "pad")
    outputs = generate_ids(
        network,
        tokenizer,
        [_sentinel_tokens(tokenizer, text) for text in texts],
        config or GenerationConfig(),
        allowed_special=vocabulary.sentinels,
        batch_size=batch_size,
    )
    return [
        [assemble(text, _spoken_spans(tokenizer, output)) for output in rows]
        for text, rows in zip(texts, outputs, strict=True)
    ]


def blanks(text: str) -> list[int]:
    """The sentinel's number of each blank, <extra_id_N> or ___, in the text's order.

    Raises:
        UserError: the text has both spellings.
    """
    sentinels, underscores = SENTINEL.findall(text), BLANK.findall(text)
    if sentinels and underscores:
        raise UserError(f"The text {_shorten(text)!r} mixes <extra_id_N> with ___: use one of them.")
    return [int(number) for number in sentinels] or list(range(len(underscores)))


def read_spans(output: list[int], sentinels: Sequence[int]) -> dict[int, list[int]]:
    """The ids that an output gives for each sentinel's number; the first span counts if it comes
    twice."""
    number_of = {sentinel: number for number, sentinel in enumerate(sentinels)}
    spans: dict[int, list[int]] = {}
    span: list[int] = []  # what comes before the first sentinel belongs to no blank
    for token in output:
        if token in number_of:
            span = []
            spans.setdefault(number_of[token], span)
        else:
            span.append(token)
    return spans


def assemble(text: str, written: dict[int, str]) -> FilledText:
    """Puts the spans, by sentinel's number, in the text's blanks; the rest is kept to the letter."""
    numbers = blanks(text)
    spans = tuple(written.get(number) for number in numbers)
    remaining = iter(spans)

    def fill(blank: re.Match[str]) -> str:
        span = next(remaining)
        return blank.group() if span is None else span

    pattern = SENTINEL if SENTINEL.search(text) else BLANK
    return FilledText(pattern.sub(fill, text), spans)


def _sentinel_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """The text's ids with a sentinel for each blank, and EOS."""
    vocabulary = tokenizer.vocabulary
    numbers = blanks(text)
    if not numbers:
        raise UserError(f"The text {_shorten(text)!r} has no blank: write <extra_id_0> or ___ where words are missing.")
    if max(numbers) >= len(vocabulary.sentinels):
        raise UserError(
            f"The text asks for <extra_id_{max(numbers)}>, but the tokenizer has "
            f"{len(vocabulary.sentinels)} sentinels: number the blanks from 0."
        )
    tokens = tokenizer.encode(_number_blanks(text), special=True)
    return [*tokens, vocabulary.eos]


def _number_blanks(text: str) -> str:
    """The text with sentinels' names in place of ___."""
    count = itertools.count()
    return BLANK.sub(lambda _: f"<extra_id_{next(count)}>", text)


def _spoken_spans(tokenizer: Tokenizer, output: list[int]) -> dict[int, str]:
    spans = read_spans(output, tokenizer.vocabulary.sentinels)
    return {number: tokenizer.decode(span).strip() for number, span in spans.items()}


def _masked_tokens(tokenizer: Tokenizer, text: str) -> tuple[np.ndarray, np.ndarray]:
    """The text's ids, framed as in pre-training, and the places of the masks among them."""
    vocabulary = tokenizer.vocabulary
    if vocabulary.mask is None:
        raise UserError("The checkpoint's tokenizer has no mask token: use one pre-trained with a masked objective.")
    name = tokenizer.special_names[vocabulary.mask]
    tokens = tokenizer.encode(MASK.sub(lambda _: name, text), special=True)
    tokens_L = np.asarray(single_text_template(vocabulary).wrap(tokens), np.int32)
    return tokens_L, np.flatnonzero(tokens_L == vocabulary.mask)


def _fill_masks(
    module: Network,
    params: Any,
    tokens_1L: jax.Array,
    segments_1L: jax.Array,
    masked_M: jax.Array,
    *,
    size: int,
    top_k: int,
) -> tuple[jax.Array, jax.Array]:
    network = Bound(module, params)
    x_LD = network.encode(tokens_1L, None, None, segments_1L)[0]
    logits_MV = network.token_logits(x_LD[masked_M][None])[0, :, :size]
    return jax.lax.top_k(jax.nn.softmax(logits_MV, axis=-1), top_k)


_mask_program = jax.jit(_fill_masks, static_argnames=("module", "size", "top_k"))


def _starts_word(tokenizer: Tokenizer, token: int) -> bool | None:
    vocabulary = tokenizer.vocabulary
    known = vocabulary.word_start is not None and not vocabulary.is_special[token]
    return bool(vocabulary.word_start[token]) if known else None


def _readable(tokenizer: Tokenizer, token: int) -> str:
    """The token's text, or its piece where it has none alone (special tokens, single bytes)."""
    text = tokenizer.decode([token])
    return tokenizer.piece(token) if not text or "\N{REPLACEMENT CHARACTER}" in text else text


def _shorten(text: str, characters: int = 60) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."

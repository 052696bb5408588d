"""What each kind of network reads so that the likelihood of a text, given the text before it, can be read off.

A decoder predicts the text token by token. An encoder predicts each of its tokens in turn from all the others, the
pseudo-log-likelihood (Salazar et al. 2020). XLNet's query stream predicts it token by token in the order of reading.
T5 is shown the context and a sentinel and writes the text after that sentinel, as it was pre-trained (Raffel et al.
2019, Fig. 2); BART is shown the context and a mask and writes both (Lewis et al. 2019); another encoder-decoder
is shown the context and writes the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from plmjax.data.vocabulary import Vocabulary
from plmjax.errors import UserError


class Request(NamedTuple):
    """Token ids to be scored, and those that stand before them; the context may be empty."""

    context: Sequence[int]
    text: Sequence[int]


class Reading(NamedTuple):
    """One row for the network: what it reads, and where it predicts which tokens.

    Attributes:
        tokens: what it reads; an encoder-decoder's encoder.
        decoder_tokens: what an encoder-decoder's decoder reads, empty for others.
        places: indices of the states, into `decoder_tokens` where there are some, from which `targets` are predicted.
        targets: as many token ids.
    """

    tokens: list[int]
    decoder_tokens: list[int]
    places: list[int]
    targets: list[int]


Frame = Callable[[Request], Iterator[Reading]]


def make_frame(kind: str, vocabulary: Vocabulary, length: int, *, start: int | None, hide_rest: bool) -> Frame:
    """The frame for a kind of network.

    Args:
        kind: a network's.
        vocabulary: of its tokenizer.
        length: the most tokens that it reads; contexts are cut at their start to fit.
        start: the first token of an encoder-decoder's decoder.
        hide_rest: an encoder predicts a token with those after it in the same word masked as well, so that the pieces
            of a word do not give each other away (Kauf and Ivanova 2023).

    Raises:
        UserError: the kind predicts no tokens, or the vocabulary lacks what it needs.
    """
    if kind == "decoder":
        return lambda request: _decoder(request, vocabulary, length)
    if kind == "encoder":
        vocabulary.require("mask")
        return lambda request: _encoder(request, vocabulary, length, hide_rest)
    if kind == "two_stream":
        return lambda request: _two_stream(request, length)
    if kind == "encoder_decoder":
        vocabulary.require("eos")
        if start is None:
            raise UserError("The checkpoint does not say which token its decoder starts from: load one that does.")
        return lambda request: _encoder_decoder(request, vocabulary, length, start)
    raise UserError(
        f"A network of kind {kind!r} does not score texts: use a decoder, an encoder or an encoder-decoder."
    )


def _decoder(request: Request, vocabulary: Vocabulary, length: int) -> Iterator[Reading]:
    """From BOS or EOS where there is no context; without either the first token is read and not scored."""
    text = list(request.text)
    opening = vocabulary.bos if vocabulary.bos is not None else vocabulary.eos
    context = list(request.context) or ([] if opening is None else [opening])
    if not context:
        context, text = text[:1], text[1:]
    if not text:
        return
    kept = _fitting(context, text, length + 1)
    tokens = [*kept, *text][:-1]
    yield Reading(tokens, [], list(range(len(kept) - 1, len(tokens))), text)


def _encoder(request: Request, vocabulary: Vocabulary, length: int, hide_rest: bool) -> Iterator[Reading]:
    opening = [] if vocabulary.opening is None else [vocabulary.opening]
    closing = [] if vocabulary.closing is None else [vocabulary.closing]
    text = list(request.text)
    kept = _fitting(request.context, text, length - len(opening) - len(closing))
    whole = [*opening, *kept, *text, *closing]
    first = len(opening) + len(kept)
    ends = _word_ends(text, vocabulary) if hide_rest else range(1, len(text) + 1)
    for index, end in enumerate(ends):
        masked = list(whole)
        masked[first + index : first + end] = [vocabulary.mask] * (end - index)
        yield Reading(masked, [], [first + index], [text[index]])


def _word_ends(text: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """For each token the index after the last token of its word."""
    if vocabulary.word_start is None:
        raise UserError("The tokenizer can't tell where words start: score tokens one by one, with hide_rest=False.")
    ends, end = [], len(text)
    for index in range(len(text) - 1, -1, -1):
        ends.append(end)
        if vocabulary.word_start[text[index]]:
            end = index
    return ends[::-1]


def _two_stream(request: Request, length: int) -> Iterator[Reading]:
    text = list(request.text)
    kept = _fitting(request.context, text, length)
    yield Reading([*kept, *text], [], list(range(len(kept), len(kept) + len(text))), text)


def _encoder_decoder(request: Request, vocabulary: Vocabulary, length: int, start: int) -> Iterator[Reading]:
    text = list(request.text)
    _fitting([], text, length - 2)
    opening = [] if vocabulary.bos is None else [vocabulary.bos]
    context, eos = list(request.context), vocabulary.eos
    if vocabulary.sentinels:
        shown, before = [*context[-(length - 2) :], vocabulary.sentinels[0], eos], [start, vocabulary.sentinels[0]]
    elif vocabulary.mask is not None:
        kept = _fitting(context, text, length - 3)
        shown, before = [*opening, *kept, vocabulary.mask, eos], [start, *opening, *kept]
    else:
        shown, before = [*context[-(length - 1) :], eos], [start]
    written = [*before, *text][:-1]
    yield Reading(shown, written, list(range(len(before) - 1, len(written))), text)


def _fitting(context: Sequence[int], text: Sequence[int], room: int) -> list[int]:
    """The end of the context that fits beside the text; UserError where the text alone does not."""
    if len(text) > room:
        raise UserError(
            f"A text has {len(text)} tokens to score, but the network reads {room} at once: raise --length or shorten it."
        )
    return list(context[len(context) - (room - len(text)) :]) if len(context) + len(text) > room else list(context)

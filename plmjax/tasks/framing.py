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

from plmjax.data.templates import Template, single_text_template
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.tasks.scoring_format import ScoringFormat


class Instance(NamedTuple):
    """Token ids to be scored, and those that stand before them; the context may be empty."""

    context: Sequence[int]
    text: Sequence[int]


class ScoringRow(NamedTuple):
    """One row for the network: what it reads, and where it predicts which tokens.

    Attributes:
        tokens: what it reads; an encoder-decoder's encoder.
        decoder_tokens: what an encoder-decoder's decoder reads, empty for others.
        positions: indices of the states that predict `targets`, into `decoder_tokens` where there are some.
        targets: as many token ids.
    """

    tokens: list[int]
    decoder_tokens: list[int]
    positions: list[int]
    targets: list[int]


class Frame(NamedTuple):
    """How a kind of network is asked.

    Attributes:
        room: the most tokens of a text that can be scored at once. A context is cut at its start to fit beside them.
        read: gives the rows for a request whose text is no longer than that.
    """

    room: int
    read: Callable[[Instance], Iterator[ScoringRow]]


def make_frame(
    kind: str, vocabulary: Vocabulary, length: int, scoring_format: ScoringFormat, *, word_l2r: bool = False
) -> Frame:
    """The frame for a kind of network.

    Args:
        kind: a network's.
        vocabulary: of its tokenizer.
        length: the most tokens that it reads.
        scoring_format: what its kind does not tell.
        word_l2r: an encoder predicts a token with those after it in the same word masked as well, so that the pieces
            of a word do not give each other away (Kauf and Ivanova 2023).

    Raises:
        UserError: the kind predicts no tokens, or the vocabulary lacks what it needs.
    """
    if word_l2r and kind != "encoder":
        raise UserError("word_l2r is for encoders, which alone see what follows a token: leave it False.")
    if kind == "decoder":
        prefix = list(scoring_format.prefix)
        return Frame(length - len(prefix), lambda request: _decoder(request, vocabulary, length, prefix))
    if kind == "encoder":
        vocabulary.require("mask")
        template = single_text_template(vocabulary)
        if word_l2r and vocabulary.word_start is None:
            raise UserError(
                "The tokenizer can't tell where words start, so later pieces of a word can't be masked with one: "
                "leave word_l2r False, or use a network whose tokenizer can."
            )
        room = length - template.num_special_tokens()
        return Frame(room, lambda request: _encoder(request, vocabulary, room, template, word_l2r))
    if kind == "two_stream":
        return Frame(length, lambda request: _two_stream(request, length))
    if kind == "encoder_decoder":
        return _encoder_decoder(vocabulary, length, scoring_format)
    raise UserError(
        f"A network of kind {kind!r} does not score texts: use a decoder, an encoder or an encoder-decoder."
    )


def _decoder(request: Instance, vocabulary: Vocabulary, length: int, prefix: list[int]) -> Iterator[ScoringRow]:
    """From the prefix, else where there is no context from EOS, which stands between documents in training, or BOS.

    Without any of these the first token is read and not scored.
    """
    context, text = list(request.context), list(request.text)
    if not context and not prefix:
        first = vocabulary.eos if vocabulary.eos is not None else vocabulary.bos
        context, text = ([first], text) if first is not None else (text[:1], text[1:])
    if not text:
        return
    kept = [*prefix, *_end(context, length + 1 - len(prefix) - len(text))]
    tokens = [*kept, *text][:-1]
    yield ScoringRow(tokens, [], list(range(len(kept) - 1, len(tokens))), text)


def _encoder(
    request: Instance, vocabulary: Vocabulary, room: int, template: Template, word_l2r: bool
) -> Iterator[ScoringRow]:
    text = list(request.text)
    kept = _end(request.context, room - len(text))
    whole = template.wrap([*kept, *text])
    first = len(template.prefix) + len(kept)
    ends = _word_ends(text, vocabulary) if word_l2r else range(1, len(text) + 1)
    for index, end in enumerate(ends):
        masked = list(whole)
        masked[first + index : first + end] = [vocabulary.mask] * (end - index)
        yield ScoringRow(masked, [], [first + index], [text[index]])


def _word_ends(text: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """For each token the index after the last token of its word."""
    ends, end = [], len(text)
    for index in range(len(text) - 1, -1, -1):
        ends.append(end)
        if vocabulary.word_start is None or vocabulary.word_start[text[index]]:
            end = index
    return ends[::-1]


def _two_stream(request: Instance, length: int) -> Iterator[ScoringRow]:
    text = list(request.text)
    kept = _end(request.context, length - len(text))
    yield ScoringRow([*kept, *text], [], list(range(len(kept), len(kept) + len(text))), text)


def _encoder_decoder(vocabulary: Vocabulary, length: int, scoring_format: ScoringFormat) -> Frame:
    vocabulary.require("eos")
    eos, start = vocabulary.eos, scoring_format.start
    if scoring_format.shown == "sentinel":
        vocabulary.require("sentinels")
        blank = vocabulary.sentinels[0]
        after_context = Template(suffix=(blank, eos))

        def after_a_sentinel(request: Instance) -> Iterator[ScoringRow]:
            yield _written(after_context.wrap(_end(request.context, length - 2)), [start, blank], request.text)

        return Frame(length - 1, after_a_sentinel)
    if scoring_format.shown == "mask":
        vocabulary.require("mask")
        masked = Template(() if vocabulary.bos is None else (vocabulary.bos,), (), (vocabulary.mask, eos))
        room = length - masked.num_special_tokens()

        def whole(request: Instance) -> Iterator[ScoringRow]:
            kept = _end(request.context, room - len(request.text))
            yield _written(masked.wrap(kept), [start, *masked.prefix, *kept], request.text)

        return Frame(room, whole)

    closed = Template(suffix=(eos,))

    def the_rest(request: Instance) -> Iterator[ScoringRow]:
        yield _written(closed.wrap(_end(request.context, length - 1)), [start], request.text)

    return Frame(length, the_rest)


def _written(shown: list[int], before: list[int], text: Sequence[int]) -> ScoringRow:
    """The encoder is shown one, and the decoder writes the text after the other."""
    written = [*before, *text][:-1]
    return ScoringRow(shown, written, list(range(len(before) - 1, len(written))), list(text))


def _end(context: Sequence[int], room: int) -> list[int]:
    """The last `room` tokens of the context."""
    return list(context[max(0, len(context) - room) :])

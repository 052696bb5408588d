"""Log-likelihoods of texts under any network that predicts tokens, in few compiled programs.

Legend: B rows of a batch, L tokens read, T tokens the decoder reads, M tokens predicted, E width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.buckets import bucket
from plmjax.data.progress import ProgressLine
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.losses.adaptive import adaptive_cross_entropy
from plmjax.losses.likelihood import log_likelihood
from plmjax.modules import Bound
from plmjax.modules.adaptive import AdaptiveHead
from plmjax.modules.facts import max_positions_of
from plmjax.modules.network import Network
from plmjax.tasks.framing import Frame, Instance, ScoringRow, make_frame
from plmjax.tasks.scoring_format import ScoringFormat

USUAL_LENGTH = 512  # for networks whose positions have no end
SMALLEST = 8  # length of a batch
rounded = partial(bucket, smallest=SMALLEST, steps=2)  # to 8, 12, 16, 24, 32, 48, ...


class Score(NamedTuple):
    """How likely a text is.

    Attributes:
        log_p: the sum over its tokens, in nats.
        tokens: how many were scored.
        is_greedy: whether each of them was the network's first choice.
    """

    log_p: float
    tokens: int
    is_greedy: bool


class Shape(NamedTuple):
    """Lengths of a batch's rows."""

    tokens: int
    decoder: int
    positions: int


class Batch(NamedTuple):
    """int32 [B, L], [B, T] and [B, M], see framing.Reading; segments are 0 and weights 0 at padding."""

    tokens: Any
    segments: Any
    decoder_tokens: Any
    decoder_segments: Any
    positions: Any
    targets: Any
    weights: Any


class RowScores(NamedTuple):
    """float32 [B] and bool [B] of a batch's rows."""

    log_p: Any
    is_greedy: Any


class Scorer:
    """A network that scores texts.

    Attributes:
        network, tokenizer: as given.
        asking: how the network is asked.
        length: the most tokens that it reads at once.
        room: the most tokens of a text that it scores at once.
        size: how many tokens there are to predict.
        shown: whether progress is shown on standard error.
    """

    def __init__(
        self,
        network: Bound,
        tokenizer: Tokenizer,
        scoring_format: ScoringFormat = ScoringFormat(),  # noqa: B008 (frozen)
        *,
        length: int | None = None,
        batch_tokens: int = 8192,
        shown: bool = False,
    ) -> None:
        """A scorer.

        Args:
            network: a decoder, an encoder with a token head, XLNet or an encoder-decoder.
            tokenizer: its own.
            scoring_format: see `find_scoring_format`.
            length: the most tokens it reads at once; None: all its positions, or 512 where they have no end.
            batch_tokens: tokens of a batch, padding included.
            shown: whether progress is shown on standard error.

        Raises:
            UserError: the network predicts no tokens, or has fewer positions than `length`.
        """
        config = network.module.config
        if network.kind in ("encoder", "two_stream") and "token" not in config.heads:
            raise UserError(
                f"This {type(network.module).__name__} has no head that predicts tokens: of a pair, load the part that "
                "has one (--part=generator)."
            )
        positions = max_positions_of(config)
        if length and positions and length > positions:
            raise UserError(f"--length is {length}, but the network has {positions} positions: lower it.")
        if length is not None and length < 2 * SMALLEST:
            raise UserError(f"--length is {length}, too little to read a text in: give {2 * SMALLEST} or more.")
        self.network, self.tokenizer, self.scoring_format, self.shown = network, tokenizer, scoring_format, shown
        self.length = length or positions or USUAL_LENGTH
        self.size = min(tokenizer.vocabulary.size, config.vocab_size)
        self._batch_tokens = batch_tokens
        self.room = self._frame(word_l2r=False).room

    def requests(self, pairs: Sequence[tuple[str, str]]) -> list[Instance]:
        """Contexts and texts in tokens, the two of a pair read as one string.

        A token that reaches over the border belongs to the text. Raises UserError for a text without a token.
        """
        contexts = self.tokenizer.encode_batch([context for context, _ in pairs])
        wholes = self.tokenizer.encode_batch([context + text for context, text in pairs])
        requests = []
        for (_, text), context, whole in zip(pairs, contexts, wholes, strict=True):
            shared = 0
            while shared < min(len(context), len(whole)) and context[shared] == whole[shared]:
                shared += 1
            if shared == len(whole):
                raise UserError(f"The text {text!r:.40} has no token of its own, so it can't be scored: leave it out.")
            requests.append(Instance(whole[:shared], whole[shared:]))
        return requests

    def score(self, requests: Sequence[Instance], what: str = "scored", *, word_l2r: bool = False) -> list[Score]:
        """The score of each request; `what` names the work where progress is shown, see framing.py for `word_l2r`.

        Raises:
            UserError: a text is longer than the network reads.
        """
        frame = self._frame(word_l2r)
        for request in requests:
            if len(request.text) > frame.room:
                raise UserError(
                    f"The text {self.tokenizer.decode(request.text)!r:.40} has {len(request.text)} tokens, but at most "
                    f"{frame.room} can be scored at once: raise --length, or shorten it."
                )
        log_p, counts = np.zeros(len(requests)), np.zeros(len(requests), int)
        is_greedy = np.ones(len(requests), bool)
        progress, done = ProgressLine(what, "texts", self.shown), 0
        for shape, numbers in sorted(self._by_shape(requests, frame).items()):
            readings = _readings(requests, numbers, frame)
            rows = max(1, self._batch_tokens // (shape.tokens + shape.decoder))
            while part := list(islice(readings, rows)):
                owners = np.array([numbers[place] for place, _ in part])
                found = self._run([reading for _, reading in part], shape, rows)
                np.add.at(log_p, owners, found.log_p[: len(part)])
                np.logical_and.at(is_greedy, owners, found.is_greedy[: len(part)])
                np.add.at(counts, owners, [len(reading.targets) for _, reading in part])
                whole = done + part[-1][0]  # of the last text there may be more rows
                progress.update(whole / len(requests), whole)
            done += len(numbers)
            progress.update(done / len(requests), done)
        progress.close()
        return [Score(float(p), int(n), bool(best)) for p, n, best in zip(log_p, counts, is_greedy, strict=True)]

    def _frame(self, word_l2r: bool) -> Frame:
        kind, vocabulary = self.network.kind, self.tokenizer.vocabulary
        return make_frame(kind, vocabulary, self.length, self.scoring_format, word_l2r=word_l2r)

    def _by_shape(self, requests: Sequence[Instance], frame: Frame) -> dict[Shape, list[int]]:
        """The requests' numbers by the shape of their rows, rounded up so that few programs are compiled."""
        groups: dict[Shape, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            if (reading := next(frame.read(request), None)) is not None:
                tokens = rounded(len(reading.tokens), most=self.length)
                decoder = rounded(len(reading.decoder_tokens), most=self.length) if reading.decoder_tokens else 0
                # An encoder's rows have one place each.
                positions = 1 if self.network.kind == "encoder" else rounded(len(reading.positions))
                groups[Shape(tokens, decoder, positions)].append(number)
        return groups

    def _run(self, readings: Sequence[ScoringRow], shape: Shape, rows: int) -> RowScores:
        batch = _batch(readings, shape, rows)
        network = self.network
        found = _score(network.module, network.params, batch, size=self.size, language=self.scoring_format.language)
        return jax.device_get(found)


def _readings(requests: Sequence[Instance], numbers: Sequence[int], frame: Frame) -> Iterator[tuple[int, ScoringRow]]:
    """The rows of the requests `numbers`, one after the other, each with its request's place among the numbers."""
    for place, number in enumerate(numbers):
        for reading in frame.read(requests[number]):
            yield place, reading


def _batch(readings: Sequence[ScoringRow], shape: Shape, rows: int) -> Batch:
    """Arrays of a shape, padded on the right and with rows that weigh nothing."""
    batch = Batch(
        tokens=np.zeros((rows, shape.tokens), np.int32),
        segments=np.zeros((rows, shape.tokens), np.int32),
        decoder_tokens=np.zeros((rows, shape.decoder), np.int32),
        decoder_segments=np.zeros((rows, shape.decoder), np.int32),
        positions=np.zeros((rows, shape.positions), np.int32),
        targets=np.zeros((rows, shape.positions), np.int32),
        weights=np.zeros((rows, shape.positions), np.float32),
    )
    for row, reading in enumerate(readings):
        batch.tokens[row, : len(reading.tokens)] = reading.tokens
        batch.segments[row, : len(reading.tokens)] = 1
        batch.decoder_tokens[row, : len(reading.decoder_tokens)] = reading.decoder_tokens
        batch.decoder_segments[row, : len(reading.decoder_tokens)] = 1
        batch.positions[row, : len(reading.positions)] = reading.positions
        batch.targets[row, : len(reading.targets)] = reading.targets
        batch.weights[row, : len(reading.targets)] = 1
    return batch


@partial(jax.jit, static_argnames=("module", "size", "language"))
def _score(module: Network, params: Any, batch: Batch, *, size: int, language: int | None) -> RowScores:
    network = Bound(module, params)
    head = network.token_head(STATES[network.kind](network, batch, language))
    if isinstance(head, AdaptiveHead):
        found = adaptive_cross_entropy(head.clusters, batch.targets, batch.weights, size=size)
        log_p_BM, correct_BM = -found.loss, found.correct
    else:
        h_SE = head.h.reshape(-1, head.h.shape[-1])
        flat = log_likelihood(h_SE, head.table, head.bias, batch.targets.reshape(-1), size=size)
        log_p_BM, correct_BM = (value.reshape(batch.targets.shape) for value in flat)
    log_p_B = jnp.sum(jnp.where(batch.weights > 0, log_p_BM, 0.0), axis=1)
    return RowScores(log_p_B, jnp.all((correct_BM > 0) | (batch.weights == 0), axis=1))


def _chosen(x_BLD: jax.Array, batch: Batch) -> jax.Array:
    """[B, M, D]: only the predicting states go through the head."""
    return jnp.take_along_axis(x_BLD, batch.positions[..., None], axis=1)


def _decoder_states(network: Bound, batch: Batch, language: int | None) -> jax.Array:
    # Of the decoders XLM alone takes languages.
    spoken = {} if language is None else {"token_types_BL": jnp.full_like(batch.tokens, language)}
    return _chosen(network.decode(batch.tokens, None, batch.segments, **spoken), batch)


def _encoder_states(network: Bound, batch: Batch, language: int | None) -> jax.Array:
    types_BL = None if language is None else jnp.full_like(batch.tokens, language)
    return _chosen(network.encode_for_tokens(batch.tokens, types_BL, None, batch.segments).tokens_BLD, batch)


def _encoder_decoder_states(network: Bound, batch: Batch, _: int | None) -> jax.Array:
    memory_BLD = network.encode(batch.tokens, None, batch.segments)
    x_BTD = network.decode(batch.decoder_tokens, memory_BLD, batch.segments, None, batch.decoder_segments)
    return _chosen(x_BTD, batch)


def _two_stream_states(network: Bound, batch: Batch, _: int | None) -> jax.Array:
    """Each place is predicted from what is to its left: the order in which the text is read."""
    length = batch.tokens.shape[1]
    later_LL = jnp.arange(length)[None] >= jnp.arange(length)[:, None]
    hidden_BLL = jnp.broadcast_to(later_LL[None], (len(batch.tokens), length, length))
    queries_BML = jax.nn.one_hot(batch.positions, length) * (batch.weights > 0)[..., None]
    return network.two_streams(batch.tokens, hidden_BLL, queries_BML, None, batch.segments).g


STATES = {
    "decoder": _decoder_states,
    "encoder": _encoder_states,
    "encoder_decoder": _encoder_decoder_states,
    "two_stream": _two_stream_states,
}

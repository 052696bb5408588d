"""Answers that are spans of a context: where one starts and where it ends (Devlin et al. 2018, Sec. 4.2 and 4.3).

A context that is too long for one row is read in windows that overlap. A window without the answer, and a question
that has none, have the class token as both ends. The scores are over the context's tokens and the class token.

Legend: B batch, L length.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.tokenizers.base import Encoding
from plmjax.errors import UserError
from plmjax.finetune.features import Feature
from plmjax.finetune.task_models.base import ForwardOutput, RowOutput, TaskModel, arrays_of
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.masks import MASK_VALUE
from plmjax.tasks.spans import SpanPrediction
from plmjax.tasks.supervised import Example

BEST = 20  # starts and ends of which spans are made, as in the released code


class Window(NamedTuple):
    """The part of the context that a row holds.

    Attributes:
        first: the row's index of its first token.
        starts, ends: the characters of each of its tokens.
        central: bool, whether no other window shows more around the token.
        class_index: of the class token.
    """

    first: int
    starts: np.ndarray
    ends: np.ndarray
    central: np.ndarray
    class_index: int


def answer_tokens(encoding: Encoding, start: int, end: int) -> tuple[int, int] | None:
    """The first and last token that stand for characters of [start, end); None where none do."""
    inside = [
        index
        for index, (first, last) in enumerate(encoding.offset_mapping)
        if first < end and last > start and last > first
    ]
    return (inside[0], inside[-1]) if inside else None


def trimmed(context: str, start: int, end: int) -> tuple[int, int]:
    """The characters of a span, without the blanks that its first token may begin with, and with the accents of its
    last character, which a tokenizer may have dropped (BERT's uncased vocabularies do)."""
    while end < len(context) and unicodedata.category(context[end]) in ("Mn", "Me"):
        end += 1
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def windows(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """(first, past the last) token of windows of at most `room` tokens, `stride` apart, that cover `length` tokens."""
    cuts, first = [], 0
    while True:
        cuts.append((first, min(first + room, length)))
        if first + room >= length:
            return cuts
        first += min(stride, room)


def most_central(cuts: Sequence[tuple[int, int]], length: int) -> list[np.ndarray]:
    """For each window, whether each of its tokens has no more context around it in another (the first counts)."""
    best, owner = np.full(length, -1.0), np.zeros(length, np.int64)
    for number, (first, last) in enumerate(cuts):
        at = np.arange(first, last)
        around = np.minimum(at - first, last - 1 - at) + 0.01 * (last - first)
        wins = around > best[first:last]
        best[first:last] = np.where(wins, around, best[first:last])
        owner[first:last] = np.where(wins, number, owner[first:last])
    return [owner[first:last] == number for number, (first, last) in enumerate(cuts)]


class QuestionAnsweringModel(TaskModel):
    """Predicts both ends of the answer by one linear map of each state."""

    heads: ClassVar[tuple[str, ...]] = ("question_answering",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if not self.backbone.bidirectional:
            raise UserError(
                "A decoder's states see only the tokens before them: use an encoder for question answering."
            )
        for name in ("doc_stride", "max_query_length", "max_answer_length"):
            if getattr(self.recipe, name) < 1:
                raise UserError(f"{name} is {getattr(self.recipe, name)}: it must be at least 1.")

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        tokenizer = self.backbone.tokenizer
        questions = tokenizer.encode_batch([example.texts[0] for example in examples])
        contexts = {example.texts[1]: None for example in examples}
        encodings = dict(zip(contexts, tokenizer.encode_with_offsets(list(contexts)), strict=True))
        features: list[Feature] = []
        for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
            question = question[: self.recipe.max_query_length]
            features += self._rows(number, example, question, encodings[example.texts[1]])
        return features

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        x_BLD = self.backbone.states(network, batch["tokens"], batch["token_types"], batch["segments"])
        logits_BL2 = jnp.where(batch["allowed"][..., None] > 0, network.question_answering_logits(x_BLD), MASK_VALUE)
        weights_B = batch["row_weights"]
        start, end = (
            softmax_cross_entropy(logits_BL2[..., side], batch[name], weights_B)
            for side, name in enumerate(("answer_start", "answer_end"))
        )
        loss = Weighted((start.total.sum + end.total.sum) / 2, start.total.weight)
        metrics = {
            "start_accuracy": Weighted.of(start.correct, weights_B),
            "end_accuracy": Weighted.of(end.correct, weights_B),
        }
        return {"task": loss}, metrics, {"start": logits_BL2[..., 0], "end": logits_BL2[..., 1]}

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        spans = [(-np.inf, SpanPrediction("", 0.0)) for _ in examples]
        silence = [np.inf for _ in examples]
        for feature, row in zip(features, outputs, strict=True):
            number, window = feature.example, feature.origin
            at = window.class_index
            silence[number] = min(silence[number], float(row["start"][at] + row["end"][at]))
            score, span = self._best_span(window, row)
            if score > spans[number][0] and span is not None:
                context = examples[number].texts[1]
                start, end = trimmed(context, *span)
                chance = float(np.exp(score - sum(_log_total(row[side]) for side in ("start", "end"))))
                spans[number] = score, SpanPrediction(context[start:end], 0.0, chance, start, end)
        return [best._replace(no_answer=none - score) for (score, best), none in zip(spans, silence, strict=True)]

    def _rows(self, number: int, example: Example, question: list[int], context: Encoding) -> list[Feature]:
        template, most = self.backbone.template, self.limits.length
        tokens = len(context.ids)
        room = tokens if most is None else most - template.num_special_tokens(2) - len(question)
        if room < 1:
            raise UserError(
                f"{example.place} has a question of {len(question)} tokens, which leaves no room for its context in a "
                f"row of {most}: lower --config.max_query_length."
            )
        if not tokens:
            raise UserError(f"{example.place} has a context in which the tokenizer finds no token: remove it.")
        answer = None
        if example.target:
            text, start = example.target[0]
            answer = answer_tokens(context, start, start + len(text))
            if answer is None:
                raise UserError(
                    f"{example.place} has the answer {text!r:.60}, in which the tokenizer finds no token: remove it."
                )
        cuts = windows(tokens, room, self.recipe.doc_stride)
        central = most_central(cuts, tokens)
        return [
            self._row(number, question, context, cut, mine, answer) for cut, mine in zip(cuts, central, strict=True)
        ]

    def _row(
        self,
        number: int,
        question: list[int],
        context: Encoding,
        cut: tuple[int, int],
        central: np.ndarray,
        answer: tuple[int, int] | None,
    ) -> Feature:
        first, last = cut
        order = 0 if self.backbone.template.context_first else 1
        texts = [question, context.ids[first:last]][:: 1 if order else -1]
        packed = self.backbone.template.pack(*texts)
        offset = packed.starts[order]
        allowed = np.zeros(len(packed.tokens), np.int32)
        allowed[offset : offset + last - first] = 1
        allowed[packed.class_index] = 1
        is_here = answer is not None and first <= answer[0] and answer[1] < last
        ends = [offset + token - first for token in answer] if is_here else [packed.class_index] * 2
        first_characters, last_characters = np.array(context.offset_mapping[first:last]).T
        window = Window(offset, first_characters, last_characters, central, packed.class_index)
        values = {"answer_start": np.int32(ends[0]), "answer_end": np.int32(ends[1])}
        return Feature(number, len(packed.tokens), arrays_of(packed) | {"allowed": allowed}, values, window)

    def _best_span(self, window: Window, row: RowOutput) -> tuple[float, tuple[int, int] | None]:
        """The score and the characters of the likeliest span whose start this window shows best."""
        count = len(window.starts)
        starts, ends = (row[name][window.first : window.first + count] for name in ("start", "end"))
        starts = np.where(window.central, starts, -np.inf)
        first, last = (np.argsort(-scores, kind="stable")[:BEST] for scores in (starts, ends))
        length = last[None, :] - first[:, None] + 1
        scores = starts[first][:, None] + ends[last][None, :]
        scores = np.where((length >= 1) & (length <= self.recipe.max_answer_length), scores, -np.inf)
        best = int(scores.argmax())
        i, j = divmod(best, scores.shape[1])
        if not np.isfinite(scores[i, j]):
            return -np.inf, None
        return float(scores[i, j]), (int(window.starts[first[i]]), int(window.ends[last[j]]))


def _log_total(scores: np.ndarray) -> float:
    """log sum exp."""
    return float(np.logaddexp.reduce(scores.astype(np.float64)))

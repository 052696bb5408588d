"""Tagging: a word's tag is read at the state of its first piece (Devlin et al. 2018, Sec. 5.3); by itself, or in a
chain with the others (Peters et al. 2018, Sec. 4).

Legend: B batch, L length, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.errors import UserError
from plmjax.finetune.backbones.characters import CharacterBackbone
from plmjax.finetune.features import Feature
from plmjax.finetune.task_models.base import ForwardOutput, RowOutput, TaskModel, arrays_of, too_long
from plmjax.losses.chain import Chain, likeliest, log_likelihood, marginals
from plmjax.losses.classification import softmax_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.tasks.supervised import Example
from plmjax.tasks.tagging import TokenClassificationTask


class TokenClassificationModel(TaskModel):
    """A tag for each word of one text."""

    heads: ClassVar[tuple[str, ...]] = ("token_classification",)
    task: TokenClassificationTask

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if not self.backbone.bidirectional:
            raise UserError(
                "A decoder's states see only the tokens before them: use an encoder for token classification."
            )

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        numbers = {tag: number for number, tag in enumerate(self.task.labels)}
        pieces = iter(self._pieces(examples))
        features = []
        for number, example in enumerate(examples):
            words = [next(pieces) for _ in example.texts]
            kept = self._kept(example, [len(word) for word in words])
            packed = self.backbone.template.pack([token for word in words[:kept] for token in word])
            firsts = packed.starts[0] + np.cumsum([0, *map(len, words[: kept - 1])])
            tags, weights = np.zeros(len(packed.tokens), np.int32), np.zeros(len(packed.tokens), np.float32)
            tags[firsts] = [numbers[tag] for tag in example.target[:kept]]
            weights[firsts] = 1.0
            sequences = arrays_of(packed) | {"tags": tags, "tag_weights": weights}
            features.append(Feature(number, len(packed.tokens), sequences, {}, firsts))
        return features

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        x_BLD = self.backbone.tag_states(network, batch["tokens"], batch["token_types"], batch["segments"])
        loss, tags_BL, shares_BLC = self._read(network, network.token_classification_logits(x_BLD), batch)
        metrics = {"accuracy": Weighted.of(tags_BL == batch["tags"], batch["tag_weights"])}
        beside = self.backbone.losses(network, x_BLD, batch["tokens"], batch["segments"])
        shares_BL = jnp.take_along_axis(shares_BLC, tags_BL[..., None], axis=-1)[..., 0]
        return {"task": loss} | beside, metrics, {"tags": tags_BL, "probabilities": shares_BL}

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        """The tags of each word; of words that were cut "O", or the first tag where there is no "O"."""
        labels = self.task.labels
        rest = "O" if "O" in labels else labels[0]
        found = []
        for example, feature, row in zip(examples, features, outputs, strict=True):
            tags = [labels[int(tag)] for tag in row["tags"][feature.origin]]
            found.append(tags + [rest] * (len(example.texts) - len(tags)))
        return found

    def _read(
        self, network: Bound, logits_BLC: jax.Array, batch: dict[str, jax.Array]
    ) -> tuple[Weighted, jax.Array, jax.Array]:
        """The loss, the likeliest tags [B, L] and the probability of each [B, L, C]: of each word by itself."""
        loss = softmax_cross_entropy(logits_BLC, batch["tags"], batch["tag_weights"])
        return loss.total, jnp.argmax(logits_BLC, axis=-1), jax.nn.softmax(logits_BLC)

    def _pieces(self, examples: Sequence[Example]) -> list[list[int]]:
        """The pieces of every word; of one that the tokenizer takes for nothing, the unknown token.

        A word after another is encoded as in running text.
        """
        tokenizer = self.backbone.tokenizer
        before = tokenizer.sentence_prefix
        words = [before * (index > 0) + word for example in examples for index, word in enumerate(example.texts)]
        pieces = self.backbone.encode_words(words)
        unknown = tokenizer.vocabulary.unk
        if unknown is None and not all(pieces):
            raise UserError(f"The tokenizer finds no token in the word {words[pieces.index([])]!r}: remove it.")
        return [word or [unknown] for word in pieces]

    def _kept(self, example: Example, lengths: Sequence[int]) -> int:
        """The number of words that fit."""
        added = self.backbone.template.num_special_tokens(1)
        if self.limits.length is None or sum(lengths) + added <= self.limits.length:
            return len(lengths)
        if not self.limits.cut:
            raise too_long(example, sum(lengths) + added, self.limits.length)
        self.cut_rows += 1
        return max(1, sum(total + added <= self.limits.length for total in accumulate(lengths)))


class CrfTokenClassificationModel(TokenClassificationModel):
    """Tags whose order counts: a row's loss is that of all its tags at once, and the likeliest row is told."""

    heads: ClassVar[tuple[str, ...]] = ("token_classification", "crf")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if not isinstance(self.backbone, CharacterBackbone):
            name = type(self.backbone.config).__name__
            raise UserError(f"A {name} has no CRF head: use an ELMo, or leave task_model empty.")

    def _read(
        self, network: Bound, logits_BLC: jax.Array, batch: dict[str, jax.Array]
    ) -> tuple[Weighted, jax.Array, jax.Array]:
        chain, is_word_BL = Chain(*network.chain()), batch["tag_weights"] > 0
        likelihood_B = log_likelihood(chain, logits_BLC, batch["tags"], is_word_BL)
        tags_BL = likeliest(chain, logits_BLC, is_word_BL)
        return Weighted.of(-likelihood_B, batch["row_weights"]), tags_BL, marginals(chain, logits_BLC, is_word_BL)

"""ELMo: texts as words, words as characters, under a small network of the task's own (Peters et al. 2018, Sec. 3.2).

A text is a sentence of a stream as the biLM was trained on, between its marks: <S> A </S>, of two <S> A </S> <S> B
</S>. Every word of the task gets a number when it is first met; the network is given the characters behind the numbers.

Legend: B batch, L length, D width of a state, V words, C characters of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.buckets import bucket
from plmjax.data.templates import Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.characters import SENTENCE_BEGIN, SENTENCE_END, spell
from plmjax.data.tokenizers.vocabulary import Vocabulary, make_vocabulary
from plmjax.data.tokenizers.words import WordTokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones.base import Backbone, tokenizer_of
from plmjax.finetune.config import FineTune
from plmjax.interop import Pretrained
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound

PADDING, BEGIN, END, UNKNOWN = range(4)


class TaskWords(Tokenizer):
    """Words that are numbered as they are met, split as `splitter` does it."""

    kind: ClassVar[str] = "task words"

    def __init__(self, splitter: WordTokenizer) -> None:
        self._splitter = splitter
        self._ids = {"": PADDING, "<S>": BEGIN, "</S>": END, "<UNK>": UNKNOWN}
        self.vocabulary: Vocabulary = make_vocabulary(4, {"pad": PADDING, "bos": BEGIN, "eos": END, "unk": UNKNOWN})
        self.special_names = {BEGIN: "<S>", END: "</S>", UNKNOWN: "<UNK>"}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return [[self.number(word) for word in self._splitter.words(text)] for text in texts]

    def number(self, word: str) -> int:
        """The number of a word, which it gets where it is new; a mark's name counts as a word."""
        return self._ids.setdefault(f" {word}", len(self._ids))

    def spelled(self, length: int) -> np.ndarray:
        """int32 [words so far, C]: the characters behind each number, zeros behind the padding's."""
        words = [name.removeprefix(" ") for name in self._ids]
        table = spell(words, length, {BEGIN: SENTENCE_BEGIN, END: SENTENCE_END}).astype(np.int32)
        table[PADDING] = 0
        return table

    def piece(self, token: int) -> str:
        return list(self._ids)[token].removeprefix(" ")

    def _decode_non_special(self, ids: list[int]) -> str:
        return " ".join(map(self.piece, ids))

    def _files(self) -> dict[str, bytes]:
        return {"task_words.txt": "".join(f"{self.piece(token)}\n" for token in range(len(self._ids))).encode()}

    def _metadata(self) -> dict[str, object]:
        return {}


@dataclass(frozen=True)
class CharacterBackbone(Backbone):
    """A biLM under a task's network.

    Attributes:
        l2: the factor of the mixture's penalty, the paper's lambda.
        table_VC: the characters of each word; None: those that the words so far have.
    """

    l2: float = 0.0
    table_VC: Any = None

    def lookup_table(self) -> np.ndarray:
        """The characters of the words so far, with rows of zeros up to a power of two."""
        spelled = self.tokenizer.spelled(self.config.characters)  # type: ignore[attr-defined]
        return np.pad(spelled, ((0, bucket(len(spelled), smallest=1) - len(spelled)), (0, 0)))

    def with_table(self, table: Any) -> CharacterBackbone:
        return replace(self, table_VC=table)

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """Each word as it is."""
        return [[self.tokenizer.number(word.strip())] for word in words]  # type: ignore[attr-defined]

    def states(self, network: Bound, tokens_BL: jax.Array, types_BL: jax.Array, segments_BL: jax.Array) -> jax.Array:
        table_VC = jnp.asarray(self.lookup_table() if self.table_VC is None else self.table_VC)
        return network.states(jnp.where(segments_BL[..., None] > 0, table_VC[tokens_BL], 0))

    def class_states(self, network: Bound, x_BLD: jax.Array, index_B: jax.Array, segments_BL: jax.Array) -> jax.Array:
        """A pooled state of all words."""
        return network.pooled(x_BLD, segments_BL > 0)

    def losses(
        self, network: Bound, x_BLD: jax.Array, tokens_BL: jax.Array, segments_BL: jax.Array
    ) -> dict[str, Weighted]:
        """The squares of the mixture's weights: the larger the factor, the nearer the mixture stays to the average."""
        return {"mix": Weighted(network.mix_penalty(), jnp.ones(()))} if self.l2 else {}

    def coefficients(self) -> dict[str, float]:
        return {"mix": self.l2}


def character_backbone(pretrained: Pretrained, recipe: FineTune) -> Backbone:
    """Makes the backbone of an ELMo; UserError for settings out of range."""
    if recipe.features.l2 < 0 or recipe.features.cells < 1:
        raise UserError("features.l2 must be at least 0, and features.cells at least 1.")
    splitter = tokenizer_of(pretrained)
    assert isinstance(splitter, WordTokenizer)
    template = Template((BEGIN,), (END, BEGIN), (END,))
    return CharacterBackbone(pretrained.config, TaskWords(splitter), template, recipe.features.l2)

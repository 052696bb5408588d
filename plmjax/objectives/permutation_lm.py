"""Permutation language modelling: tokens are predicted in a random order, each from those before it (Yang et al. 2019).

Only the last 1 / K of the order are predicted, by the query stream; the positions stay as they are, the order is in
the attention mask alone.

The memory is made within the example: its first tokens are read by the content stream, without a gradient, and what
each layer read of them is what the rest has before it. In the released code it is handed on from step to step along a
text, and so has a memory itself; here examples stay independent of each other, in any order.

Legend: B batch, L length, M predicted tokens, D model width.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.windows import Chunks, FullSentences
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.noise import permutation
from plmjax.noise.masking import choose_tokens
from plmjax.objectives.base import Example, Losses, check_fit, check_share, token_metrics


@dataclass(slots=True)
class PartialPrediction:
    """Which tokens are predicted, and in which order."""

    k: float = 6.0  # one token of K is predicted; the base models' K, paper Table 6
    spans: bool = True  # spans of words; False: single tokens, Table 6's "- span-based prediction"
    longest: int = 5  # a span has n words with odds of 1/n, n up to this
    context: float = 6.0  # tokens around a span for each of its own (mask_alpha / mask_beta)
    whole_words: bool = True  # n counts words; False: tokens from a word start on, as the released code does
    block: int = 0  # the order is random within blocks of so many tokens (perm_size); 0: over the whole window

    def max_predictions(self, length: int) -> int:
        """M: 85 at length 512 for K = 6."""
        return int(self.counts(length)[-1])

    def counts(self, length: int) -> np.ndarray:
        """int32 [length + 1]: tokens to predict in an example of n real tokens, at least one."""
        return np.array([0] + [max(1, int(n / self.k)) for n in range(1, length + 1)], np.int32)

    def check(self, vocabulary: Any) -> None:
        """UserError for settings that are wrong or that the vocabulary can't serve."""
        for name, least in (("k", 1), ("longest", 1), ("context", 1), ("block", 0)):
            if getattr(self, name) < least:
                raise UserError(f"objective.prediction.{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.spans and self.whole_words and vocabulary.word_start is None:
            raise UserError(
                "objective.prediction.whole_words is True, but this tokenizer can't tell where a word starts; "
                "set it to False or choose another tokenizer."
            )

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Any, backward: jax.Array | bool = False) -> Example:
        """`perm_mask` [L, L], `masked_positions`, `targets` and `weights` [M] of one example."""
        choice_key, order_key = jax.random.split(key)
        tokens_L, real_L = example["tokens"], example["segments"] > 0
        length = len(tokens_L)
        is_special_L = jnp.asarray(vocabulary.is_special)[tokens_L]
        budget = jnp.asarray(self.counts(length))[jnp.sum(real_L)]
        chosen_L = self._choose(choice_key, tokens_L, real_L, is_special_L, budget, vocabulary, backward)
        # An unknown word is text that can't be predicted; the other special tokens see as the predicted ones do.
        unknown = -1 if vocabulary.unk is None else vocabulary.unk
        order = permutation.hide_by_order(
            permutation.local_order(order_key, length, self.block or length),
            chosen_L,
            is_special_L & (tokens_L != unknown),
            self.max_predictions(length),
        )
        is_real_M = order.weights > 0
        return {
            "perm_mask": order.perm_mask,
            "masked_positions": order.positions,
            "targets": jnp.where(is_real_M, tokens_L[order.positions], 0),
            "weights": order.weights,
        }

    def _choose(
        self,
        key: jax.Array,
        tokens_L: jax.Array,
        real_L: jax.Array,
        is_special_L: jax.Array,
        budget: jax.Array,
        vocabulary: Any,
        backward: jax.Array | bool,
    ) -> jax.Array:
        candidates_L = real_L & ~is_special_L
        if not self.spans:
            return choose_tokens(key, candidates_L, budget)
        starts_L = jnp.ones_like(real_L)
        if vocabulary.word_start is not None:
            starts_L = jnp.asarray(vocabulary.word_start)[tokens_L] | is_special_L | ~real_L
        return permutation.choose_spans(
            key,
            candidates_L,
            starts_L,
            budget,
            longest=self.longest,
            context=self.context,
            whole_words=self.whole_words,
            backward=backward,
        )


@dataclass(slots=True)
class PermutationLM:
    """Permutation LM; with `prediction.k=1` every token is predicted.

    With a memory the window is consecutive text, `Chunks(overlap=memory_length)` to predict of all of it. Table 6's
    "- memory" is `memory_length=0`, its "- bidirectional data" `backward_share=0`.
    """

    kind: ClassVar[str] = "two_stream"

    window: Any = field(default_factory=FullSentences)
    prediction: PartialPrediction = field(default_factory=PartialPrediction)
    memory_length: int = 0  # tokens read before the `train.length` others; 0: no memory
    backward_share: float = (
        0.0  # of the examples, read from their end on, so that the memory is the text after (bi_data)
    )
    static: bool = False  # True: an example has the same order in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Any, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        self.prediction.check(vocabulary)
        check_share("objective.backward_share", self.backward_share)
        if self.memory_length < 0:
            raise UserError(f"objective.memory_length is {self.memory_length}; it must be at least 0.")
        if self.memory_length and not isinstance(self.window, Chunks):
            raise UserError(
                f"objective.memory_length is {self.memory_length}, but windows of {type(self.window).__name__} may "
                "hold padding, which a memory can't; take Chunks."
            )
        if self.backward_share and not self.memory_length:
            raise UserError(
                f"objective.backward_share is {self.backward_share}, which changes nothing without a memory; set "
                "objective.memory_length too."
            )

    def windows(self, split: Any, vocabulary: Any, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, self.memory_length + length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Any) -> Example:
        if not self.memory_length:
            return example | self.prediction.corrupt(key, example, vocabulary)
        direction_key, key = jax.random.split(key)
        backward = jax.random.uniform(direction_key) < self.backward_share
        tokens = jnp.where(backward, example["tokens"][::-1], example["tokens"])
        rest = {name: value[self.memory_length :] for name, value in (example | {"tokens": tokens}).items()}
        before = {"memory_tokens": tokens[: self.memory_length], "backward": backward}
        return rest | before | self.prediction.corrupt(key, rest, vocabulary, backward)

    def losses(self, network: Any, batch: Example, vocabulary: Any, train: bool) -> Losses:
        backward_B, memory = batch.get("backward"), None
        if self.memory_length:
            memory = network.two_streams(
                batch["memory_tokens"], None, None, backward_B=backward_B, keep=self.memory_length
            ).memory
        g_BMD = network.two_streams(
            batch["tokens"],
            batch["perm_mask"],
            target_mapping(batch["masked_positions"], batch["weights"], batch["tokens"].shape[1]),
            batch.get("token_types"),
            batch["segments"],
            memory,
            backward_B,
        ).g
        head = network.token_head(g_BMD)
        loss = cross_entropy(head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size)
        return {"permutation_lm": loss.total}, token_metrics("permutation_lm", loss.correct, batch["weights"])

    def coefficients(self) -> dict[str, float]:
        return {}


def target_mapping(positions_BM: jax.Array, weights_BM: jax.Array, length: int) -> jax.Array:
    """float32 [B, M, L]: 1 at each query's token; a query without weight stands nowhere."""
    return jax.nn.one_hot(positions_BM, length) * (weights_BM > 0)[..., None]

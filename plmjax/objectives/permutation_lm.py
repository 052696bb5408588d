"""Permutation language modelling: tokens are predicted in a random order, each from those before it (Yang et al. 2019).

Only the last 1 / K of the order are predicted, by the query stream; the positions stay as they are, the order is in
the attention mask alone. On a network without relative positions and memory, and without spans, it is the permuted LM
that BART is compared with (Lewis et al. 2019, Sec. 4.1).

With a memory (`RecurrentPermutationLM`) each row of the batches reads on along a text. Of a segment the first
`model.reuse_length` tokens go into the memory, and the next segment begins after them (Yang et al. 2019, released code:
512 tokens, 256 of them reused). So the first tokens may see nothing of the others, which are the next segment's first:
else the memory would hold what is predicted from it (zihangdai/xlnet, data_utils.py 677-698). Each part has its own
share of the predictions, 43 and 42 of 512 tokens (474-483).

Legend: B batch, L length, M predicted tokens, D model width.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import FullSentences, Streams
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.modules.facts import memory_length_of
from plmjax.modules.network import RecurrentNetwork
from plmjax.noise import permutation
from plmjax.noise.masking import choose_tokens
from plmjax.objectives.base import Example, Losses, check_fit, token_metrics


@dataclass(slots=True)
class PartialPrediction:
    """Which tokens are predicted, and in which order."""

    k: float = 6.0  # one token of K is predicted; the base models' K, paper Table 6
    spans: bool = True  # spans from a word start on; False: single tokens, Table 6's "- span-based prediction"
    longest: int = 5  # a span has n tokens with odds of 1/n, n up to this
    context: float = 6.0  # tokens around a span for each of its own, code (mask_alpha / mask_beta); paper: K - 1
    whole_words: bool = False  # n counts words, as the code's comments mean; False: tokens, as paper and code have it
    block: int = 0  # the order is random within blocks of so many tokens (perm_size); 0: over the whole window

    def max_predictions(self, length: int) -> int:
        """M: 85 at length 512 for K = 6."""
        return int(self.counts(length)[-1])

    def counts(self, length: int) -> np.ndarray:
        """int32 [length + 1]: tokens to predict in an example of n real tokens, at least one."""
        return np.array([0] + [max(1, int(n / self.k)) for n in range(1, length + 1)], np.int32)

    def check(self, vocabulary: Vocabulary) -> None:
        """UserError for settings that are wrong or that the vocabulary can't serve."""
        for name, least in (("k", 1), ("longest", 1), ("context", 1), ("block", 0)):
            if getattr(self, name) < least:
                raise UserError(f"objective.prediction.{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.spans and self.whole_words and vocabulary.word_start is None:
            raise UserError(
                "objective.prediction.whole_words is True, but this tokenizer can't tell where a word starts; "
                "set it to False or choose another tokenizer."
            )

    def corrupt(
        self,
        key: jax.Array,
        example: Example,
        vocabulary: Vocabulary,
        backward: jax.Array | bool = False,
        reused: int | None = None,
    ) -> Example:
        """`perm_mask` [L, L], `masked_positions`, `targets` and `weights` [M] of one example.

        Args:
            key: of the example.
            example: with `tokens` and `segments` [L].
            vocabulary: of the tokens.
            backward: the text runs from its end to its start.
            reused: tokens from the left whose states the memory keeps; None: no memory goes on.
        """
        choice_key, order_key = jax.random.split(key)
        tokens_L, real_L = example["tokens"], example["segments"] > 0
        length = len(tokens_L)
        functional_L = jnp.isin(tokens_L, jnp.asarray(functional(vocabulary), jnp.int32))
        budget = jnp.asarray(self.counts(length))[jnp.sum(real_L)]
        choose = partial(self._choose, vocabulary=vocabulary, backward=backward)
        if reused is None:
            chosen_L = choose(choice_key, tokens_L, real_L, functional_L, budget)
        else:
            first, rest = slice(None, reused), slice(reused, None)
            of_rest = budget * (length - reused) // length  # 42 of 85, data_utils.py 477-478
            chosen = [
                choose(jax.random.fold_in(choice_key, number), tokens_L[part], real_L[part], functional_L[part], share)
                for number, (part, share) in enumerate(((first, budget - of_rest), (rest, of_rest)))
            ]
            chosen_L = jnp.concatenate(chosen)
        order = permutation.hide_by_order(
            permutation.local_order(order_key, length, self.block or length),
            chosen_L,
            functional_L,
            self.max_predictions(length),
            reused,
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
        functional_L: jax.Array,
        budget: jax.Array,
        vocabulary: Vocabulary,
        backward: jax.Array | bool,
    ) -> jax.Array:
        candidates_L = real_L & ~functional_L
        if not self.spans:
            return choose_tokens(key, candidates_L, budget)
        starts_L = jnp.ones_like(real_L)
        if vocabulary.word_start is not None:
            starts_L = (
                jnp.asarray(vocabulary.word_start)[tokens_L] | jnp.asarray(vocabulary.is_special)[tokens_L] | ~real_L
            )
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
    """Permutation LM; with `prediction.k=1` every token is predicted."""

    kinds: ClassVar[tuple[str, ...]] = ("two_stream",)
    NAME: ClassVar[str] = "permutation_lm"

    window: Any = field(default_factory=FullSentences)
    prediction: PartialPrediction = field(default_factory=PartialPrediction)
    static: bool = False  # True: an example has the same order in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        self.prediction.check(vocabulary)

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return example | self.prediction.corrupt(key, example, vocabulary)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return self.of_streams(network, self.streams(network, batch), batch, vocabulary)

    def streams(self, network: Any, batch: Example, **memory: Any) -> Any:
        """The two streams of a corrupted batch, after the text of a memory where one is given."""
        turned = {"backward_B": batch["backward"] > 0} if "backward" in batch else {}
        return network.two_streams(
            batch["tokens"],
            batch["perm_mask"],
            target_mapping(batch["masked_positions"], batch["weights"], batch["tokens"].shape[1]),
            batch.get("token_types"),
            batch["segments"],
            **turned,
            **memory,
        )

    def of_streams(self, network: Any, streams: Any, batch: Example, vocabulary: Vocabulary) -> Losses:
        """The loss of the query stream."""
        head = network.token_head(streams.g)
        loss = cross_entropy(head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size)
        return {self.NAME: loss.total}, token_metrics(self.NAME, loss.correct, batch["weights"])

    def coefficients(self) -> dict[str, float]:
        return {}


@dataclass(slots=True)
class RecurrentPermutationLM(PermutationLM):
    """Permutation LM along a text, half of the rows from its end on so that the memory is the text after (bi_data).

    Table 6's "- memory" is `model.memory_length=0`, its "- bidirectional data" `window.both_ways=False`.
    """

    window: Any = field(default_factory=lambda: Streams(overlap=0, both_ways=True))

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        PermutationLM.check(self, network_config, kind, vocabulary, length)
        if memory_length_of(network_config) is None:
            raise UserError(
                "The objective RecurrentPermutationLM carries a memory, for which "
                f"{type(network_config).__name__} has no room; choose XLNetConfig, or the objective PermutationLM."
            )
        if "continues" not in self.window.gives:
            raise UserError(
                "The objective RecurrentPermutationLM reads on from batch to batch, which windows of "
                f"{type(self.window).__name__} do not; choose PairStreams or Streams, or the objective PermutationLM."
            )
        reused = network_config.reuse_length or length
        if reused != self.window.stride(length):
            raise UserError(
                f"{reused} of the {length} tokens of a segment go into the memory (model.reuse_length), but the next "
                f"segment begins after {self.window.stride(length)}: set model.reuse_length to "
                f"{self.window.stride(length)}."
            )

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        length = len(example["tokens"])
        stride = self.window.stride(length)
        reused = None if stride == length else stride  # what goes into the memory whole holds nothing of the next
        if "backward" not in example:
            return example | self.prediction.corrupt(key, example, vocabulary, reused=reused)
        # The two readings of one window have their own draws.
        key = jax.random.fold_in(key, example["backward"])
        return example | self.prediction.corrupt(key, example, vocabulary, example["backward"] > 0, reused)

    def memory(self, module: RecurrentNetwork, rows: int, train: bool) -> Any:
        """See base.Recurrent; () for a network that remembers nothing."""
        memory_length = module.config.memory_length
        return module.init_memory(rows, memory_length) if memory_length else ()

    def losses_after(self, network: Any, batch: Example, memory: Any, vocabulary: Vocabulary, train: bool) -> Any:
        """See base.Recurrent."""
        before = memory.of_rows(batch["continues"]) if memory else None
        streams = self.streams(network, batch, memory=before)
        return (*self.of_streams(network, streams, batch, vocabulary), streams.memory if memory else ())


def functional(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids that are never predicted, and see as predicted tokens do: separator, class token and padding.

    All others are text, the end of a document and unknown words too (data_utils.py 605-608: SEP and CLS alone).
    """
    ids = (vocabulary.pad, vocabulary.cls_or_bos, vocabulary.sep_or_eos)
    return tuple(token for token in ids if token is not None)


def target_mapping(positions_BM: jax.Array, weights_BM: jax.Array, length: int) -> jax.Array:
    """float32 [B, M, L]: 1 at each query's token; a query without weight stands nowhere."""
    return jax.nn.one_hot(positions_BM, length) * (weights_BM > 0)[..., None]

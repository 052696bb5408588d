"""Causal language modelling of consecutive segments, with a memory of those before (Dai et al. 2019, Sec. 3.2).

Each row of the batches reads a stretch of the corpus from its start to its end; what the network's layers have read of
a segment is what they have before them in the next, without a gradient. The memory is part of the training state, so
that a run resumes in the middle of its texts.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Streams
from plmjax.errors import UserError
from plmjax.losses.weighted import Weighted
from plmjax.modules.facts import memory_length_of
from plmjax.modules.network import Network, RecurrentNetwork
from plmjax.objectives.base import Example, token_metrics
from plmjax.objectives.causal_lm import CausalLM


@dataclass(slots=True)
class Reading:
    """Settings of reading the validation text, where they differ from training's."""

    length: int = 0  # tokens of a segment; 0: train.length
    memory_length: int = 0  # states remembered; 0: model.memory_length
    same_length: bool = False  # every token sees the last memory_length tokens and no others
    clamp: int = 0  # distances beyond count as this; 0: as model.clamp says


@dataclass(slots=True)
class RecurrentLM(CausalLM):
    """Causal LM with segment recurrence. model.memory_length=0 is the paper's Table 6 without recurrence."""

    NAME: ClassVar[str] = "causal_lm"

    window: Any = field(default_factory=Streams)
    loss: str = "full"  # in training: of every token, or of the second "half" of each segment (Table 6)
    evaluation: Reading = field(default_factory=Reading)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        CausalLM.check(self, network_config, kind, vocabulary, length)
        if memory_length_of(network_config) is None:
            raise UserError(
                f"The objective RecurrentLM carries a memory, for which {type(network_config).__name__} has no room; "
                "choose TransformerXLConfig, or the objective CausalLM."
            )
        if "continues" not in self.window.gives or "token_types" in self.window.gives:  # PairStreams' B breaks the text
            raise UserError(
                "The objective RecurrentLM reads one text on from batch to batch, which windows of "
                f"{type(self.window).__name__} do not; choose Streams."
            )
        if self.loss not in ("full", "half"):
            raise UserError(f"objective.loss is {self.loss!r}; it must be 'full' or 'half'.")
        for name in ("length", "memory_length", "clamp"):
            if getattr(self.evaluation, name) < 0:
                raise UserError(f"objective.evaluation.{name} is {getattr(self.evaluation, name)}; take 0 or more.")
        if self.evaluation.same_length and not (self.evaluation.memory_length or network_config.memory_length):
            raise UserError(
                "objective.evaluation.same_length is True, but without a memory no token would see any; set "
                "objective.evaluation.memory_length too."
            )

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        if split.name == "validation":
            length = self.evaluation.length or length
        return CausalLM.windows(self, split, vocabulary, length, seed)

    def memory(self, module: RecurrentNetwork, rows: int, train: bool) -> Any:
        """See base.Recurrent; () for a network that remembers nothing."""
        memory_length = self._memory_length(module, train)
        return module.init_memory(rows, memory_length) if memory_length else ()

    def losses_after(self, network: Any, batch: Example, memory: Any, vocabulary: Vocabulary, train: bool) -> Any:
        """See base.Recurrent."""
        tokens_BL, read, memory_length = batch["tokens"], self.evaluation, self._memory_length(network.module, train)
        before = memory.of_rows(batch["continues"]) if memory_length else network.module.init_memory(len(tokens_BL), 0)
        other = {} if train else {"same_length": read.same_length or None, "clamp": read.clamp or None}
        x_BLD, after = network.decode_after(tokens_BL, before, memory_length, **other)
        if train and self.loss == "half":
            is_second_half_L = jnp.arange(tokens_BL.shape[1]) >= tokens_BL.shape[1] // 2
            batch = batch | {"weights": batch["weights"] * is_second_half_L}
        loss = self.token_loss(network, x_BLD, batch, vocabulary, train)
        losses: dict[str, Weighted] = {self.NAME: loss.total}
        return losses, token_metrics(self.NAME, loss.correct, batch["weights"]), after if memory_length else ()

    def _memory_length(self, module: Network, train: bool) -> int:
        own: int = module.config.memory_length
        return own if train else self.evaluation.memory_length or own

    @property
    def perplexities(self) -> tuple[str, ...]:
        """Losses whose perplexity validation gives too."""
        return (self.NAME,)

"""Bidirectional language modelling (Peters et al. 2018, Sec. 3.1): each word from those before it and those after.

Two texts are read, each by its own LSTM: the sentences as they are, and the same sentences turned round. Training may
score each word against a sample of the vocabulary; validation takes the full softmax.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import SentenceStreams
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.losses.sampled import draw_candidates, sampled_cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules.network import RecurrentNetwork
from plmjax.objectives.base import Example, Losses, check_fit, token_metrics

READS = ("tokens", "segments", "targets", "characters", "backward_targets", "backward_characters", "continues")
FORWARD, BACKWARD = "forward_lm", "backward_lm"


@dataclass(slots=True)
class BidirectionalLM:
    """The mean of the two directions' losses; LSTM states go on from batch to batch, their gradients do not."""

    kinds: ClassVar[tuple[str, ...]] = ("bidirectional",)
    static: ClassVar[bool] = False  # candidates are drawn anew in each epoch

    window: Any = field(default_factory=SentenceStreams)
    samples: int = 0  # words that each is scored against in training, drawn for each batch and direction; 0: all words

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, READS)
        vocabulary.require("bos", "eos", *(() if vocabulary.shortlist == vocabulary.size else ("unk",)))
        if self.window.characters != network_config.characters:
            raise UserError(
                f"objective.window.characters is {self.window.characters}, but the network reads words of "
                f"{network_config.characters} characters: make it model.characters."
            )
        if not 0 <= self.samples <= vocabulary.shortlist:
            raise UserError(
                f"objective.samples is {self.samples}, but there are {vocabulary.shortlist} words to draw from: take "
                "fewer, or 0 for the full softmax."
            )

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        """Nothing is corrupted; `draw` is the key of the candidates."""
        return example | {
            "weights": (example["segments"] > 0).astype(jnp.float32),
            "draw": jax.random.key_data(key),
        }

    def memory(self, module: RecurrentNetwork, rows: int, train: bool) -> Any:
        """See base.Recurrent."""
        return module.init_memory(rows)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        memory = network.module.init_memory(len(batch["tokens"]))
        losses, metrics, _ = self.losses_after(network, batch, memory, vocabulary, train)
        return losses, metrics

    def losses_after(self, network: Any, batch: Example, memory: Any, vocabulary: Vocabulary, train: bool) -> Any:
        """See base.Recurrent."""
        characters, backward = (batch[name].astype(jnp.int32) for name in ("characters", "backward_characters"))
        states, after = network.read(characters, backward, memory.of_rows(batch["continues"]))
        # The first row's key serves the batch: like dropout's masks, candidates differ from microbatch to microbatch.
        keys = jax.random.split(jax.random.wrap_key_data(batch["draw"][0]))
        losses: dict[str, Weighted] = {}
        metrics: dict[str, Weighted] = {}
        for name, field_name, x_BLD, key in zip(
            (FORWARD, BACKWARD), ("targets", "backward_targets"), states, keys, strict=True
        ):
            samples = self.samples if train else 0
            loss = _token_loss(network.token_head(x_BLD), batch[field_name], batch["weights"], vocabulary, samples, key)
            losses[name] = loss.total
            metrics |= token_metrics(name, loss.correct, batch["weights"])
        return losses, metrics, after

    def coefficients(self) -> dict[str, float]:
        return {FORWARD: 0.5, BACKWARD: 0.5}

    @property
    def perplexities(self) -> tuple[str, ...]:
        """Losses whose perplexity validation gives too."""
        return (FORWARD, BACKWARD)


def _token_loss(
    head: Any, targets_BL: jax.Array, weights_BL: jax.Array, vocabulary: Vocabulary, samples: int, key: jax.Array
) -> TokenLoss:
    """Against `samples` words, or all of them."""
    if not samples:
        return cross_entropy(head.h, head.table, head.bias, targets_BL, weights_BL, size=vocabulary.shortlist)
    candidates = draw_candidates(key, samples, vocabulary.shortlist)
    return sampled_cross_entropy(head.h, head.table, head.bias, targets_BL, weights_BL, candidates)

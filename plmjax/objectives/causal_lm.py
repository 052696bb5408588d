"""Causal language modelling: each token is predicted from those before it (GPT-1, Radford et al. 2018, Sec. 3.1;
GPT-2).

The window reads one token more than the network: its first L tokens are the inputs, its last L the targets.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.losses.adaptive import adaptive_cross_entropy
from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.modules.adaptive import AdaptiveHead
from plmjax.modules.facts import vocabulary_cuts_of
from plmjax.objectives.base import Example, Losses, check_fit, check_share, group_metrics, token_metrics


def _chunks() -> Chunks:
    return Chunks(separator=True, isolate=False, overlap=1)


@dataclass(slots=True)
class CausalLM:
    """Causal LM on consecutive chunks of the corpus.

    `window.isolate=True` keeps the documents of a chunk from each other: attention stays within a document, positions
    restart with it, and no token is predicted from the document before. By default a chunk is one text, as GPT was
    trained.
    """

    kinds: ClassVar[tuple[str, ...]] = ("decoder",)
    static: ClassVar[bool] = False  # nothing is random

    window: Any = field(default_factory=_chunks)
    label_smoothing: float = 0.0  # share of the target's probability spread over the vocabulary, in training
    z_loss: float = 0.0  # factor of logsumexp(logits)**2, in training

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "positions", "segments"))
        check_share("objective.label_smoothing", self.label_smoothing)
        if vocabulary_cuts_of(network_config):
            self._check_adaptive(tuple(network_config.cutoffs), vocabulary)
        if getattr(self.window, "overlap", 1) != 1:
            raise UserError(
                f"objective.window.overlap is {self.window.overlap}, but causal LM predicts each token once; "
                "set it to 1."
            )
        if getattr(self.window, "separator", False):
            vocabulary.require("eos")

    def _check_adaptive(self, cutoffs: tuple[int, ...], vocabulary: Vocabulary) -> None:
        if list(cutoffs) != sorted(set(cutoffs)) or not 0 < cutoffs[0] <= cutoffs[-1] < vocabulary.size:
            raise UserError(
                f"model.cutoffs is {cutoffs}; they must rise from above 0 to below the {vocabulary.size} tokens of the "
                "vocabulary."
            )
        if self.label_smoothing or self.z_loss:
            raise UserError(
                "An adaptive softmax has neither label smoothing nor z-loss: set objective.label_smoothing and "
                "objective.z_loss to 0, or model.cutoffs to ()."
            )

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length + 1, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        tokens, segments = example["tokens"], example["segments"]
        predicted = (segments[:-1] > 0) & (segments[1:] == segments[:-1])
        shifted = {"tokens": tokens[:-1], "positions": example["positions"][:-1], "segments": segments[:-1]}
        return example | shifted | {"targets": tokens[1:], "weights": predicted.astype(jnp.float32)}

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        loss = self.token_loss(network, self.states(network, batch), batch, vocabulary, train)
        metrics = token_metrics("causal_lm", loss.correct, batch["weights"])
        if self.groups and not train:
            metrics |= group_metrics(self.groups, loss, batch["weights"], self.group_numbers(batch))
        return {"causal_lm": loss.total}, metrics

    @property
    def groups(self) -> tuple[str, ...]:
        """See base.Grouped."""
        return ()

    def group_numbers(self, batch: Example) -> jax.Array:
        """int32, broadcasts to [B, L]: the group of each target."""
        return batch["group"][:, None]

    def states(self, network: Any, batch: Example) -> jax.Array:
        """[B, L, D], from which the next tokens are predicted."""
        return network.decode(batch["tokens"], batch["positions"], batch["segments"])

    def token_loss(
        self, network: Any, x_BLD: jax.Array, batch: Example, vocabulary: Vocabulary, train: bool
    ) -> TokenLoss:
        """The loss of each token, [B, L], from its state."""
        head = network.token_head(x_BLD)
        if isinstance(head, AdaptiveHead):
            return adaptive_cross_entropy(head.clusters, batch["targets"], batch["weights"], size=vocabulary.size)
        return cross_entropy(
            head.h,
            head.table,
            head.bias,
            batch["targets"],
            batch["weights"],
            size=vocabulary.size,
            label_smoothing=self.label_smoothing if train else 0.0,
            z_loss=self.z_loss if train else 0.0,
        )

    def coefficients(self) -> dict[str, float]:
        return {}

"""ELECTRA's objectives: a generator fills masked positions, a second network reads the result (Clark et al. 2020).

`ReplacedTokens` tells for each token whether it was replaced; `ReplaceMLM` and `AllTokensMLM` of the paper's Table 5
predict the original tokens instead. Each is the generator's masked LM plus the second network's loss.

Legend: B batch, L length, M masked positions per example, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import FullSentences
from plmjax.errors import UserError
from plmjax.losses.binary import sigmoid_cross_entropy
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.losses.likelihood import MASKED_OUT, log_likelihood
from plmjax.losses.weighted import Weighted
from plmjax.noise import replacement
from plmjax.objectives.base import Example, Losses, binary_metrics, check_fit, token_metrics
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.masking_strategies import MaskableText

SAMPLE_KEY = "sample_key"  # batch field: the generator's samples are noise of the example, like its masks


@dataclass(slots=True)
class GeneratorMasking(Masking):
    """ELECTRA's masking: 85% of the chosen tokens become the mask, the others stay; none becomes a random token.

    The share is that of google-research/electra, pretrain/pretrain_helpers.py:201-205; DeBERTa v3's code masks all
    (microsoft/DeBERTa, apps/tasks/rtd_task.py:145).

    duplicates: "none" draws positions without replacement; "reference" as the released code does, where a position that
    is drawn twice gets, as its replacement, the mean of two sampled ids.
    """

    mask_share: float = 0.85
    random_share: float = 0.0
    duplicates: str = "none"  # "none" or "reference"

    def check(self, vocabulary: Vocabulary) -> None:
        Masking.check(self, vocabulary)
        if self.duplicates not in ("none", "reference"):
            raise UserError(f"objective.masking.duplicates is {self.duplicates!r}; it must be 'none' or 'reference'.")
        if self.duplicates == "reference" and (self.strategy != "tokens" or self.random_share):
            raise UserError(
                "objective.masking.duplicates is 'reference', which chooses single tokens and makes none random; "
                "set strategy to 'tokens' and random_share to 0."
            )

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        if self.duplicates == "none":
            return Masking.corrupt(self, key, example, vocabulary)
        tokens_L = example["tokens"]
        strategy, text = self.strategies.named(self.strategy), MaskableText.of(example, vocabulary)
        masked = replacement.mask_with_replacement(
            key,
            tokens_L,
            text.candidates_L,
            strategy.budget(text, self.rate),
            predictions=self.max_predictions(len(tokens_L)),
            mask=vocabulary.mask,
            mask_share=self.mask_share,
        )
        return masked._asdict()


@dataclass(slots=True)
class PairObjective:
    """The base of the objectives on a generator and a second network."""

    kinds: ClassVar[tuple[str, ...]] = ("generator_discriminator",)
    name: ClassVar[str] = ""  # of the second network's loss

    window: Any = field(default_factory=FullSentences)
    masking: GeneratorMasking = field(default_factory=GeneratorMasking)
    temperature: float = 1.0  # of the generator's samples
    weight: float = 1.0  # of the second network's loss beside the generator's
    static: bool = False  # True: an example has the same masks and draws in every epoch

    @property
    def second_heads(self) -> tuple[str, ...]:
        """Heads of the second network."""
        raise NotImplementedError

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """Heads of the two networks by name."""
        return {"generator": ("token",), "discriminator": self.second_heads}

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        self.masking.check(vocabulary)
        if self.temperature <= 0 or self.weight < 0:
            raise UserError(
                f"objective.temperature is {self.temperature} and objective.weight {self.weight}; the first must be "
                "above 0, the second not below."
            )

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        mask_key, sample_key = jax.random.split(key)
        masked = self.masking.corrupt(mask_key, example, vocabulary)
        return example | masked | {"originals": example["tokens"], SAMPLE_KEY: jax.random.key_data(sample_key)}

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        replaced, losses, metrics = self._generate(network.subnetwork("generator"), batch, vocabulary)
        second, more = self.second_losses(network.subnetwork("discriminator"), replaced, vocabulary, train)
        return losses | second, metrics | more

    def second_losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        """Losses and metrics of the network that reads the batch whose `tokens` hold the generator's samples."""
        raise NotImplementedError

    def coefficients(self) -> dict[str, float]:
        return {self.name: self.weight}

    def _generate(self, generator: Any, batch: Example, vocabulary: Vocabulary) -> tuple[Example, Any, Any]:
        """The batch with the generator's samples in `tokens`, and the generator's losses and metrics."""
        x_BMD = _at_masked(generator, batch)
        head = generator.token_head(x_BMD)
        loss = cross_entropy(head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size)
        is_token_V = jnp.arange(head.table.shape[0]) < vocabulary.size
        logits_BMV = jnp.where(is_token_V, jax.lax.stop_gradient(head).logits(), MASKED_OUT)

        def one(key: jax.Array, logits_MV: jax.Array) -> jax.Array:
            return replacement.sample(jax.random.wrap_key_data(key), logits_MV, self.temperature)

        samples_BM = jax.vmap(one)(batch[SAMPLE_KEY], logits_BMV)
        tokens_BL = jax.vmap(replacement.put)(
            batch["originals"], batch["masked_positions"], samples_BM, batch["weights"]
        )
        metrics = token_metrics("masked_lm", loss.correct, batch["weights"])
        return batch | {"tokens": tokens_BL}, {"masked_lm": loss.total}, metrics


@dataclass(slots=True)
class ReplacedTokens(PairObjective):
    """Replaced-token detection: was this token replaced? A sample that equals the original was not.

    where: "all" tokens that are no padding, special ones too, as released; or those at the "masked" positions alone
    (ELECTRA 15% of Table 5). Validation also gives the metric `replaced_tokens_ranked`, see `ranked`: few tokens are
    replaced, so that its accuracy starts where always saying "original" is.
    """

    name: ClassVar[str] = "replaced_tokens"

    weight: float = 50.0  # lambda (paper, Sec. 2; DeBERTa v3's released code: 10)
    where: str = "all"  # "all" or "masked"

    @property
    def second_heads(self) -> tuple[str, ...]:
        return ("replaced_token_detection",)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        PairObjective.check(self, network_config, kind, vocabulary, length)
        if self.where not in ("all", "masked"):
            raise UserError(f"objective.where is {self.where!r}; it must be 'all' or 'masked'.")

    def second_losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        logits_BL = network.replaced_token_logits(_encode(network, batch).x_BLD)
        is_replaced_BL = batch["tokens"] != batch["originals"]
        weights_BL = (batch["segments"] > 0).astype(jnp.float32)
        if self.where == "masked":
            zeros_BL = jnp.zeros_like(weights_BL)
            rows_B1 = jnp.arange(len(zeros_BL))[:, None]
            weights_BL = zeros_BL.at[rows_B1, batch["masked_positions"]].max(batch["weights"])
        loss = sigmoid_cross_entropy(logits_BL, is_replaced_BL, weights_BL)
        metrics = binary_metrics(self.name, loss.correct, is_replaced_BL, weights_BL)
        if not train:
            metrics[f"{self.name}_ranked"] = ranked(logits_BL, is_replaced_BL, weights_BL)
        return {self.name: loss.total}, metrics


@dataclass(slots=True)
class ReplaceMLM(PairObjective):
    """Masked LM on inputs that hold the generator's samples in place of masks (Table 5: Replace MLM)."""

    name: ClassVar[str] = "replace_mlm"

    @property
    def second_heads(self) -> tuple[str, ...]:
        return ("token",)

    def second_losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        head = network.token_head(_at_masked(network, batch))
        loss = cross_entropy(head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size)
        return {self.name: loss.total}, token_metrics(self.name, loss.correct, batch["weights"])


@dataclass(slots=True)
class AllTokensMLM(PairObjective):
    """Every token predicted from inputs that hold samples, by a mixture of copying and the softmax (All-Tokens MLM).

    p(token) = C [token is the input] + (1 - C) softmax, C the sigmoid of the detection head's negative: a token that
    seems replaced is not to be copied. Logits exist for a chunk of tokens at a time. The metric
    `all_tokens_mlm_masked` is the loss at the masked positions, to compare with masked LM.
    """

    name: ClassVar[str] = "all_tokens_mlm"

    @property
    def second_heads(self) -> tuple[str, ...]:
        return ("token", "replaced_token_detection")

    def second_losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        encoding = _encode(network, batch)
        head = network.token_head(encoding.tokens_BLD)
        originals_BL = batch["originals"]
        found = log_likelihood(
            head.h.reshape(-1, head.h.shape[-1]), head.table, head.bias, originals_BL.reshape(-1), size=vocabulary.size
        )
        gate_BL = network.replaced_token_logits(encoding.x_BLD)
        written_BL = jax.nn.log_sigmoid(gate_BL) + found.log_p.reshape(originals_BL.shape)
        is_kept_BL = batch["tokens"] == originals_BL
        copied_BL = jnp.where(is_kept_BL, jax.nn.log_sigmoid(-gate_BL), MASKED_OUT)
        loss_BL = -jnp.logaddexp(written_BL, copied_BL)
        weights_BL = (batch["segments"] > 0).astype(jnp.float32)
        correct_BL = jnp.where(gate_BL > 0, found.correct.reshape(originals_BL.shape), is_kept_BL.astype(jnp.float32))
        masked_BM = jnp.take_along_axis(loss_BL, batch["masked_positions"], axis=1)
        metrics = token_metrics(self.name, correct_BL, weights_BL)
        metrics[f"{self.name}_masked"] = Weighted.of(jax.lax.stop_gradient(masked_BM), batch["weights"])
        return {self.name: Weighted.of(loss_BL, weights_BL)}, metrics


def ranked(logits_BL: jax.Array, labels_BL: jax.Array, weights_BL: jax.Array) -> Weighted:
    """The share of pairs of a yes and a no of one example in which the yes has the larger logit; a tie counts half."""
    yes_BL1 = (labels_BL * weights_BL)[:, :, None]
    no_B1L = (~labels_BL * weights_BL)[:, None, :]
    pairs_BLL = yes_BL1 * no_B1L
    larger_BLL = (jnp.sign(logits_BL[:, :, None] - logits_BL[:, None, :]) + 1) / 2
    return Weighted.of(larger_BLL, pairs_BLL)


def _encode(network: Any, batch: Example) -> Any:
    return network.encode_for_tokens(
        batch["tokens"], batch.get("token_types"), batch.get("positions"), batch["segments"]
    )


def _at_masked(network: Any, batch: Example) -> jax.Array:
    """[B, M, D]: what the token head reads, at the masked positions."""
    return jnp.take_along_axis(_encode(network, batch).tokens_BLD, batch["masked_positions"][..., None], axis=1)

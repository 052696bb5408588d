"""DistilBERT's pre-training: a student learns a teacher's distribution, its states and masked LM (Sanh et al. 2019).

Legend: B batch, L length, D model width.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import FullSentences
from plmjax.errors import UserError
from plmjax.losses.distillation import cosine_distance, softened_divergence
from plmjax.losses.weighted import Weighted
from plmjax.objectives.base import Example, Losses, check_fit
from plmjax.objectives.masked_lm import Masking


@dataclass(slots=True)
class Distillation:
    """Three losses under their weights: soft targets, masked LM, and the cosine between the last states.

    The weights are those of the released command, 5, 2 and 1 (its example for several GPUs has a third each); a weight
    of 0 leaves a loss out, and its cost (the paper's Table 4).
    """

    kinds: ClassVar[tuple[str, ...]] = ("distillation",)

    window: Any = field(default_factory=FullSentences)
    masking: Masking = field(default_factory=Masking)
    soft_targets: float = 5.0  # KL divergence at the temperature, times its square
    masked_lm: float = 2.0
    cosine: float = 1.0  # 1 - cos of the two networks' last states
    temperature: float = 2.0
    where: str = "all"  # soft targets at "all" tokens that are no padding, or at the "masked" ones alone
    static: bool = False  # True: an example has the same mask in every epoch

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """Heads of the two networks by name."""
        return {"student": ("token",), "teacher": ("token",)}

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        self.masking.check(vocabulary)
        if self.where not in ("all", "masked"):
            raise UserError(f"objective.where is {self.where!r}; it must be 'all' or 'masked'.")
        if self.temperature <= 0:
            raise UserError(f"objective.temperature is {self.temperature}; it must be above 0.")
        if min(self.soft_targets, self.masked_lm, self.cosine) < 0 or not self._weights():
            raise UserError("The weights objective.soft_targets, masked_lm and cosine must be at least 0, not all 0.")
        student, teacher = network_config.student.d_model, network_config.teacher.d_model
        if self.cosine and student != teacher:
            raise UserError(
                f"objective.cosine compares states, but the student's are {student} wide and the teacher's {teacher}; "
                "set it to 0 or give the student the teacher's width."
            )

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, length, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        return example | self.masking.corrupt(key, example, vocabulary)

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        student = network.subnetwork("student")
        encoding = _encode(student, batch)
        losses: dict[str, Weighted] = {}
        metrics: dict[str, Weighted] = {}
        if self.masked_lm:
            losses, metrics = self.masking.losses(student, encoding, batch, vocabulary, train)
        if not (self.soft_targets or self.cosine):
            return losses, metrics
        teacher = network.subnetwork("teacher")
        given = _encode(teacher, batch)
        real_BL = (batch["segments"] > 0).astype(jnp.float32)
        if self.soft_targets:
            states, weights = [encoding.tokens_BLD, given.tokens_BLD], real_BL
            if self.where == "masked":
                places = batch["masked_positions"][..., None]
                states, weights = [jnp.take_along_axis(x, places, axis=1) for x in states], batch["weights"]
            heads = [
                net.token_head(x.reshape(-1, x.shape[-1])) for net, x in zip((student, teacher), states, strict=True)
            ]
            values = softened_divergence(*heads, size=vocabulary.size, temperature=self.temperature)
            losses["soft_targets"] = Weighted.of(values, weights.reshape(-1))
        if self.cosine:
            losses["cosine"] = Weighted.of(cosine_distance(encoding.x_BLD, given.x_BLD), real_BL)
        return losses, metrics

    def coefficients(self) -> dict[str, float]:
        return self._weights()

    def _weights(self) -> dict[str, float]:
        weights = {"soft_targets": self.soft_targets, "masked_lm": self.masked_lm, "cosine": self.cosine}
        return {name: weight for name, weight in weights.items() if weight}


def _encode(network: Any, batch: Example) -> Any:
    return network.encode_for_tokens(
        batch["tokens"], batch.get("token_types"), batch.get("positions"), batch["segments"]
    )

"""Conditional language modelling: p(x | c), the text from its control code (CTRL, Keskar et al. 2019, Sec. 2)."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import CodedChunks
from plmjax.errors import UserError
from plmjax.objectives.base import Example
from plmjax.objectives.causal_lm import CausalLM


@dataclass(slots=True)
class ConditionalLM(CausalLM):
    """Causal LM whose text follows a control code, which is read and not predicted."""

    window: Any = field(default_factory=CodedChunks)

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        CausalLM.check(self, network_config, kind, vocabulary, length)
        if "given" not in self.window.gives:
            raise UserError(
                f"A text is predicted from its control code, which windows of {type(self.window).__name__} do not "
                "have; choose CodedChunks."
            )

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
        batch = CausalLM.corrupt(self, key, example, vocabulary)
        is_text_L = jnp.arange(1, len(batch["targets"]) + 1) >= batch.pop("given")
        return batch | {"weights": batch["weights"] * is_text_L}

"""The language model that BART is compared with: its decoder without cross-attention (Lewis et al. 2019, Sec. 4.1).

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.bart import Positioned
from plmjax.modules.gpt import GPT, GPTConfig
from plmjax.modules.layers import Embed, normal


@dataclass(slots=True, unsafe_hash=True)
class BartLMConfig(GPTConfig):
    """The sizes of BART's language model; the defaults are as deep as BART base's two stacks."""

    norm: str = "post"
    activation: str = "gelu"
    residual_init_scale: float = 1.0


class BartLMEmbeddings(Positioned):
    """Tokens and positions, with a norm after them: `tokens/embedding`, `positions/embedding`, `norm`."""

    def setup(self) -> None:
        super().setup()
        c = self.config
        self.tokens = Embed(c.vocab_size, c.d_model, normal(c.init_std), jnp.dtype(c.dtype))

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        return super().__call__(self.tokens(tokens_BL), positions_BL)

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class BartLM(GPT):
    """BART's blocks, post-norm, in a decoder with a tied head."""

    config: BartLMConfig

    @nn.nowrap
    def make_embeddings(self) -> nn.Module:
        """As GPT's."""
        return BartLMEmbeddings(self.config)  # type: ignore[arg-type]  # which has the fields that Positioned reads


VARIANTS: dict[str, BartLMConfig] = {
    "tiny": BartLMConfig(num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "mini": BartLMConfig(num_layers=4, num_heads=4, d_model=128, d_ff=512, max_positions=256),
    "base": BartLMConfig(),
}

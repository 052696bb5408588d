"""The language model that BART is compared with: its decoder without cross-attention (Lewis et al. 2019, Sec. 4.1).

Legend: B batch, L length.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.gpt import GPT, GPTConfig, GPTEmbeddings
from plmjax.modules.layers import LayerNorm


@dataclass(slots=True, unsafe_hash=True)
class BartLMConfig(GPTConfig):
    """The sizes of BART's language model; the defaults are as deep as BART base's two stacks."""

    norm: str = "post"
    activation: str = "gelu"
    position_init_std: float = 0.02
    residual_init_scale: float = 1.0


class BartLMEmbeddings(GPTEmbeddings):
    """Tokens + positions, with a norm after them."""

    def setup(self) -> None:
        super().setup()
        self.norm = LayerNorm(self.config.norm_eps, jnp.dtype(self.config.dtype))

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        return self.dropout(self.norm(self.tokens(tokens_BL) + self.positions(positions_BL, tokens_BL.shape[1])))


class BartLM(GPT):
    """BART's blocks, post-norm, in a decoder with a tied head."""

    config: BartLMConfig

    @nn.nowrap
    def make_embeddings(self) -> nn.Module:
        """Makes BART's embeddings."""
        return BartLMEmbeddings(self.config)


VARIANTS: dict[str, BartLMConfig] = {
    "tiny": BartLMConfig(num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "mini": BartLMConfig(num_layers=4, num_heads=4, d_model=128, d_ff=512, max_positions=256),
    "base": BartLMConfig(),
}

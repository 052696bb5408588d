"""CTRL (Keskar et al. 2019): a pre-norm decoder with scaled embeddings, sines for positions and a biased tied head.

Legend: B batch, L length, D model width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.gpt import GPT, GPTConfig
from plmjax.modules.heads import TiedTokenHead, TokenHead
from plmjax.modules.layers import Dropout, Embed, normal
from plmjax.modules.positions import SinusoidalPositions


@dataclass(slots=True, unsafe_hash=True)
class CTRLConfig(GPTConfig):
    """The sizes of a CTRL; the defaults are the released model's, 1.63B (Keskar et al. 2019, Sec. 3.2)."""

    max_positions: int = 256
    num_layers: int = 48
    num_heads: int = 16
    d_model: int = 1280
    d_ff: int = 8192
    activation: str = "relu"
    norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    residual_init_scale: float = 1.0


class CTRLEmbeddings(nn.Module):
    """Tokens times the root of D, + positions."""

    config: CTRLConfig

    def setup(self) -> None:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        self.tokens = Embed(c.vocab_size, c.d_model, normal(c.init_std), dtype)
        self.positions = SinusoidalPositions(c.max_positions, c.d_model, halves=True, dtype=dtype)
        self.dropout = Dropout(c.dropout)

    def __call__(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        x_BLD = self.tokens(tokens_BL) * self.config.d_model**0.5
        return self.dropout(x_BLD + self.positions(positions_BL, tokens_BL.shape[1]))

    def table(self) -> Array:
        """The token table [V, D]."""
        return self.tokens.table()


class CTRL(GPT):
    """A decoder with a tied head that has a bias, `token_head/bias`."""

    config: CTRLConfig

    def setup(self) -> None:
        super().setup()
        self._head = TiedTokenHead(self.config.vocab_size, name="token_head")

    @nn.nowrap
    def make_embeddings(self) -> nn.Module:
        """Scaled tokens and sines."""
        return CTRLEmbeddings(self.config)

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        return self._head(x, self.embeddings.table())


_RELEASED = CTRLConfig()
_TINY: dict[str, Any] = {"num_layers": 2, "num_heads": 2, "d_model": 32, "d_ff": 64, "max_positions": 64}

VARIANTS: dict[str, CTRLConfig] = {
    "tiny": replace(_RELEASED, **_TINY),
    "mini": replace(_RELEASED, num_layers=4, num_heads=4, d_model=128, d_ff=512),
    "ctrl": _RELEASED,  # 1.63B with its 246,534 vocabulary rows
}

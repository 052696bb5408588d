"""GPT-3 (Brown et al. 2020): GPT-2 with dense and locally banded layers in turn; and GPT-Neo, its open replica."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flax import linen as nn

from plmjax.modules.attention import Attention
from plmjax.modules.cycled_stack import CycledStack, banded
from plmjax.modules.gpt import GPT, GPTConfig
from plmjax.modules.transformer import Block


@dataclass(slots=True, unsafe_hash=True)
class GPT3Config(GPTConfig):
    """The sizes of a GPT-3; the defaults are GPT-3 Small's (Brown et al. 2020, Table 2.1; no dropout is reported)."""

    max_positions: int = 2048
    bands: tuple[int, ...] = (0, 256)  # tokens that the layers see, in turn; 0: all. The paper does not give the width.
    dropout: float = 0.0
    attention_dropout: float = 0.0


class GPT3(GPT):
    """A decoder whose layers see bands in turn."""

    config: GPT3Config

    @nn.nowrap
    def make_stack(
        self, make_block: Callable[..., Block], make_final_norm: Callable[..., nn.Module] | None
    ) -> nn.Module:
        """The layers."""
        c = self.config
        if c.scale_attn_by_inverse_layer_idx:
            raise ValueError("scale_attn_by_inverse_layer_idx is GPT-2's: a GPT-3 or GPT-Neo can't have it")
        return CycledStack(c.num_layers, make_block, banded(c.bands), make_final_norm, remat=c.remat, unroll=c.unroll)


@dataclass(slots=True, unsafe_hash=True)
class GPTNeoConfig(GPT3Config):
    """The sizes of a GPT-Neo; the defaults are the 125M's (released configuration)."""


class GPTNeo(GPT3):
    """GPT-3 as EleutherAI built it: queries and keys without bias, and their products not scaled (released code)."""

    config: GPTNeoConfig

    @nn.nowrap
    def make_attention(self) -> Callable[..., Attention]:
        """A layer's attention."""
        return partial(super().make_attention(), scale=1.0, use_bias=False, out_bias=True)


def _sized(layers: int, heads: int, d_model: int, **fields: Any) -> GPT3Config:
    return GPT3Config(num_layers=layers, num_heads=heads, d_model=d_model, d_ff=4 * d_model, **fields)


_TINY: dict[str, Any] = {"max_positions": 64, "bands": (0, 4)}

# Vocabulary rows: GPT-2's 50,257.
VARIANTS: dict[str, GPT3Config] = {
    "tiny": _sized(2, 2, 32, **_TINY),
    "mini": _sized(4, 4, 128, max_positions=256, bands=(0, 32)),
    # Brown et al. 2020, Table 2.1
    "small": _sized(12, 12, 768),  # 125M
    "medium": _sized(24, 16, 1024),  # 350M
    "large": _sized(24, 16, 1536),  # 760M
    "xl": _sized(24, 16, 2048),  # 1.3B; printed with 24 heads of 128, which are not 2,048 wide: 16 give the count
    "2.7b": _sized(32, 32, 2560),
    "6.7b": _sized(32, 32, 4096),
    "13b": _sized(40, 40, 5120),  # printed with d_model 5,140, which 40 heads of 128 do not fill
    "175b": _sized(96, 96, 12288),
}
NEO_VARIANTS: dict[str, GPTNeoConfig] = {
    name: GPTNeoConfig(**{field: getattr(config, field) for field in config.__dataclass_fields__})
    for name, config in (
        ("tiny", VARIANTS["tiny"]),
        # the released configurations
        ("125m", VARIANTS["small"]),
        ("1.3b", replace(VARIANTS["xl"])),
        ("2.7b", replace(VARIANTS["2.7b"], num_heads=20)),
    )
}

"""ELECTRA (Clark et al. 2020): BERT's network twice, a small generator and the discriminator that is kept.

Legend: B batch, L length, D model width, E embedding width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from plmjax.modules.bert import Bert, BertConfig
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.modules.heads import ClassHead, TransformTokenHead


@dataclass(slots=True, unsafe_hash=True)
class ElectraConfig(BertConfig):
    """The sizes of one of the two networks: BERT's, and the width of the embeddings, which both have in common."""

    embedding_width: int = 0  # 0: d_model


class Electra(Bert):
    """BERT on embeddings of a width of their own."""

    config: ElectraConfig

    @property
    def embedding_width(self) -> int:
        """E."""
        return self.config.embedding_width or self.config.d_model

    @property
    def class_reads_pooler(self) -> bool:
        """ELECTRA has no pooler."""
        return False

    def make_token_head(self) -> nn.Module:
        """The generator's: with the exact GELU whatever the layers have, as Hugging Face's class."""
        c = self.config
        return TransformTokenHead(
            c.vocab_size,
            self.embedding_width,
            "gelu",
            c.norm_eps,
            self.head_init,
            jnp.dtype(c.dtype),
            name="token_head",
        )

    def make_class_head(self) -> nn.Module:
        """The first token through `dense`, GELU, `out`, as released."""
        c = self.config
        rate = self.head_dropout_rate
        return ClassHead(c.d_model, c.num_labels, "gelu", self.head_init, jnp.dtype(c.dtype), rate, rate)


def pair(discriminator: ElectraConfig, size: float, **fields: Any) -> GeneratorDiscriminatorConfig:
    """A discriminator and its generator: as many layers, `size` times as wide (paper, Sec. 3.2 and Table 6)."""
    generator = replace(
        discriminator,
        num_heads=max(1, round(discriminator.num_heads * size)),
        d_model=round(discriminator.d_model * size),
        d_ff=round(discriminator.d_ff * size),
        embedding_width=discriminator.embedding_width or discriminator.d_model,
    )
    return GeneratorDiscriminatorConfig(replace(discriminator), generator, **fields)


_BASE = ElectraConfig(activation="gelu_tanh")
_SMALL = replace(_BASE, d_model=256, num_heads=4, d_ff=1024, embedding_width=128)
_LARGE = replace(_BASE, num_layers=24, num_heads=16, d_model=1024, d_ff=4096)

# Discriminators (paper, Table 6); `PAIRS` says how large their generators are.
VARIANTS: dict[str, ElectraConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, embedding_width=16, max_positions=64),
    "small": _SMALL,  # 14M
    "base": _BASE,  # 110M
    "large": _LARGE,  # 335M
}
PAIRS: dict[str, GeneratorDiscriminatorConfig] = {
    "tiny": pair(VARIANTS["tiny"], 1 / 2),
    "small": pair(_SMALL, 1 / 4),
    "base": pair(_BASE, 1 / 3),
    "large": pair(_LARGE, 1 / 4),
}

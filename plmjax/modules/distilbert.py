"""DistilBERT (Sanh et al. 2019): BERT with half the layers, without token types and pooler.

Legend: B batch, L length, D model width.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from flax import linen as nn

from plmjax.modules.bert import Bert, BertConfig
from plmjax.modules.heads import ClassHead


@dataclass(slots=True, unsafe_hash=True)
class DistilBertConfig(BertConfig):
    """BERT's sizes; the defaults are DistilBERT base's (paper, Sec. 3)."""

    token_type_vocab: int = 0
    num_layers: int = 6
    activation: str = "gelu"


class DistilBert(Bert):
    """BERT, but for the head of a text's class."""

    config: DistilBertConfig

    @property
    def class_reads_pooler(self) -> bool:
        """There is no pooler."""
        return False

    @property
    def head_dropout_rate(self) -> float:
        """The released configuration's (seq_classif_dropout); 0 in a network without dropout."""
        return 2 * self.config.dropout

    def make_class_head(self) -> nn.Module:
        """The first token through `dense`, ReLU, `out`, as released."""
        c = self.config
        return ClassHead(c.d_model, c.num_labels, "relu", self.head_init, jnp.dtype(c.dtype), self.head_dropout_rate)


_BASE = DistilBertConfig()

VARIANTS: dict[str, DistilBertConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, max_positions=64),
    "base": _BASE,  # Sanh et al. 2019, Table 3: 66M
}

"""ALBERT (Lan et al. 2020): BERT with narrow embeddings and layers that share their parameters.

Legend: B batch, L length, D model width, E embedding width, V vocabulary rows.
"""

from dataclasses import dataclass, replace
from typing import Any

from plmjax.modules.bert import Bert, BertConfig, BertEmbeddings, make_block
from plmjax.modules.shared_stack import SharedStack


@dataclass(slots=True, unsafe_hash=True)
class AlbertConfig(BertConfig):
    """BERT's sizes, the width of the embeddings and what the layers share."""

    embedding_width: int = 128  # a linear map leads to d_model; 0: of d_model, without the map
    sharing: str = "all"  # "none", "attention", "feed_forward", "all"
    groups: int = 1  # runs of layers that share among themselves
    # Blocks of a group, all of which each of its layers runs (google-research/albert, modeling.py, transformer_model).
    inner_group_num: int = 1


class Albert(Bert):
    """BERT with factorised embeddings and a shared stack."""

    config: AlbertConfig

    def setup(self) -> None:
        c = self.config
        self.embeddings = BertEmbeddings(c, self.embedding_width, self.projects_embeddings)
        self.encoder: Any = SharedStack(
            c.num_layers, c.groups, c.sharing, make_block(c), c.remat, c.unroll, c.inner_group_num
        )
        self.setup_heads()

    @property
    def embedding_width(self) -> int:
        """E."""
        return self.config.embedding_width or self.config.d_model

    @property
    def projects_embeddings(self) -> bool:
        """ALBERT's map is there at any width, E = D too."""
        return self.config.embedding_width > 0

    @property
    def class_reads_pooler(self) -> bool:
        """BERT's classifier reads the pooler, and so does ALBERT's."""
        return True

    @property
    def head_dropout_rate(self) -> float:
        """The released code's classifier drops a tenth, also in version 2, whose layers drop nothing."""
        return self.config.dropout or 0.1


# Lan et al. 2020, Table 1, with 30,000 pieces: 12M, 18M, 60M, 235M.
_BASE = AlbertConfig()
_LARGE = replace(_BASE, num_layers=24, num_heads=16, d_model=1024, d_ff=4096)
_XLARGE = replace(_LARGE, num_heads=16, d_model=2048, d_ff=8192)  # the paper has H / 64 = 32 heads, the release 16
_XXLARGE = replace(_BASE, num_heads=64, d_model=4096, d_ff=16384, dropout=0.0, attention_dropout=0.0)
_DRY: dict[str, Any] = {"dropout": 0.0, "attention_dropout": 0.0}

VARIANTS: dict[str, AlbertConfig] = {
    "tiny": replace(_BASE, num_layers=2, num_heads=2, d_model=32, d_ff=64, embedding_width=16, max_positions=64),
    "base": _BASE,
    "large": _LARGE,
    "xlarge": _XLARGE,
    "xxlarge": _XXLARGE,
    # Version 2 as released trains without dropout (README of the released code).
    "base_v2": replace(_BASE, **_DRY),
    "large_v2": replace(_LARGE, **_DRY),
    "xlarge_v2": replace(_XLARGE, **_DRY),
    "xxlarge_v2": _XXLARGE,
}

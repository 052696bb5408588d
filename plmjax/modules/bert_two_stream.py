"""BERT with a second stream, which predicts a token without reading it (Lewis et al. 2019, Sec. 4.1).

The content stream is BERT. The query stream runs through the same layers: it starts from a learned vector in place of a
token's row, with the token's position and type, and its keys and values are the content's (Yang et al. 2019, Sec. 2.3).
Positions are BERT's: no relative ones, and no memory.

Legend: B batch, L length, M queries, D model width, E embedding width.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.bert import VARIANTS as BERT_VARIANTS
from plmjax.modules.bert import Bert, BertConfig, BertEmbeddings, make_block
from plmjax.modules.layers import truncated_normal
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import Block, BlockInputs, run_layers


@dataclass(slots=True, unsafe_hash=True)
class BertTwoStreamConfig(BertConfig):
    """The sizes of a BERT with two streams: a BERT's."""


class TwoStreamOutput(NamedTuple):
    """h [B, L, D], the content; g [B, M, D], the queries, or None."""

    h: Array
    g: Array | None


class TwoStreamLayers(nn.Module):
    """BERT's layers under `layers/...`, for one stream or for both."""

    config: BertTwoStreamConfig

    def setup(self) -> None:
        self.layers = make_block(self.config)()

    def __call__(self, x_BLD: Array, inputs: BlockInputs) -> tuple[Array, None]:
        """[B, L, D], as a Stack's."""
        x_BLD, _ = self._run(lambda block, x, _: block(x, inputs), x_BLD)
        return x_BLD, None

    def streams(self, h_BLD: Array, g_BMD: Array, content: Mask, query: Mask) -> tuple[Array, Array]:
        """Returns both streams: [B, L, D], [B, M, D]."""

        def step(block: Block, streams: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            keys_values = block.attention.keys_values(streams[0])

            def go_on(x: Array, mask: Mask) -> Array:
                y = block.residual_dropout(block.attention(x, keys_values, mask))
                return block.feed_forward(block.wiring.post(block.attention_norm, x, y))

            return (go_on(streams[0], content), go_on(streams[1], query)), None

        (h_BLD, g_BMD), _ = self._run(step, (h_BLD, g_BMD))
        return h_BLD, g_BMD

    def _run(self, step: Any, x: Any) -> tuple[Any, Any]:
        c = self.config
        return run_layers(step, self.layers, x, None, num_layers=c.num_layers, remat=c.remat, unroll=c.unroll)


class TwoStreamEmbeddings(BertEmbeddings):
    """BERT's, and the vector `query` [E] that stands for a token not read."""

    def setup(self) -> None:
        super().setup()
        self.query = self.param("query", truncated_normal(self.config.init_std), (self.width,), jnp.float32)

    def queries(self, batch: int, length: int, token_types_BL: Array | None) -> Array:
        """[B, L, D], a query for each place."""
        query_BLE = jnp.broadcast_to(self.query.astype(self.config.dtype), (batch, length, self.width))
        return self.placed(query_BLE, token_types_BL, None)


class BertTwoStream(Bert):
    """BERT with the heads that the config names, and `two_streams`."""

    config: BertTwoStreamConfig
    kind: ClassVar[str] = "two_stream"

    def setup(self) -> None:
        c = self.config
        self.embeddings = TwoStreamEmbeddings(c, self.embedding_width, self.projects_embeddings)
        self.encoder = TwoStreamLayers(c)
        self.setup_heads()

    def two_streams(
        self,
        tokens_BL: Array,
        perm_mask_BLL: Array | None,
        target_mapping_BML: Array | None,
        token_types_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> TwoStreamOutput:
        """Returns both streams.

        Args:
            tokens_BL: token ids.
            perm_mask_BLL: 1 (or True) where token l may not see token t; h sees itself all the same. None: all is seen.
            target_mapping_BML: the queries' tokens, one 1 a row; None: no query stream. A row of zeros asks nothing.
            token_types_BL, segments_BL: as `encode`.
        """
        batch, length = tokens_BL.shape
        content = Mask.within(segments_BL)
        if perm_mask_BLL is not None:
            content = replace(content, hidden=(perm_mask_BLL != 0) & ~jnp.eye(length, dtype=jnp.bool_))
        h_BLD = self.embeddings(tokens_BL, token_types_BL, None)
        if target_mapping_BML is None:
            return TwoStreamOutput(self.encoder(h_BLD, BlockInputs(content))[0], None)
        asked_BLD = self.embeddings.queries(batch, length, token_types_BL)
        g_BMD = jnp.einsum("bml,bld->bmd", target_mapping_BML.astype(asked_BLD.dtype), asked_BLD)
        query = _at_queries(target_mapping_BML, segments_BL, perm_mask_BLL)
        return TwoStreamOutput(*self.encoder.streams(h_BLD, g_BMD, content, query))


def _at_queries(mapping_BML: Array, segments_BL: Array | None, perm_mask_BLL: Array | None) -> Mask:
    """The mask of the queries, which see what is shown to their tokens."""
    hidden, segments_BM = None, None
    if perm_mask_BLL is not None:
        hidden = jnp.einsum("bml,blt->bmt", mapping_BML, perm_mask_BLL.astype(mapping_BML.dtype)) > 0
    if segments_BL is not None:
        segments_BM = jnp.einsum("bml,bl->bm", mapping_BML.astype(jnp.int32), segments_BL)
    return Mask(segments_BM, segments_BL, hidden=hidden)


def _as_two_stream(config: BertConfig) -> BertTwoStreamConfig:
    return BertTwoStreamConfig(**{name: getattr(config, name) for name in BertConfig.__dataclass_fields__})


# RoBERTa's layout, fairseq's, in which BART's rivals were trained.
_ROBERTA = BERT_VARIANTS["roberta_base"]
_MINI: dict[str, Any] = {"num_layers": 4, "num_heads": 4, "d_model": 128, "d_ff": 512}
VARIANTS: dict[str, BertTwoStreamConfig] = {
    "tiny": _as_two_stream(BERT_VARIANTS["roberta_tiny"]),
    "mini": _as_two_stream(replace(_ROBERTA, max_positions=256, **_MINI)),  # as deep as BART's mini's two stacks
    "base": _as_two_stream(_ROBERTA),  # as deep as BART base's two stacks
}

"""T5's encoder-decoder whose encoder and decoder share their parameters (Raffel et al. 2020, Sec. 3.2.2).

Legend: B batch, L length, D model width.
"""

from dataclasses import dataclass

from jax import Array

from plmjax.modules.encoder_decoder import EncoderDecoder
from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import normal
from plmjax.modules.positions import RelativeBias
from plmjax.modules.t5 import T5Embeddings, T5Stack
from plmjax.modules.t5_lm import T5LMConfig
from plmjax.modules.transformer import Block, BlockInputs, CrossBlock, run_layers


@dataclass(slots=True, unsafe_hash=True)
class T5SharedConfig(T5LMConfig):
    """The sizes of the one stack that reads inputs and targets."""


class BothWaysStack(T5Stack):
    """A decoder's stack that encodes too: without its cross-attention and with relative biases of its own.

    Layers and final norm are the same. The biases are not, for a bucket of the encoder's is not the decoder's: half of
    them are for tokens to the right. Parameters besides T5Stack's: `encoder_relative_bias/embedding`.
    """

    def setup(self) -> None:
        super().setup()
        c = self.config
        self.encoder_relative_bias = RelativeBias(
            c.num_heads, c.relative_buckets, c.relative_max_distance, True, normal(c.d_model**-0.5)
        )

    def encode(self, x_BLD: Array, inputs: BlockInputs) -> Array:
        """[B, L, D] of inputs [B, L, D]."""
        length = x_BLD.shape[1]
        inputs = inputs._replace(bias=self.encoder_relative_bias(length, length))
        layer = lambda block, x, _: Block.__call__(block, x, inputs)  # noqa: E731
        x_BLD, _ = run_layers(layer, self.layers, self.dropout(x_BLD), None, **self._sizes)
        return self.dropout(self.final_norm(x_BLD))


class T5Shared(EncoderDecoder):
    """One stack that encodes the inputs, and decodes with cross-attention; the head is the token table."""

    config: T5SharedConfig

    def setup(self) -> None:
        c = self.config
        self.embeddings = T5Embeddings(c)
        self.decoder = BothWaysStack(c, c.num_layers, CrossBlock, causal=True)

    def encoder(self, x_BLD: Array, inputs: BlockInputs) -> tuple[Array, None]:
        """Calls the shared layers as an encoder's stack."""
        return self.decoder.encode(x_BLD, inputs), None

    def embed_inputs(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """The tokens' rows."""
        return self.embeddings(tokens_BL)

    def embed_targets(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """The tokens' rows."""
        return self.embeddings(tokens_BL)

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """The decoder's layers, heads, and width of a head."""
        return self.config.num_layers, self.config.num_heads, self.config.d_kv

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]: the tied table's, of the states times D^-1/2."""
        return TokenHead(x * self.config.d_model**-0.5, self.embeddings.table(), None)


VARIANTS: dict[str, T5SharedConfig] = {
    "tiny": T5SharedConfig(num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": T5SharedConfig(num_layers=2, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    # Raffel et al. 2020, Table 2: "P", one stack's parameters; the cross-attention is a third more
    "base": T5SharedConfig(),
}

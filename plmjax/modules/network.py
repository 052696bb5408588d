"""The interface of a network to the rest of plmjax: its kind, its configuration and, by kind, how it is called.

Legend: B batch, L length, S memory length, D model width, V vocabulary rows.

Networks are called with their parameters through `plmjax.modules.Bound`, which has the methods of its network.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from jax import Array

from plmjax.modules.heads import TokenHead


class Network(Protocol):
    """The type of what `build` returns, one network or a composite."""

    @property
    def kind(self) -> str:
        """ "encoder", "decoder", "encoder_decoder", "two_stream" or "bidirectional"; a composite's is its own."""

    @property
    def config(self) -> Any:
        """The configuration that it was built from."""

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """{"params": nested dict of float32 arrays}; needs no input."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of the method that `method` names, with {"params": ...}."""


class CompositeNetwork(Network, Protocol):
    """A network made of several, such as ELECTRA's generator and discriminator."""

    modules: Mapping[str, Network]  # by name
    frozen: tuple[str, ...]  # those that training leaves as they are

    def subnetwork(self, params: Any, name: str) -> tuple[Network, Any]:
        """One of them with its whole parameters."""


class RecurrentNetwork(Network, Protocol):
    """A network that carries a memory of the text before."""

    def init_memory(self, batch: int, length: int = ...) -> Any:
        """The empty memory of `batch` rows, of `length` states where the network lets that be chosen."""


@runtime_checkable
class TokenNetwork(Network, Protocol):
    """A network that scores the vocabulary."""

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""


@runtime_checkable
class EncoderNetwork(TokenNetwork, Protocol):
    """Kinds "encoder" and "two_stream"."""

    class_token: ClassVar[str]  # of a text, at which its class is read: "first" or "last"

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """States [B, L, D]; segment 0 is padding, and a token sees its own segment."""


@runtime_checkable
class TwoStreamNetwork(EncoderNetwork, Protocol):
    """Kind "two_stream", which predicts tokens from a second stream that does not see them."""

    def two_streams(self, *args: Any, **kwargs: Any) -> Any:
        """The content stream [B, L, D] and the query stream [B, M, D]."""


@runtime_checkable
class DecoderNetwork(TokenNetwork, Protocol):
    """Kind "decoder"."""

    def known_heads(self) -> tuple[str, ...]:
        """The heads that a network of its class can have."""

    def init_cache(self, batch: int, length: int) -> Any:
        """An empty cache for `length` tokens."""

    def decode(
        self,
        tokens_BL: Array,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Any = None,
    ) -> Any:
        """States [B, L, D]; with a cache, the states and the cache with these tokens appended."""


@runtime_checkable
class EncoderDecoderNetwork(TokenNetwork, Protocol):
    """Kind "encoder_decoder"."""

    tags_by_encoder: ClassVar[bool]  # whether a token's label is read off the encoder alone

    def encode(self, tokens_BL: Array, positions_BL: Array | None = None, segments_BL: Array | None = None) -> Array:
        """The memory [B, S, D]."""

    def decode(
        self,
        tokens_BL: Array,
        memory_BSD: Array | None,
        memory_segments_BS: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Any = None,
    ) -> Any:
        """States [B, L, D]; with a cache, the states and the cache with these tokens appended."""


# What a network of each kind can be called for.
BY_KIND: dict[str, type] = {
    "encoder": EncoderNetwork,
    "two_stream": TwoStreamNetwork,
    "decoder": DecoderNetwork,
    "encoder_decoder": EncoderDecoderNetwork,
}

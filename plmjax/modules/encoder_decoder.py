"""The base of every encoder-decoder: it encodes, decodes with the memory of what was encoded, and keeps a cache.

Legend: B batch, L length, S memory length, D model width, V vocabulary rows, C classes.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.cache import Cache, append_segments, empty_cache, layer_cache, with_keys_values
from plmjax.modules.heads import ClassHead, TokenHead
from plmjax.modules.layers import Dense, Initializer
from plmjax.modules.masks import Mask
from plmjax.modules.transformer import BlockInputs

HEADS = ("token", "sequence_classification", "token_classification", "question_answering")


class EncoderDecoder(nn.Module):
    """A subclass makes `encoder` and `decoder`, says how tokens are embedded for each and gives the token head.

    `encoder(x, inputs)` and `decoder(x, inputs, cache)` are stacks; the decoder's has `memory_keys_values(memory)`.

    A config has, besides what the stacks need: vocab_size, d_model, heads, num_labels and dtype. Names in `heads` (one
    method each): "token" the vocabulary; and of fine-tuning "sequence_classification" the label of a text,
    "token_classification" that of each token, "question_answering" start and end of
    a span. The last three read the states that they are given: the decoder's in BART, the encoder's in T5's tagger.
    """

    config: Any
    kind: ClassVar[str] = "encoder_decoder"
    tags_by_encoder: ClassVar[bool] = False  # whether a token's label is read off the encoder alone

    @property
    def heads(self) -> tuple[str, ...]:
        """The config's, or the vocabulary alone where a config names none."""
        return getattr(self.config, "heads", ("token",))

    def setup_heads(self, init: Initializer) -> None:
        """Makes the heads of fine-tuning that the config names, kernels by `init`; for a family's `setup`."""
        c, heads = self.config, set(self.heads)
        if unknown := heads - set(HEADS):
            raise ValueError(f"head {sorted(unknown)[0]!r} is not known; use some of {', '.join(HEADS)}")
        if "sequence_classification" in heads:
            self.class_head = ClassHead(c.d_model, c.num_labels, "tanh", init, jnp.dtype(c.dtype))
        if "token_classification" in heads:
            self.tag_head = Dense(c.num_labels, kernel_init=init)
        if "question_answering" in heads:
            self.answer_head = Dense(2, kernel_init=init)

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        tokens_BL = jnp.zeros((1, 1), jnp.int32)
        x_BLD: Any = self.decode(tokens_BL, self.encode(tokens_BL))
        readers: dict[str, Callable[[], Any]] = {
            "token": lambda: self.token_head(x_BLD),
            "sequence_classification": lambda: self.class_logits(x_BLD),
            "token_classification": lambda: self.token_classification_logits(x_BLD),
            "question_answering": lambda: self.question_answering_logits(x_BLD),
        }
        for name in self.heads:
            readers[name]()

    def embed_inputs(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """Embeds the input for the encoder's first layer [B, L, D]."""
        raise NotImplementedError

    def embed_targets(self, tokens_BL: Array, positions_BL: Array | None) -> Array:
        """Embeds the targets for the decoder's first layer [B, L, D]."""
        raise NotImplementedError

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the scores of states [..., D]."""
        raise NotImplementedError

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """The decoder's layers, heads, and width of a head."""
        raise NotImplementedError

    def encode(self, tokens_BL: Array, positions_BL: Array | None = None, segments_BL: Array | None = None) -> Array:
        """The memory [B, L, D] in `dtype` of int32 [B, L] inputs.

        Args:
            tokens_BL: token ids.
            positions_BL: None means 0, 1, ...; not read by networks whose positions are distances.
            segments_BL: 0 is padding, and a token sees its own segment; None means all ones.
        """
        x_BLD, _ = self.encoder(self.embed_inputs(tokens_BL, positions_BL), BlockInputs(Mask.within(segments_BL)))
        return x_BLD

    def decode(
        self,
        tokens_BL: Array,
        memory_BSD: Array | None,
        memory_segments_BS: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """States [B, L, D] in `dtype`; with a cache, the states and the cache with these tokens appended.

        Args:
            tokens_BL: what the decoder reads, the targets shifted right. A token sees itself and what precedes it
                in its segment, and the memory of the same segment number.
            memory_BSD: what `encode` gave; may be None with a cache of `start_cache`, which holds what is read of it.
            memory_segments_BS: the encoder's segments; not read with such a cache.
            positions_BL: None means 0, 1, ..., from the cache's index on; not read as in `encode`.
            segments_BL: 0 is padding; None means all ones.
            cache: see cache.py.
        """
        if cache is None:
            x_BLD = self.embed_targets(tokens_BL, positions_BL)
            across = Mask.across(x_BLD, segments_BL, memory_BSD, memory_segments_BS)
            inputs = BlockInputs(Mask.within(segments_BL, causal=True), None, memory_BSD, across)
            return self.decoder(x_BLD, inputs)[0]
        if segments_BL is None:
            segments_BL = jnp.ones_like(tokens_BL)
        if positions_BL is None:
            index_L = cache["index"] + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)
            positions_BL = jnp.broadcast_to(index_L[None], tokens_BL.shape)
        x_BLD = self.embed_targets(tokens_BL, positions_BL)
        cache, mask = append_segments(cache, segments_BL)
        across = Mask(segments_BL, cache["memory_segments"])
        x_BLD, own = self.decoder(x_BLD, BlockInputs(mask, memory_mask=across), layer_cache(cache))
        return x_BLD, with_keys_values(cache, own)

    def start_cache(self, memory_BSD: Array, memory_segments_BS: Array | None, length: int) -> Cache:
        """A cache for `length` decoder tokens that holds every layer's keys and values of the memory."""
        layers, heads, width = self.cache_shape
        batch = memory_BSD.shape[0]
        if memory_segments_BS is None:
            memory_segments_BS = jnp.ones(memory_BSD.shape[:2], jnp.int32)
        memory = self.decoder.memory_keys_values(memory_BSD)
        return empty_cache(layers, batch, length, heads, width, jnp.dtype(self.config.dtype)) | {
            "memory_key": memory.key,
            "memory_value": memory.value,
            "memory_segments": memory_segments_BS,
        }

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()

    def class_logits(self, x_BLD: Array, last_B: Array | None = None) -> Array:
        """float32 [B, C], from the decoder's state at `last_B`, its last token (Lewis et al. 2019, Sec. 3.1); None: at
        the last place."""
        self.require_head("sequence_classification")
        last_B1D = x_BLD[:, -1:] if last_B is None else jnp.take_along_axis(x_BLD, last_B[:, None, None], axis=1)
        return self.class_head(last_B1D).astype(jnp.float32)

    def token_classification_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L, C]."""
        self.require_head("token_classification")
        return self.tag_head(x_BLD).astype(jnp.float32)

    def question_answering_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L, 2]: that the answer starts here, and that it ends here."""
        self.require_head("question_answering")
        return self.answer_head(x_BLD).astype(jnp.float32)

    def require_head(self, name: str) -> None:
        """ValueError where the network was built without the head."""
        if name not in self.heads:
            raise ValueError(f"this network was built without the head {name!r}; add it to the config's heads")

"""The base of every encoder: states of tokens, and the heads that its config names.

Legend: B batch, L length, M chosen positions, D model width, E embedding width, V vocabulary rows, C classes.
"""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.heads import (
    ClassHead,
    DetectionHead,
    Pooler,
    SpanBoundaryHead,
    TokenHead,
    TransformTokenHead,
)
from plmjax.modules.layers import Dense, Dropout, Initializer, truncated_normal

HEADS = (
    "token",
    "pool",
    "next_sentence",
    "span",
    "replaced_token_detection",
    "sequence_classification",
    "token_classification",
    "question_answering",
)


class EncoderOutput(NamedTuple):
    """States of the tokens, and those that the token head reads: the same but for DeBERTa's enhanced mask decoder."""

    x_BLD: Array
    tokens_BLD: Array


class Encoder(nn.Module):
    """The base of every encoder; a family makes its trunk in `setup`, calls `setup_heads()` there, and gives `encode`.

    A config has, besides what the trunk needs: vocab_size, d_model, activation, norm_eps, init_std, heads, num_labels
    and dtype. Each name in `heads` has a method that gives its scores:

        token                       the vocabulary (masked LM)
        pool                        the pooled first token
        next_sentence               whether the second text of a pair follows the first
        span                        SpanBERT's boundary objective
        replaced_token_detection    ELECTRA's: whether each token is original or replaced
        sequence_classification     the label of a text
        token_classification        the label of each token
        question_answering          where the answer starts and where it ends
    """

    config: Any
    kind: ClassVar[str] = "encoder"
    class_token: ClassVar[str] = "first"  # of a text, at which its class is read: "first" or "last"

    def encode(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> Array:
        """States [B, L, D] in `dtype` of int32 [B, L] inputs.

        Args:
            tokens_BL: token ids.
            token_types_BL: rows of the table of token types; None means 0.
            positions_BL: None means 0, 1, ...
            segments_BL: 0 is padding, and a token sees its own segment; None means all ones.
        """
        raise NotImplementedError

    def encode_for_tokens(
        self,
        tokens_BL: Array,
        token_types_BL: Array | None = None,
        positions_BL: Array | None = None,
        segments_BL: Array | None = None,
    ) -> EncoderOutput:
        """`encode`, with the states that the token head reads beside."""
        x_BLD = self.encode(tokens_BL, token_types_BL, positions_BL, segments_BL)
        return EncoderOutput(x_BLD, x_BLD)

    def token_table(self) -> Array:
        """The token table [V, E], float32."""
        return self.embeddings.table()

    @property
    def embedding_width(self) -> int:
        """E, where the token table has a width of its own."""
        return self.config.d_model

    @property
    def head_init(self) -> Initializer:
        """The initialiser of the heads' kernels."""
        return truncated_normal(self.config.init_std)

    def setup_heads(self) -> None:
        """Makes the heads that the config names; for a family's `setup`."""
        c, heads = self.config, set(self.config.heads)
        if unknown := heads - set(self.known_heads()):
            raise ValueError(f"head {sorted(unknown)[0]!r} is not known; use some of {', '.join(self.known_heads())}")
        init, dtype = self.head_init, jnp.dtype(c.dtype)
        if "token" in heads:
            self._token_head = self.make_token_head()
        if self.has_pooler:
            self.pooler = self.make_pooler()
        if "next_sentence" in heads:
            self.sentence_head = Dense(2, kernel_init=init)
        if "span" in heads:
            self.span_head = SpanBoundaryHead(
                c.vocab_size, c.d_model, self.embedding_width, c.activation, c.norm_eps, init, dtype
            )
        if "replaced_token_detection" in heads:
            self.detection_head = self.make_detection_head()
        if "sequence_classification" in heads:
            self.class_head = self.make_class_head()
        if {"sequence_classification", "token_classification"} & heads:
            self.head_dropout = Dropout(self.head_dropout_rate)
        if "token_classification" in heads:
            self.tag_head = self.make_tag_head()
        if "question_answering" in heads:
            self.answer_head = self.make_answer_head()

    def known_heads(self) -> tuple[str, ...]:
        """Names that `config.heads` may hold."""
        return HEADS

    @property
    def has_pooler(self) -> bool:
        """Whether there is a pooler: asked for, or brought by a head that reads it."""
        heads = set(self.config.heads)
        return bool({"pool", "next_sentence"} & heads) or (
            self.class_reads_pooler and "sequence_classification" in heads
        )

    @property
    def class_reads_pooler(self) -> bool:
        """Whether the class head is a linear map of the pooled first token; else it reads the states."""
        return False

    @property
    def head_dropout_rate(self) -> float:
        """The dropout rate before the last map of the class head, and before the tag head."""
        return self.config.dropout

    def make_token_head(self) -> nn.Module:
        """The head before the tied table: called with (states, table)."""
        c = self.config
        dtype = jnp.dtype(c.dtype)
        return TransformTokenHead(
            c.vocab_size, self.embedding_width, c.activation, c.norm_eps, self.head_init, dtype, name="token_head"
        )

    def make_pooler(self) -> nn.Module:
        """[B, L, D] to [B, D]."""
        return Pooler(self.config.d_model, kernel_init=self.head_init, dtype=jnp.dtype(self.config.dtype))

    def make_detection_head(self) -> nn.Module:
        """[B, L, D] to [B, L, 1]."""
        c = self.config
        return DetectionHead(c.d_model, c.activation, self.head_init, jnp.dtype(c.dtype))

    def make_class_head(self) -> nn.Module:
        """[B, L, D] to [B, C], or of the pooled [B, D]."""
        c = self.config
        if self.class_reads_pooler:
            return Dense(c.num_labels, kernel_init=self.head_init)
        rate = self.head_dropout_rate
        return ClassHead(c.d_model, c.num_labels, "tanh", self.head_init, jnp.dtype(c.dtype), rate, rate)

    def make_tag_head(self) -> nn.Module:
        """[B, L, D] to [B, L, C]."""
        return Dense(self.config.num_labels, kernel_init=self.head_init)

    def make_answer_head(self) -> nn.Module:
        """[B, L, D] to [B, L, 2]."""
        return Dense(2, kernel_init=self.head_init)

    def __call__(self) -> None:
        """Touches every parameter, so that `init(key)` needs no input."""
        x_BLD, tokens_BLD = self.encode_for_tokens(jnp.zeros((1, 1), jnp.int32))
        readers = {
            "token": lambda: self.token_head(tokens_BLD),
            "pool": lambda: self.pool(x_BLD),
            "next_sentence": lambda: self.next_sentence_logits(x_BLD),
            "span": lambda: self.boundary_head(x_BLD, x_BLD, jnp.zeros((1, 1), jnp.int32)),
            "replaced_token_detection": lambda: self.replaced_token_logits(x_BLD),
            "sequence_classification": lambda: self.class_logits(x_BLD),
            "token_classification": lambda: self.token_classification_logits(x_BLD),
            "question_answering": lambda: self.question_answering_logits(x_BLD),
        }
        for name, read in readers.items():
            if name in self.config.heads:
                read()

    def token_head(self, x: Array) -> TokenHead:
        """The parts of the masked-LM scores of states [..., D]."""
        self.require_head("token")
        return self._token_head(x, self.token_table())

    def token_logits(self, x: Array) -> Array:
        """float32 [..., V]."""
        return self.token_head(x).logits()

    def pool(self, x_BLD: Array) -> Array:
        """[B, D] from the first token's state."""
        if not self.has_pooler:
            self.require_head("pool")
        return self.pooler(x_BLD)

    def next_sentence_logits(self, x_BLD: Array) -> Array:
        """float32 [B, 2]: the pair's label, 0 when the second text follows the first."""
        self.require_head("next_sentence")
        return self.sentence_head(self.pool(x_BLD)).astype(jnp.float32)

    def summary(self, x_BLD: Array, segments_BL: Array | None = None) -> Array:
        """The states that `class_logits` reads of a text: all of them, of which most heads take the first token's."""
        return x_BLD

    def boundary_head(self, left_BMD: Array, right_BMD: Array, offsets_BM: Array) -> TokenHead:
        """The parts of the scores of tokens in spans, from the states beside the span alone (SpanBERT, Sec. 3.2).

        Args:
            left_BMD, right_BMD: states of the tokens before and after the span.
            offsets_BM: int32, place of the token in its span, from 0.
        """
        self.require_head("span")
        return self.span_head(left_BMD, right_BMD, offsets_BM, self.token_table())

    def replaced_token_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L]: above 0 where the token seems replaced."""
        self.require_head("replaced_token_detection")
        return self.detection_head(x_BLD)[..., 0].astype(jnp.float32)

    def class_logits(self, x_BLD: Array) -> Array:
        """float32 [B, C]."""
        self.require_head("sequence_classification")
        read = self.head_dropout(self.pool(x_BLD)) if self.class_reads_pooler else x_BLD
        return self.class_head(read).astype(jnp.float32)

    def token_classification_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L, C]."""
        self.require_head("token_classification")
        return self.tag_head(self.head_dropout(x_BLD)).astype(jnp.float32)

    def question_answering_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L, 2]: that the answer starts here, and that it ends here."""
        self.require_head("question_answering")
        return self.answer_head(x_BLD).astype(jnp.float32)

    def require_head(self, name: str) -> None:
        """ValueError where the network was built without the head."""
        if name not in self.config.heads:
            raise ValueError(f"this network was built without the head {name!r}; add it to the config's heads")

"""The answer's span by a small beam: its start, its end given the start, and whether there is one (XLNet, XLM).

Legend: B batch, L length, D model width, S starts, E ends of a start.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.encoder import Encoder
from plmjax.modules.layers import Dense, Dropout, Initializer, LayerNorm
from plmjax.modules.masks import MASK_VALUE


class BeamAnswers(NamedTuple):
    """The likeliest spans and the score that there is none.

    Attributes:
        start_probabilities float32 [B, S], starts int32 [B, S]: from the likeliest down.
        end_probabilities float32 [B, E, S], ends int32 [B, E, S]: of each start, from the likeliest down.
        class_logits: float32 [B], above 0 where there seems to be no answer.
    """

    start_probabilities: Array
    starts: Array
    end_probabilities: Array
    ends: Array
    class_logits: Array


class AnswerLogits(NamedTuple):
    """The scores of a span whose start is known.

    Attributes:
        start, end: float32 [B, L]; the ends given the true start.
        no_answer: float32 [B], above 0 where there seems to be no answer.
    """

    start: Array
    end: Array
    no_answer: Array


class BeamAnswerHead(nn.Module):
    """The released code's head for SQuAD 2.0.

    Parameters: `start` [D, 1]; `end_dense` [2 D, D], tanh, `end_norm`, `end_out` [D, 1]; `class_dense` [2 D, D], tanh,
    `class_out` [D, 1] without a bias. `dropout` is on what `class_out` reads.
    """

    features: int
    norm_eps: float
    kernel_init: Initializer
    dtype: Any = jnp.float32
    dropout: float = 0.0

    def setup(self) -> None:
        init = self.kernel_init
        self.start = Dense(1, kernel_init=init)
        self.end_dense = Dense(self.features, kernel_init=init, dtype=self.dtype)
        self.end_norm = LayerNorm(self.norm_eps, self.dtype)
        self.end_out = Dense(1, kernel_init=init)
        self.class_dense = Dense(self.features, kernel_init=init, dtype=self.dtype)
        self.class_out = Dense(1, use_bias=False, kernel_init=init)
        self.class_dropout = Dropout(self.dropout)

    def start_logits(self, x_BLD: Array) -> Array:
        """float32 [B, L]: that the answer starts here."""
        return self.start(x_BLD)[..., 0].astype(jnp.float32)

    def end_logits(self, x_BLD: Array, starts_BSD: Array) -> Array:
        """float32 [B, L, S]: that the answer ends here, for each state of a start."""
        shape = (*x_BLD.shape[:2], starts_BSD.shape[1], x_BLD.shape[-1])
        pair = jnp.concatenate(
            [jnp.broadcast_to(x_BLD[:, :, None], shape), jnp.broadcast_to(starts_BSD[:, None], shape)], axis=-1
        )
        return self.end_out(self.end_norm(jnp.tanh(self.end_dense(pair))))[..., 0].astype(jnp.float32)

    def class_logits(self, summary_BD: Array, start_BD: Array) -> Array:
        """float32 [B], from the states of the text's summary and of the start."""
        pair = jnp.concatenate([start_BD, summary_BD], axis=-1)
        return self.class_out(self.class_dropout(jnp.tanh(self.class_dense(pair))))[..., 0].astype(jnp.float32)

    def of_start(self, x_BLD: Array, summary_BD: Array, hidden_BL: Array | None, start_B: Array) -> AnswerLogits:
        """Scores spans whose starts are known; `hidden_BL` as below, and the class reads the same."""
        start_BL = _shown(self.start_logits(x_BLD), hidden_BL)
        true_B1D = jnp.take_along_axis(x_BLD, start_B[:, None, None], axis=1)
        end_BL = _shown(self.end_logits(x_BLD, true_B1D)[..., 0], hidden_BL)
        return AnswerLogits(start_BL, end_BL, self.class_logits(summary_BD, _mean_start(x_BLD, start_BL)))

    def __call__(self, x_BLD: Array, summary_BD: Array, hidden_BL: Array | None, starts: int, ends: int) -> BeamAnswers:
        """`ends` spans of each of `starts` starts; `hidden_BL` (bool or None) is True where no answer may stand.

        The class reads the mean of the states by their probability of being the start.
        """
        start_logits_BL = _shown(self.start_logits(x_BLD), hidden_BL)
        start_BL = jax.nn.softmax(start_logits_BL, axis=-1)
        top_BS, index_BS = jax.lax.top_k(start_BL, starts)
        end_logits_BLS = self.end_logits(x_BLD, jnp.take_along_axis(x_BLD, index_BS[..., None], axis=1))
        if hidden_BL is not None:
            end_logits_BLS = jnp.where(hidden_BL[..., None], MASK_VALUE, end_logits_BLS)
        end_BSL = jnp.swapaxes(jax.nn.softmax(end_logits_BLS, axis=1), 1, 2)
        end_top_BSE, end_index_BSE = jax.lax.top_k(end_BSL, ends)
        return BeamAnswers(
            top_BS,
            index_BS,
            jnp.swapaxes(end_top_BSE, 1, 2),
            jnp.swapaxes(end_index_BSE, 1, 2),
            self.class_logits(summary_BD, _mean_start(x_BLD, start_logits_BL)),
        )


class AnswersByBeam(Encoder):
    """An encoder that may have the head "beam_question_answering", a BeamAnswerHead of that name."""

    def beam_answers(
        self,
        x_BLD: Array,
        hidden_BL: Array | None = None,
        class_index_B: Array | None = None,
        starts: int | None = None,
        ends: int | None = None,
    ) -> BeamAnswers:
        """The likeliest spans; the class is read at `class_index_B`, None for the last token."""
        self.require_head("beam_question_answering")
        c = self.config
        head: Any = self.beam_answer_head  # type: ignore[attr-defined]
        summary_BD = _summary(x_BLD, class_index_B)
        return head(x_BLD, summary_BD, hidden_BL, starts or c.start_beams, ends or c.end_beams)

    def answer_logits_of_start(
        self, x_BLD: Array, start_B: Array, hidden_BL: Array | None = None, class_index_B: Array | None = None
    ) -> AnswerLogits:
        """Scores spans that start at `start_B`; the others as `beam_answers`'."""
        self.require_head("beam_question_answering")
        head: Any = self.beam_answer_head  # type: ignore[attr-defined]
        return head.of_start(x_BLD, _summary(x_BLD, class_index_B), hidden_BL, start_B)


def _summary(x_BLD: Array, class_index_B: Array | None) -> Array:
    """[B, D]."""
    if class_index_B is None:
        return x_BLD[:, -1]
    return jnp.take_along_axis(x_BLD, class_index_B[:, None, None], axis=1)[:, 0]


def _shown(logits_BL: Array, hidden_BL: Array | None) -> Array:
    return logits_BL if hidden_BL is None else jnp.where(hidden_BL, MASK_VALUE, logits_BL)


def _mean_start(x_BLD: Array, start_logits_BL: Array) -> Array:
    """[B, D]: the states' mean by their probability of being the start."""
    return jnp.einsum("bld,bl->bd", x_BLD, jax.nn.softmax(start_logits_BL, axis=-1).astype(x_BLD.dtype))

"""Inputs and targets as a network reads them, and the loss of the targets: for all objectives of two sequences.

An encoder-decoder reads the inputs in its encoder and the targets in its decoder. A decoder reads both in one row, the
targets behind the inputs, and learns the targets alone (Raffel et al. 2020, Secs. 3.2.1 and 3.2.3); one that sees its
prefix whole (`is_prefix_lm`) sees the inputs so.

Legend: L inputs, T targets, R length of the row, B batch, D model width.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.modules.facts import max_positions_of, vocabulary_cuts_of
from plmjax.objectives.base import Example, Losses, token_metrics

SEQUENCE_KINDS = ("encoder_decoder", "decoder")
"""The `kinds` of an objective whose loss is `sequence_loss`, and whose decoder reads the targets shifted right."""


def as_example(inputs_L: jax.Array, targets_T: jax.Array, pad: int, start: int | jax.Array | None = None) -> Example:
    """The fields of an example of two sequences, int32, filled up with -1.

    The decoder reads `start` first; None: `pad`.
    """
    targets = jnp.where(targets_T < 0, pad, targets_T)
    return {
        "tokens": jnp.where(inputs_L < 0, pad, inputs_L),
        "positions": jnp.arange(len(inputs_L)),
        "segments": (inputs_L >= 0).astype(jnp.int32),
        "targets": targets,
        "weights": (targets_T >= 0).astype(jnp.float32),
        "decoder_tokens": shift_right(targets, pad if start is None else start),
        "decoder_segments": (targets_T >= 0).astype(jnp.int32),
    }


def shift_right(targets: jax.Array, start: int | jax.Array) -> jax.Array:
    """The decoder's inputs [T]: `start`, then the targets but the last."""
    return jnp.concatenate([jnp.full(1, start, targets.dtype), targets[:-1]])


def check_row(network_config: Any, kind: str, inputs: int, targets: int, row: int | None = None) -> None:
    """UserError where a network has too few positions for inputs and targets of these lengths, or can't score them.

    row: the length of a decoder's row; None: inputs and targets together.
    """
    max_positions, network = max_positions_of(network_config), type(network_config).__name__
    if kind == "decoder":
        needed, what = row or inputs + targets, f"{inputs} inputs and {targets} targets in one row"
    else:
        needed, what = targets, f"{targets} targets"
    if max_positions and needed > max_positions:
        raise UserError(
            f"The objective's {what} need {needed} positions, but {network} has {max_positions}; lower train.length or "
            "raise model.max_positions."
        )
    if vocabulary_cuts_of(network_config):
        raise UserError(
            f"Targets behind inputs are scored by a full softmax, but {network} has an adaptive one; set model.cutoffs "
            "to ()."
        )


def sequence_loss(
    name: str,
    network: Any,
    batch: Example,
    vocabulary: Vocabulary,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    row: int | None = None,
) -> Losses:
    """The cross-entropy of the targets given the inputs, and its metrics, under `name`; as `target_loss`."""
    loss = target_loss(network, batch, vocabulary, z_loss, label_smoothing, row)
    return {name: loss.total}, token_metrics(name, loss.correct, batch["weights"])


def target_loss(
    network: Any,
    batch: Example,
    vocabulary: Vocabulary,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    row: int | None = None,
) -> TokenLoss:
    """The cross-entropy of each target [B, T] given the inputs.

    Args:
        network: an encoder-decoder or a decoder.
        batch: with the fields of `as_example`. Several texts of a row have the same number in `segments` and in
            `decoder_segments`, and each has an input.
        vocabulary, z_loss, label_smoothing: see losses.cross_entropy.
        row: the length of a decoder's row, where inputs and targets never take more; None: the length of both.
    """
    states = states_in_one_row(network, batch, row) if network.kind == "decoder" else states_in_two(network, batch)
    head = network.token_head(states)
    return cross_entropy(
        head.h,
        head.table,
        head.bias,
        batch["targets"],
        batch["weights"],
        size=vocabulary.size,
        z_loss=z_loss,
        label_smoothing=label_smoothing,
    )


def states_in_two(network: Any, batch: Example) -> jax.Array:
    """[B, T, D], from which an encoder-decoder predicts the targets."""
    memory_BLD = network.encode(batch["tokens"], batch["positions"], encoder_segments(batch))
    # Positions are given where the targets are not consecutive (MASS).
    return network.decode(
        batch["decoder_tokens"],
        memory_BLD,
        memory_segments(batch),
        batch.get("decoder_positions"),
        batch["decoder_segments"],
    )


def encoder_segments(batch: Example) -> jax.Array:
    """int32 [B, L]: the segments of the inputs, 0 where the encoder does not attend (MASS)."""
    return batch.get("encoder_segments", batch["segments"])


def memory_segments(batch: Example) -> jax.Array:
    """int32 [B, L]: the segments of the inputs, 0 where the decoder does not attend (MASS)."""
    return batch.get("memory_segments", batch["segments"])


def states_in_one_row(network: Any, batch: Example, row: int | None = None) -> jax.Array:
    """[B, T, D], from which a decoder predicts the targets: the head is for them alone, as in an encoder-decoder."""
    joined = in_one_row(batch, row)
    prefix = {"prefix_BL": joined.is_input} if network.is_prefix_lm else {}
    x_BRD = network.decode(joined.tokens, joined.positions, joined.segments, **prefix)
    return jnp.take_along_axis(x_BRD, joined.sources[..., None], axis=1)


class DecoderRow(NamedTuple):
    """Inputs and targets of each text, one after the other, and then padding.

    tokens, positions, segments: int32 [B, R]; positions begin anew with each text. is_input: bool [B, R].
    sources: int32 [B, T], the position that predicts each target: the one before the target's own.
    """

    tokens: jax.Array
    positions: jax.Array
    segments: jax.Array
    is_input: jax.Array
    sources: jax.Array


def in_one_row(batch: Example, row: int | None = None) -> DecoderRow:
    """A batch's inputs and targets as a decoder reads them; what is past `row` tokens is cut off.

    No token marks where the targets begin: the inputs end with one that does (EOS), and it predicts the first of them.
    """
    both_BR = jnp.concatenate([batch["segments"], batch["decoder_segments"]], axis=1)
    inputs = batch["segments"].shape[1]
    is_target_R = jnp.arange(both_BR.shape[1]) >= inputs
    rank_BR = jnp.where(both_BR > 0, 2 * both_BR + is_target_R[None], jnp.iinfo(jnp.int32).max)
    order_BR = jnp.argsort(rank_BR, axis=1, stable=True)
    kept_BR = order_BR[:, :row]

    def sort(x_BR: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x_BR, kept_BR, axis=1)

    segments_BR = sort(both_BR)
    index_1R = jnp.arange(segments_BR.shape[1], dtype=jnp.int32)[None]
    begins_BR = jnp.pad(segments_BR[:, 1:] != segments_BR[:, :-1], ((0, 0), (1, 0)))
    first_BR = jax.lax.cummax(jnp.where(begins_BR, index_1R, 0), axis=1)
    position_BT = jnp.argsort(order_BR, axis=1)[:, inputs:]
    return DecoderRow(
        tokens=sort(jnp.concatenate([batch["tokens"], batch["targets"]], axis=1)),
        positions=index_1R - first_BR,
        segments=segments_BR,
        is_input=(kept_BR < inputs) & (segments_BR > 0),
        sources=jnp.clip(position_BT - 1, 0, segments_BR.shape[1] - 1),  # padding's may lie anywhere
    )

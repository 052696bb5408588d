"""What objectives of two sequences share: inputs and targets as a network reads them, and the loss of the targets.

An encoder-decoder reads the inputs in its encoder and the targets in its decoder. A decoder reads both in one row, the
targets behind the inputs, and learns the targets alone (Raffel et al. 2020, Secs. 3.2.1 and 3.2.3); one that sees its
prefix whole (`sees_prefix`) sees the inputs so.

Legend: L inputs, T targets, R places of the row, B batch, D model width.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.objectives.base import Example, Losses, token_metrics

SEQUENCE_KINDS = ("encoder_decoder", "decoder")
"""The `kinds` of an objective that takes its loss from `sequence_loss`."""


def as_example(inputs_L: jax.Array, targets_T: jax.Array, pad: int) -> Example:
    """The fields of an example of two sequences, int32, filled up with -1. The decoder reads `pad` first."""
    targets = jnp.where(targets_T < 0, pad, targets_T)
    return {
        "tokens": jnp.where(inputs_L < 0, pad, inputs_L),
        "positions": jnp.arange(len(inputs_L)),
        "segments": (inputs_L >= 0).astype(jnp.int32),
        "targets": targets,
        "weights": (targets_T >= 0).astype(jnp.float32),
        "decoder_tokens": shift_right(targets, pad),
        "decoder_segments": (targets_T >= 0).astype(jnp.int32),
    }


def shift_right(targets: jax.Array, start: int) -> jax.Array:
    """What the decoder reads: `start`, then the targets but the last. [T]"""
    return jnp.concatenate([jnp.full(1, start, targets.dtype), targets[:-1]])


def check_row(network_config: Any, kind: str, inputs: int, targets: int, places: int | None = None) -> None:
    """UserError where a network has too few positions for inputs and targets of these lengths, or can't score them.

    places: of a decoder's row; None: inputs and targets together.
    """
    most, network = getattr(network_config, "max_positions", None), type(network_config).__name__
    if kind == "decoder":
        needed, what = places or inputs + targets, f"{inputs} inputs and {targets} targets in one row"
    else:
        needed, what = targets, f"{targets} targets"
    if most and needed > most:
        raise UserError(
            f"The objective's {what} need {needed} positions, but {network} has {most}; lower train.length or raise "
            "model.max_positions."
        )
    if getattr(network_config, "cutoffs", ()):
        raise UserError(
            f"Targets behind inputs are scored by a full softmax, but {network} has an adaptive one; set model.cutoffs "
            "to ()."
        )


def sequence_loss(
    name: str, network: Any, batch: Example, vocabulary: Any, z_loss: float, *, places: int | None = None
) -> Losses:
    """The cross-entropy of the targets given the inputs, and its metrics, under `name`.

    Args:
        network: of one of SEQUENCE_KINDS.
        batch: with the fields of `as_example`; several texts of a row have segments of the same numbers, in ascending
            order, on both sides. `decoder_positions` where the decoder's are not 0, 1, ...
        places: of a decoder's row, where inputs and targets never take more; None: the places of both.
    """
    if network.kind == "decoder":
        x_BTD, weights_BT = _states_in_one_row(network, batch, places)
    else:
        memory_BLD = network.encode(batch["tokens"], batch["positions"], batch["segments"])
        x_BTD = network.decode(
            batch["decoder_tokens"],
            memory_BLD,
            batch["segments"],
            batch.get("decoder_positions"),
            batch["decoder_segments"],
        )
        weights_BT = batch["weights"]
    head = network.token_head(x_BTD)
    loss = cross_entropy(
        head.h, head.table, head.bias, batch["targets"], weights_BT, size=vocabulary.size, z_loss=z_loss
    )
    return {name: loss.total}, token_metrics(name, loss.correct, weights_BT)


class Row(NamedTuple):
    """Inputs and targets of each text, one after the other, and then padding.

    tokens, positions, segments: int32 [B, R]; positions begin anew with each text. is_input: bool [B, R].
    sources: int32 [B, T], the place that predicts each target; predictable: bool [B, T], False where a target has no
    token of its text before it.
    """

    tokens: jax.Array
    positions: jax.Array
    segments: jax.Array
    is_input: jax.Array
    sources: jax.Array
    predictable: jax.Array


def in_one_row(batch: Example, places: int | None = None) -> Row:
    """A batch's inputs and targets as a decoder reads them; what is past `places` is cut off.

    No token marks where the targets begin: inputs end with one that does (EOS), from which the first is predicted.
    """
    both_BR = jnp.concatenate([batch["segments"], batch["decoder_segments"]], axis=1)
    inputs, whole = batch["segments"].shape[1], both_BR.shape[1]
    is_target_R = jnp.arange(whole) >= inputs
    rank_BR = jnp.where(both_BR > 0, 2 * both_BR + is_target_R[None], jnp.iinfo(jnp.int32).max)
    order_BR = jnp.argsort(rank_BR, axis=1, stable=True)
    kept_BR = order_BR[:, : places or whole]

    def sort(x_BR: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x_BR, kept_BR, axis=1)

    segments_BR = sort(both_BR)
    index_1R = jnp.arange(segments_BR.shape[1], dtype=jnp.int32)[None]
    starts_BR = jnp.pad(segments_BR[:, 1:] != segments_BR[:, :-1], ((0, 0), (1, 0)))
    begin_BR = jax.lax.cummax(jnp.where(starts_BR, index_1R, 0), axis=1)
    before_BT = jnp.argsort(order_BR, axis=1)[:, inputs:] - 1
    sources_BT = jnp.clip(before_BT, 0, segments_BR.shape[1] - 1)
    same_BT = jnp.take_along_axis(segments_BR, sources_BT, axis=1) == batch["decoder_segments"]
    return Row(
        tokens=sort(jnp.concatenate([batch["tokens"], batch["targets"]], axis=1)),
        positions=index_1R - begin_BR,
        segments=segments_BR,
        is_input=(kept_BR < inputs) & (segments_BR > 0),
        sources=sources_BT,
        predictable=same_BT & (before_BT == sources_BT),
    )


def _states_in_one_row(network: Any, batch: Example, places: int | None) -> tuple[jax.Array, jax.Array]:
    """[B, T, D], from which a decoder predicts the targets, and their weights [B, T]."""
    row = in_one_row(batch, places)
    prefix = {"prefix_BL": row.is_input} if network.sees_prefix else {}
    x_BRD = network.decode(row.tokens, row.positions, row.segments, **prefix)
    # The head is for the targets alone, as in an encoder-decoder.
    x_BTD = jnp.take_along_axis(x_BRD, row.sources[..., None], axis=1)
    return x_BTD, batch["weights"] * row.predictable

"""What the objectives of an encoder-decoder share: two sequences as the network reads them, and the loss of the second.

Legend: L inputs, T targets, B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp

from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.objectives.base import Example, Losses, token_metrics


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
    """What the decoder reads: `start`, then the targets but the last. [T]"""
    return jnp.concatenate([jnp.full(1, start, targets.dtype), targets[:-1]])


def sequence_loss(
    name: str, network: Any, batch: Example, vocabulary: Any, z_loss: float = 0.0, label_smoothing: float = 0.0
) -> Losses:
    """The cross-entropy of the targets given the inputs, and its metrics, under `name`."""
    loss = target_loss(network, batch, vocabulary, z_loss, label_smoothing)
    return {name: loss.total}, token_metrics(name, loss.correct, batch["weights"])


def target_loss(
    network: Any, batch: Example, vocabulary: Any, z_loss: float = 0.0, label_smoothing: float = 0.0
) -> TokenLoss:
    """The cross-entropy of each target [B, T] given the inputs."""
    memory_BLD = network.encode(batch["tokens"], batch["positions"], batch["segments"])
    # Positions are given where the targets are not consecutive (MASS).
    x_BTD = network.decode(
        batch["decoder_tokens"],
        memory_BLD,
        batch["segments"],
        batch.get("decoder_positions"),
        batch["decoder_segments"],
    )
    head = network.token_head(x_BTD)
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

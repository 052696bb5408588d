"""Checks of the numbers that pre-training and fine-tuning share, before any work."""

import math
from collections.abc import Sequence

from plmjax.errors import UserError
from plmjax.train.config import LoopConfig, MeshConfig
from plmjax.train.sharding import mesh_shape

POSITIVE = (
    "train.batch_size",
    "train.microbatches",
    "train.log_every",
    "train.max_nonfinite",
    "optimizer.learning_rate",
)
NOT_NEGATIVE = (
    "train.steps",
    "train.eval_every",
    "train.eval_batch_size",
    "train.seed",
    "optimizer.warmup_steps",
    "optimizer.decay_steps",
    "optimizer.weight_decay",
    "optimizer.clip_norm",
    "optimizer.eps",
)


def check_bounds(config: object, positive: Sequence[str] = (), not_negative: Sequence[str] = ()) -> None:
    """Checks the fields that every run has, and those named.

    Args:
        config: with sections `train` and `optimizer`.
        positive: more fields that must be above 0, as "section.field".
        not_negative: more fields that must be at least 0.

    Raises:
        UserError: names the first field that is out of range.
    """
    for name in (*POSITIVE, *positive):
        if not 0 < (value := _field(config, name)) < math.inf:
            raise UserError(f"{name} is {value}: it must be above 0.")
    for name in (*NOT_NEGATIVE, *not_negative):
        if not 0 <= (value := _field(config, name)) < math.inf:
            raise UserError(f"{name} is {value}: it must be at least 0.")
    for name in ("optimizer.b1", "optimizer.b2"):
        if not 0.0 <= (value := _field(config, name)) < 1.0:
            raise UserError(f"{name} is {value}: it must be at least 0 and below 1.")


def check_rows(train: LoopConfig, mesh: MeshConfig, device_count: int) -> int:
    """The devices that a batch's rows are spread over; UserError where the rows do not divide."""
    data, fsdp, _ = mesh_shape(mesh, device_count)
    size, parts, devices = train.batch_size, train.microbatches, data * fsdp
    if size % parts:
        raise UserError(
            f"train.batch_size is {size}, which {parts} microbatches do not divide: choose a multiple of {parts}."
        )
    if (size // parts) % devices:
        raise UserError(
            f"A microbatch has {size // parts} examples, which do not divide over the {devices} devices of the "
            f"mesh's data and fsdp axes: make train.batch_size a multiple of {parts * devices}."
        )
    check_divides("train.eval_batch_size", train.eval_batch_size, devices)
    return devices


def check_divides(name: str, size: int, devices: int) -> None:
    """UserError where a number of rows does not divide over the devices."""
    if size % devices:
        raise UserError(
            f"{name} is {size}, which does not divide over the {devices} devices of the mesh's data and fsdp axes: "
            "choose a multiple."
        )


def _field(config: object, name: str) -> float:
    section, field = name.split(".")
    return getattr(getattr(config, section), field)

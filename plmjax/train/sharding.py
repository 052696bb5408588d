"""Sharding: the rules that say which part of which array lies on which device.

A mesh has three axes. Rows of a batch are spread over `data` and `fsdp`; parameters (and the optimizer's moments) over
`fsdp` and `tensor` by the rules below; everything else is copied.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from plmjax.checkpoints.paths import path_string
from plmjax.errors import UserError
from plmjax.train.config import MeshConfig

AXES = ("data", "fsdp", "tensor")
BATCH = ("data", "fsdp")

# (end of a parameter's path, axes of its last dimensions). The first that matches counts; a leading layer axis is never
# split; an axis that does not divide its dimension is dropped.
RULES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (r"(query|key|value|position)/kernel", ("fsdp", "tensor", None)),  # [D, H, K]
    (r"((query|key|value)/bias|(content|position|segment)_bias)", ("tensor", None)),  # [H, K]
    (r"segment_embedding", (None, "tensor", None)),  # [2, H, K]
    (r"out/kernel", ("tensor", None, "fsdp")),  # [H, K, D]
    (r"(up|gate)/kernel", ("fsdp", "tensor")),  # [D, F]
    (r"(up|gate)/bias", ("tensor",)),  # [F]
    (r"down/kernel", ("tensor", "fsdp")),  # [F, D]
    (r"(tokens(_\d+)?|token_head)/embedding", (("tensor", "fsdp"), None)),  # [V, D]
    (r"token_head/bias(_\d+)?", (("tensor", "fsdp"),)),  # [V]
    (r"positions/embedding", (None, "fsdp")),  # [length, D]
    (r"kernel", ("fsdp", "tensor")),  # any other matrix
)

HostBatch = dict[str, np.ndarray]
"""{field: [rows of this process, ...]}."""
AbstractBatch = dict[str, jax.ShapeDtypeStruct]
"""{field: shape and dtype of the global batch}."""


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over `devices` (all of them if None), its axes left to the compiler (`AxisType.Auto`).

    Raises:
        UserError: the axes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    shape = mesh_shape(config, len(devices))
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def mesh_shape(config: MeshConfig, device_count: int) -> tuple[int, int, int]:
    """Devices on (data, fsdp, tensor), the -1 filled in; UserError where they do not multiply to `device_count`."""
    sizes = [getattr(config, axis) for axis in AXES]
    asked = ", ".join(f"{axis}={size}" for axis, size in zip(AXES, sizes, strict=True))
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(f"mesh has {asked}: each must be at least 1, and only one may be -1 for the remaining devices.")
    known = int(np.prod([size for size in sizes if size != -1]))
    if device_count % known or (-1 not in sizes and known != device_count):
        raise UserError(
            f"mesh has {asked}, which does not fit {device_count} device(s): change the mesh or the devices."
        )
    data, fsdp, tensor = (device_count // known if size == -1 else size for size in sizes)
    return data, fsdp, tensor


def spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> P:
    """The partition of a parameter by `RULES`."""
    for pattern, axes in RULES:
        if re.search(rf"(^|/){pattern}$", path) and len(axes) <= len(shape):
            padded = (None,) * (len(shape) - len(axes)) + axes
            return P(*(_dividing(axis, size, mesh) for axis, size in zip(padded, shape, strict=True)))
    return P()


def _dividing(axes: Any, size: int, mesh: Mesh) -> Any:
    """Those of `axes`, in order, whose product still divides `size` (and is not 1), or None."""
    kept: list[str] = []
    for axis in (axes,) if isinstance(axes, str) else axes or ():
        if (
            mesh.shape[axis] > 1
            and size % (mesh.shape[axis] * int(np.prod([mesh.shape[a] for a in kept], dtype=int))) == 0
        ):
            kept.append(axis)
    return tuple(kept) if len(kept) > 1 else kept[0] if kept else None


def tree_shardings(tree: Any, params: Any, mesh: Mesh) -> Any:
    """Shardings for a tree (a state) that holds `params`, or arrays of the same shapes under paths that end the same.

    Args:
        tree: arrays or shapes, such as a whole `State`.
        params: the parameters, or their shapes.
        mesh: from `make_mesh`.

    Returns:
        The same structure with a NamedSharding for each leaf.
    """
    shapes = {path_string(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params)}

    def one(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        keys = path_string(path).split("/")
        tails = ("/".join(keys[start:]) for start in range(len(keys)))
        tail = next((tail for tail in tails if shapes.get(tail) == leaf.shape), None)
        return NamedSharding(mesh, P() if tail is None else spec(tail, leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(one, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows over `data` and `fsdp`."""
    return NamedSharding(mesh, P(BATCH))


def replicated(mesh: Mesh) -> NamedSharding:
    """A copy on every device."""
    return NamedSharding(mesh, P())


def local_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
    """Global row indices, ascending, of the batch that this process must supply (int64)."""
    indices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
    rows = {row for (index,) in indices.values() for row in range(*index.indices(batch_size))}
    return np.array(sorted(rows), np.int64)


def to_devices(batch: dict[str, np.ndarray], mesh: Mesh, batch_size: int) -> dict[str, jax.Array]:
    """The rows that this process holds as global arrays of `batch_size` rows; does not wait for the copy."""
    rows = batch_sharding(mesh)
    if jax.process_count() == 1:
        return jax.device_put(batch, rows)
    return {
        name: jax.make_array_from_process_local_data(rows, value, (batch_size, *value.shape[1:]))
        for name, value in batch.items()
    }


def abstract_batch(local: HostBatch, batch_size: int) -> AbstractBatch:
    """Shapes of the global batch of which `local` has this process's rows."""
    return {name: jax.ShapeDtypeStruct((batch_size, *value.shape[1:]), value.dtype) for name, value in local.items()}

"""Model FLOPs of a step and the peak of the device, for the model-FLOPs utilisation (Chowdhery et al. 2022, App. B)."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

# Peak of dense matrix products in 16-bit floats, in 10^12 FLOPs a second, as the makers' data sheets give them, by a
# part of the name that JAX gives a device: the first that occurs in it counts. TPU v2 and v3 chips are two devices.
PEAKS: tuple[tuple[str, float], ...] = (
    ("tpu v6 lite", 918.0),
    ("tpu v6e", 918.0),
    ("tpu v5 lite", 197.0),
    ("tpu v5e", 197.0),
    ("tpu v5", 459.0),
    ("tpu v4 lite", 137.0),
    ("tpu v4", 275.0),
    ("tpu v3", 61.5),
    ("tpu v2", 23.0),
    ("b200", 2250.0),
    ("h200", 989.0),
    ("h100 pcie", 756.0),
    ("h100 nvl", 835.0),
    ("h100", 989.0),
    ("gh200", 989.0),
    ("a100", 312.0),
    ("a10g", 70.0),
    ("a10", 125.0),
    ("a40", 150.0),
    ("l40s", 362.0),
    ("l40", 181.0),
    ("l4", 121.0),
    ("v100", 125.0),
    ("t4", 65.0),
    ("rtx 4090", 165.0),
    ("rtx 3090", 71.0),
)


def forward_flops(function: Callable[..., Any], *shapes: Any) -> float:
    """FLOPs of the matrix products in `function(*shapes)`, nothing being computed.

    Counts 2 * m * n * k a product, times the length of the scans around it; convolutions and fused attention kernels
    likewise. Elementwise work does not count, as is the custom. A training step's model FLOPs are three times this: the
    backward pass has two products for each one, and recomputing (remat) does not count.
    """
    return _count(jax.make_jaxpr(function)(*shapes).jaxpr)


def _count(jaxpr: Any) -> float:
    return sum((_equation(equation) for equation in jaxpr.eqns), 0.0)


def _equation(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    shapes: list[tuple[int, ...]] = [getattr(v.aval, "shape", ()) for v in equation.invars]
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2.0 * _size(equation.outvars[0].aval.shape) * _size(shapes[0][axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = params["dimension_numbers"].rhs_spec
        inputs = shapes[1][kernel[1]] * _size(shapes[1][axis] for axis in kernel[2:])
        return 2.0 * _size(equation.outvars[0].aval.shape) * inputs
    if name == "dot_product_attention_fwd":  # cuDNN: query [B, L, H, K], key [B, T, H, K]
        (batch, queries, heads, width), keys = shapes[0], shapes[1][1]
        return 4.0 * batch * queries * keys * heads * width
    inner = [_count(sub) for sub in _subjaxprs(params)]
    if not inner:
        return 0.0
    if name == "cond":
        return max(inner)
    if name == "scan":
        return params["length"] * sum(inner)
    if name == "pallas_call":
        return _size(params["grid_mapping"].grid) * sum(inner)
    if name == "shard_map":
        return params["mesh"].size * sum(inner)
    if name in ("custom_vjp_call", "custom_jvp_call", "custom_vjp_call_jaxpr"):
        return inner[0]
    return sum(inner)


def _subjaxprs(params: dict[str, Any]) -> list[Any]:
    found = []
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                found.append(item)
    return found


def _size(numbers: Any) -> float:
    return float(np.prod([int(n) for n in numbers], dtype=np.float64))


def peak_flops(device: jax.Device) -> float | None:
    """FLOPs a second that the device can reach at best; None if it is not known.

    On a CPU it is measured with matrix products for 0.1 s on all cores, and divided by the process's devices, which
    share them.
    """
    if device.platform == "cpu":
        return _measured() / jax.local_device_count()
    kind = device.device_kind.lower()
    return next((peak * 1e12 for name, peak in PEAKS if name in kind), None)


def _measured(size: int = 1024, seconds: float = 0.1) -> float:
    x = np.ones((size, size), np.float32)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        x @ x
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best

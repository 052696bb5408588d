"""Cross-entropy over a vocabulary, in chunks of positions, with the gradient taken in the forward pass.

The logits of a whole batch are the largest array of a language model by far. Here a scan over chunks of positions makes
one chunk of logits at a time. Under differentiation the same visit also takes the gradient with respect to the states,
the table and the bias, so that no product with the vocabulary is done twice (three in all) and nothing of size
[positions, vocabulary] is kept for the backward pass, which only scales.

Legend: B batch (all leading axes in one), L length, C positions of a chunk, E embedding width, V vocabulary rows.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from plmjax.losses.weighted import Weighted

CHUNK_ELEMENTS = 2**24
"""Logits that a device holds at once by default: 64 MiB of float32, 512 positions of a vocabulary of 32k."""

CHUNK_ELEMENTS_CPU = 2**20
"""The same on a CPU, whose caches like small chunks: a third of the time of one chunk for 2,048 positions by 8k."""

ROW_AXES = ("data", "fsdp")
"""Axes of a mesh that hold different rows of a batch, by their names in plmjax.train.sharding."""

_IMPOSSIBLE = -1e30


class TokenLoss(NamedTuple):
    """A loss by token.

    total: Weighted; sum of weight * loss, and sum of weights. Only `total.sum` carries a gradient.
    loss: float32 like the targets; smoothing and z-loss included.
    correct: float32 like the targets; 1 where no class has a higher logit than the target.
    """

    total: Weighted
    loss: jax.Array
    correct: jax.Array


class _Options(NamedTuple):
    size: int
    label_smoothing: float
    z_loss: float
    chunk: int
    sparse: bool


class _Gradients(NamedTuple):
    h: Any  # arrays, or the partitions of arrays
    table: Any
    bias: Any


def default_chunk(batch: int, length: int, rows: int) -> int:
    """Positions of the length axis to a chunk: as few even chunks as keep a device under CHUNK_ELEMENTS logits.

    batch: product of the leading axes; length: the axis that is cut; rows: V. The whole mesh that is set counts, since
    batch and vocabulary lie spread over it.
    """
    elements = CHUNK_ELEMENTS_CPU if jax.default_backend() == "cpu" else CHUNK_ELEMENTS
    devices = max(1, jax.sharding.get_abstract_mesh().size)
    most = max(1, elements * devices // (batch * rows))
    return math.ceil(length / math.ceil(length / most))


def cross_entropy(
    h: jax.Array,
    table_VE: jax.Array,
    bias_V: jax.Array | None,
    targets: jax.Array,
    weights: jax.Array,
    *,
    size: int,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    chunk: int | None = None,
    sparse: bool = False,
) -> TokenLoss:
    """Cross-entropy of softmax(h @ table.T + bias) against integer targets, without ever making all logits.

    h: [..., L, E], of the compute dtype; [N, E] does too. The last axis but one is cut into chunks and the leading ones
    stay
        whole, so give a batch as [B, L, E]: under a mesh (`jax.set_mesh`) its rows then stay on their devices.
    table_VE, bias_V: any float dtype. The products run in the dtype of `h` with float32 sums; logits, logsumexp and
    losses
        are float32.
    targets: int32 [..., L]. A target outside [0, size) must have weight 0.
    weights: float [..., L], taken as constants. A position of weight 0 adds nothing to the sum or the gradient.
    size: classes that exist; columns from `size` on (padding of the table) have no probability.
    label_smoothing: the target's distribution is (1 - s) one-hot + s / size for every class, the target's own included
        (Szegedy et al. 2015, as in PyTorch and Hugging Face; fairseq spreads s over the other size - 1 classes).
    z_loss: adds z_loss * logsumexp(logits)**2 to each loss (T5: 1e-4).
    chunk: positions of the length axis to a chunk; None: `default_chunk`.
    sparse: chunks without any weight cost nothing, and have loss 0 and no correct position.

    Raises ValueError where shapes do not fit.
    """
    length, width = h.shape[-2:]
    rows = table_VE.shape[0]
    if targets.shape != h.shape[:-1] or weights.shape != h.shape[:-1] or table_VE.shape[1] != width:
        raise ValueError(
            f"cross_entropy got states {h.shape}, table {table_VE.shape}, targets {targets.shape} and weights "
            f"{weights.shape}; it needs [..., L, E], [V, E], [..., L] and [..., L]."
        )
    if not 0 < size <= rows:
        raise ValueError(f"cross_entropy got size={size} for a table of {rows} rows; give 1 to {rows}.")
    batch = math.prod(h.shape[:-2])
    chunk = min(length, chunk or default_chunk(batch, length, rows))
    options = _Options(size, label_smoothing, z_loss, chunk, sparse)
    total, loss, correct = _total(
        options,
        h.reshape(batch, length, width),
        table_VE,
        bias_V,
        targets.reshape(batch, length),
        jax.lax.stop_gradient(weights.astype(jnp.float32).reshape(batch, length)),
    )
    loss, correct = jax.lax.stop_gradient((loss.reshape(targets.shape), correct.reshape(targets.shape)))
    return TokenLoss(Weighted(total, jnp.sum(weights.astype(jnp.float32))), loss, correct)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _total(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL):
    outputs, _ = _visit(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL, differentiate=False)
    return outputs


def _forward(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL):
    return _visit(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL, differentiate=True)


def _backward(options, gradients: _Gradients, cotangents):
    scale = cotangents[0]
    h, table, bias = jax.tree.map(lambda g: (g * scale).astype(g.dtype), gradients)
    return h, table, bias, None, None


_total.defvjp(_forward, _backward)


def _visit(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL, *, differentiate):
    """Goes over all chunks: ((sum, loss_BL, correct_BL), _Gradients or None)."""
    visit = functools.partial(_visit_rows, options, differentiate=differentiate)
    axes = _row_axes(h_BLE.shape[0])
    if axes:
        # Left to itself, the compiler would add up the table's gradient over the devices after each chunk (or bring all
        # rows to each part of the table). So each device goes over its own rows alone, and sums are exchanged once.
        rows, whole = P(axes), P()
        visit = jax.shard_map(
            functools.partial(visit, axes=axes),
            in_specs=(rows, whole, whole, rows, rows),
            out_specs=((whole, rows, rows), _Gradients(rows, whole, whole) if differentiate else None),
            axis_names=set(axes),
            check_vma=False,
        )
    return visit(h_BLE, table_VE, bias_V, targets_BL, weights_BL)


def _row_axes(batch: int) -> tuple[str, ...]:
    """The axes of the mesh that is set which the batch lies along; none if they do not divide it."""
    sizes = jax.sharding.get_abstract_mesh().shape
    axes = tuple(axis for axis in ROW_AXES if sizes.get(axis, 1) > 1)
    return axes if batch % math.prod(sizes[axis] for axis in axes) == 0 else ()


def _visit_rows(options, h_BLE, table_VE, bias_V, targets_BL, weights_BL, *, differentiate, axes=()):
    """Does what `_visit` does, for the rows of one device; sums are taken over `axes`."""
    length = h_BLE.shape[1]
    table = table_VE.astype(h_BLE.dtype)
    visit = functools.partial(_visit_chunk, options, table, bias_V, differentiate=differentiate)
    if options.sparse:
        visit = functools.partial(_visit_unless_empty, visit, differentiate=differentiate)
    state = (jnp.zeros(table_VE.shape, jnp.float32), _zeros(bias_V)) if differentiate else None
    positions = (h_BLE, targets_BL, weights_BL)
    if options.chunk == length:
        state, outputs = visit(state, positions)
    else:
        chunks = jax.tree.map(lambda x: _split(x, options.chunk), positions)
        state, outputs = jax.lax.scan(visit, state, chunks)
        outputs = jax.tree.map(lambda x: _join(x, length), outputs)
    loss_BL, correct_BL, dh_BLE = outputs
    total, state = jax.lax.psum((Weighted.of(loss_BL, weights_BL).sum, state), axes)
    if not differentiate:
        return (total, loss_BL, correct_BL), None
    dtable, dbias = state
    dbias = None if bias_V is None else dbias.astype(bias_V.dtype)
    return (total, loss_BL, correct_BL), _Gradients(dh_BLE, dtable.astype(table_VE.dtype), dbias)


def _zeros(bias_V):
    return None if bias_V is None else jnp.zeros(bias_V.shape, jnp.float32)


def _split(x, chunk):
    """[B, L, ...] -> [chunks, B, C, ...], zeros (so weight 0) filling the last chunk."""
    x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % chunk)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(x.shape[0], -1, chunk, *x.shape[2:]), 1, 0)


def _join(x, length):
    """[chunks, B, C, ...] -> [B, L, ...]."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :length]


def _visit_unless_empty(visit, state, positions, *, differentiate):
    """Calls `visit`, unless no position has weight."""
    h_BCE, _, weights_BC = positions

    def skip():
        zeros_BC = jnp.zeros(weights_BC.shape, jnp.float32)
        return state, (zeros_BC, zeros_BC, jnp.zeros_like(h_BCE) if differentiate else None)

    return jax.lax.cond(jnp.any(weights_BC != 0), lambda: visit(state, positions), skip)


def _visit_chunk(options, table_VE, bias_V, state, positions, *, differentiate):
    """One chunk: adds to the gradients of the table and the bias in `state`; gives (loss_BC, correct_BC, dh_BCE or
    None)."""
    h_BCE, targets_BC, weights_BC = positions
    logits_BCV = jnp.einsum("bce,ve->bcv", h_BCE, table_VE, preferred_element_type=jnp.float32)
    if bias_V is not None:
        logits_BCV += bias_V.astype(jnp.float32)[None, None, :]
    class_BCV = jax.lax.broadcasted_iota(jnp.int32, logits_BCV.shape, 2)
    real_BCV = class_BCV < options.size
    logits_BCV = jnp.where(real_BCV, logits_BCV, _IMPOSSIBLE)
    # A comparison, not a gather: it fuses into the pass over the logits, and a vocabulary spread over devices stays so.
    target_BCV = real_BCV & (class_BCV == targets_BC[..., None])

    top_BC = jnp.max(logits_BCV, axis=-1)
    exp_BCV = jnp.exp(logits_BCV - top_BC[..., None])
    sum_BC = jnp.sum(exp_BCV, axis=-1)
    lse_BC = top_BC + jnp.log(sum_BC)
    target_BC = jnp.sum(jnp.where(target_BCV, logits_BCV, 0.0), axis=-1)
    smoothing = options.label_smoothing
    loss_BC = lse_BC - (1 - smoothing) * target_BC
    if smoothing:
        loss_BC -= smoothing / options.size * jnp.sum(jnp.where(real_BCV, logits_BCV, 0.0), axis=-1)
    if options.z_loss:
        loss_BC += options.z_loss * jnp.square(lse_BC)
    known_BC = (targets_BC >= 0) & (targets_BC < options.size)
    correct_BC = (known_BC & (target_BC >= top_BC)).astype(jnp.float32)
    if not differentiate:
        return None, (loss_BC, correct_BC, None)

    # d loss / d logits = (1 + 2 z lse) softmax - target's distribution.
    scale_BC = (1 + 2 * options.z_loss * lse_BC) / sum_BC
    dlogits_BCV = scale_BC[..., None] * exp_BCV - (1 - smoothing) * target_BCV
    if smoothing:
        dlogits_BCV -= smoothing / options.size * real_BCV
    dlogits_BCV = jnp.where(weights_BC[..., None] == 0, 0.0, weights_BC[..., None] * dlogits_BCV)
    dtable_VE, dbias_V = state
    if bias_V is not None:
        dbias_V += jnp.sum(dlogits_BCV, axis=(0, 1))
    dlogits_BCV = dlogits_BCV.astype(h_BCE.dtype)
    dh_BCE = jnp.einsum("bcv,ve->bce", dlogits_BCV, table_VE, preferred_element_type=jnp.float32)
    dtable_VE += jnp.einsum("bcv,bce->ve", dlogits_BCV, h_BCE, preferred_element_type=jnp.float32)
    return (dtable_VE, dbias_V), (loss_BC, correct_BC, dh_BCE.astype(h_BCE.dtype))

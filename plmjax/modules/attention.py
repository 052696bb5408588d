"""Multi-head attention and the choice of the kernel that computes it.

Legend: B batch, L queries, T keys, D model width, H heads, K head width.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.layers import Dense, Dropout, Initializer, normal
from plmjax.modules.masks import MASK_FLOOR, MASK_VALUE, Mask
from plmjax.modules.positions import Rotary

Kernel = Literal["xla", "cudnn", "pallas"]


class KeysValues(NamedTuple):
    """The keys and values that queries attend to, each [B, T, H, K]."""

    key: Array
    value: Array


def backend() -> str:
    """The platform computed for: the ambient mesh's (it may be a described TPU), else JAX's default."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def choose_kernel(
    platform: str,
    dtype: Any,
    queries: int,
    keys: int,
    head_width: int,
    *,
    bias: bool,
    dropout: bool,
    cached: bool = False,
    irregular: bool = False,
) -> Kernel:
    """Which kernel computes an attention: a function of what is known before any number is.

    The flash kernels never write the [L, T] weights, so they can't drop some out; a learned bias they would take (and
    its gradient give) only as a [B, H, L, T] array; a cache's queries start at an index known only at run time. Pallas'
    makes its mask of segments and causality alone, where cuDNN's takes any.
    """
    if bias or dropout or cached:
        return "xla"
    if platform in ("gpu", "cuda") and jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16):
        # cuDNN: heads in units of 8 up to 128; its backward pass with a mask wants even lengths.
        fits = head_width % 8 == 0 and head_width <= 128 and queries % 2 == 0 and keys % 2 == 0
        return "cudnn" if fits else "xla"
    if platform == "tpu" and not irregular and queries % 128 == 0 and keys % 128 == 0:
        return "pallas"
    return "xla"


def attend(
    q_BLHK: Array,
    k_BTHK: Array,
    v_BTHK: Array,
    mask: Mask,
    bias_HLT: Array | None,
    scale: float,
    dropout: Callable[[Array], Array] | None,
) -> Array:
    """softmax(scale * q k + bias) v over the keys that `mask` shows; a query that sees no key gets zeros.

    Args:
        q_BLHK, k_BTHK, v_BTHK: all of one dtype.
        mask: the structure of what is seen.
        bias_HLT: float32, added to the scaled logits, or None.
        scale: what the logits are multiplied by.
        dropout: applied to the attention weights [B, H, L, T], or None.

    Returns:
        [B, L, H, K] in the dtype of q. Logits and softmax are float32.
    """
    if mask.band and bias_HLT is None and mask.is_regular:
        if mask.query_start is not None:
            return _attend_near(q_BLHK, k_BTHK, v_BTHK, mask, scale, dropout)
        if q_BLHK.shape[1] == k_BTHK.shape[1]:
            return _attend_in_blocks(q_BLHK, k_BTHK, v_BTHK, mask, scale, dropout)
    kernel = choose_kernel(
        backend(),
        q_BLHK.dtype,
        q_BLHK.shape[1],
        k_BTHK.shape[1],
        q_BLHK.shape[-1],
        bias=bias_HLT is not None,
        dropout=dropout is not None,
        cached=mask.query_start is not None,
        irregular=not mask.is_regular or mask.band > 0,
    )
    if kernel == "xla":
        return _attend_xla(q_BLHK, k_BTHK, v_BTHK, mask, bias_HLT, scale, dropout)
    flash = _attend_cudnn if kernel == "cudnn" else _attend_pallas
    out_BLHK = flash(q_BLHK, k_BTHK, v_BTHK, mask, scale)
    live_BL = mask.live_rows(q_BLHK.shape[1], k_BTHK.shape[1])
    # A flash kernel gives a row without keys the mean of all values.
    return out_BLHK if live_BL is None else jnp.where(live_BL[:, :, None, None], out_BLHK, 0)


def _attend_xla(
    q_BLHK: Array,
    k_BTHK: Array,
    v_BTHK: Array,
    mask: Mask,
    bias_HLT: Array | None,
    scale: float,
    dropout: Callable[[Array], Array] | None,
) -> Array:
    if scale != 1.0:
        q_BLHK = q_BLHK * jnp.asarray(scale, q_BLHK.dtype)
    logits_BHLT = jnp.einsum("blhk,bthk->bhlt", q_BLHK, k_BTHK, preferred_element_type=jnp.float32)
    if bias_HLT is not None:
        logits_BHLT = logits_BHLT + bias_HLT[None]
    return attend_by_logits(logits_BHLT, v_BTHK, mask.materialize(*logits_BHLT.shape[-2:]), dropout)


def attend_by_logits(
    logits_BHLT: Array, v_BTHK: Array, seen: Array | None, dropout: Callable[[Array], Array] | None = None
) -> Array:
    """softmax(logits) v over the keys that `seen` shows; a query that sees no key gets zeros.

    Args:
        logits_BHLT: float32, scaled.
        v_BTHK: values.
        seen: bool, broadcasts to the logits; None shows everything.
        dropout: applied to the attention weights [B, H, L, T], or None.

    Returns:
        [B, L, H, K] in the dtype of v. The softmax is float32.
    """
    if seen is not None:
        logits_BHLT = jnp.where(seen, logits_BHLT, MASK_VALUE)
    # With the maximum held at MASK_FLOOR, a row of nothing but masked logits has weights exp(-1e30) = 0.
    top_BHL1 = jnp.maximum(jnp.max(lax.stop_gradient(logits_BHLT), axis=-1, keepdims=True), MASK_FLOOR)
    weights_BHLT = jnp.exp(logits_BHLT - top_BHL1)
    total_BHL1 = jnp.sum(weights_BHLT, axis=-1, keepdims=True)
    weights_BHLT = weights_BHLT / jnp.where(total_BHL1 > 0, total_BHL1, 1)
    if dropout is not None:
        weights_BHLT = dropout(weights_BHLT)
    return jnp.einsum("bhlt,bthk->blhk", weights_BHLT.astype(v_BTHK.dtype), v_BTHK)


def _attend_in_blocks(
    q_BLHK: Array,
    k_BLHK: Array,
    v_BLHK: Array,
    mask: Mask,
    scale: float,
    dropout: Callable[[Array], Array] | None,
) -> Array:
    """Banded attention in time and memory L * band: the text is cut into blocks of `band` tokens, of which each attends
    to itself and to the one before, and unless the mask is causal to the one after."""
    batch, length, band = *q_BLHK.shape[:2], mask.band
    if length <= band:
        return attend(q_BLHK, k_BLHK, v_BLHK, replace(mask, band=0), None, scale, dropout)
    ones_BL = jnp.ones((batch, length), jnp.int32)
    query_segments_BL = ones_BL if mask.query_segments is None else mask.query_segments
    key_segments_BL = ones_BL if mask.key_segments is None else mask.key_segments
    count = -(-length // band)
    neighbours = 2 if mask.causal else 3

    def cut(x_BL: Array) -> Array:
        """[B, blocks, band, ...]; the last block is filled up with zeros, which as segments are padding."""
        filled = jnp.pad(x_BL, ((0, 0), (0, count * band - length)) + ((0, 0),) * (x_BL.ndim - 2))
        return filled.reshape(batch, count, band, *x_BL.shape[2:])

    def with_neighbours(x_BL: Array) -> Array:
        """[B * blocks, 2 or 3 band, ...]: each block between its neighbours."""
        blocks = cut(x_BL)
        others = ((0, 0),) * (blocks.ndim - 2)
        parts = [jnp.pad(blocks[:, :-1], ((0, 0), (1, 0), *others)), blocks]
        if not mask.causal:
            parts.append(jnp.pad(blocks[:, 1:], ((0, 0), (0, 1), *others)))
        return jnp.concatenate(parts, axis=2).reshape(batch * count, neighbours * band, *x_BL.shape[2:])

    q_blocks = cut(q_BLHK).reshape(batch * count, band, *q_BLHK.shape[2:])
    within = Mask(
        cut(query_segments_BL).reshape(batch * count, band),
        with_neighbours(key_segments_BL),
        jnp.asarray(band),
        causal=mask.causal,
        band=band,
    )
    out = _attend_xla(q_blocks, with_neighbours(k_BLHK), with_neighbours(v_BLHK), within, None, scale, dropout)
    return out.reshape(batch, count * band, *q_BLHK.shape[2:])[:, :length]


def _attend_near(
    q_BLHK: Array,
    k_BTHK: Array,
    v_BTHK: Array,
    mask: Mask,
    scale: float,
    dropout: Callable[[Array], Array] | None,
) -> Array:
    """Banded attention to a cache: only the columns that some query sees are read."""
    queries, columns = q_BLHK.shape[1], k_BTHK.shape[1]
    reach = mask.band - 1
    width = min(columns, queries + (reach if mask.causal else 2 * reach))
    begin = jnp.clip(mask.query_start - reach, 0, columns - width)
    k_near, v_near, segments_near = (
        lax.dynamic_slice_in_dim(x, begin, width, axis=1) for x in (k_BTHK, v_BTHK, mask.key_segments)
    )
    near = replace(mask, key_segments=segments_near, query_start=mask.query_start - begin)
    return _attend_xla(q_BLHK, k_near, v_near, near, None, scale, dropout)


def _attend_cudnn(q_BLHK: Array, k_BTHK: Array, v_BTHK: Array, mask: Mask, scale: float) -> Array:
    """cuDNN's flash attention through jax.nn; causality is the kernel's own where it is all there is beside segments,
    and these become a boolean mask."""
    causal_by_kernel = mask.causal and mask.is_regular and not mask.band
    written = replace(mask, causal=False) if causal_by_kernel else mask
    return jax.nn.dot_product_attention(
        q_BLHK,
        k_BTHK,
        v_BTHK,
        mask=written.materialize(q_BLHK.shape[1], k_BTHK.shape[1]),
        scale=scale,
        is_causal=causal_by_kernel,
        implementation="cudnn",
    )


def _attend_pallas(q_BLHK: Array, k_BTHK: Array, v_BTHK: Array, mask: Mask, scale: float) -> Array:
    """The Pallas flash kernel for TPUs; under a mesh each device runs it on its own examples and heads.

    ValueError for a band, which the kernel does not know: `attend` computes that otherwise.
    """
    from jax.experimental.pallas.ops.tpu.flash_attention import SegmentIds, flash_attention

    if mask.band:
        raise ValueError(f"the Pallas kernel has no band, but the mask's is {mask.band}")
    segments = None
    if mask.query_segments is not None:
        segments = SegmentIds(q=mask.comparable_queries(), kv=mask.key_segments)

    def flash(q_BHLK: Array, k_BHTK: Array, v_BHTK: Array, segments: SegmentIds | None) -> Array:
        return flash_attention(q_BHLK, k_BHTK, v_BHTK, segment_ids=segments, causal=mask.causal, sm_scale=scale)

    heads_first = [jnp.swapaxes(x, 1, 2) for x in (q_BLHK, k_BTHK, v_BTHK)]
    batch, num_heads = q_BLHK.shape[0], q_BLHK.shape[2]
    out_BHLK = _over_mesh(flash, batch, num_heads)(*heads_first, segments)
    return jnp.swapaxes(out_BHLK, 1, 2).astype(q_BLHK.dtype)


def _over_mesh(kernel: Callable[..., Array], batch: int, num_heads: int) -> Callable[..., Array]:
    """`kernel` on each device's part of the batch (axes "data", "fsdp") and of the heads ("tensor").

    XLA can't split a Pallas kernel by itself. An axis that does not divide its dimension repeats the work.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return kernel
    batch_axes = tuple(axis for axis in ("data", "fsdp") if axis in mesh.axis_names)
    if batch % math.prod(mesh.shape[axis] for axis in batch_axes):
        batch_axes = ()
    head_axis = "tensor" if num_heads % mesh.shape.get("tensor", num_heads + 1) == 0 else None
    split = jax.sharding.PartitionSpec(batch_axes, head_axis)
    by_batch = jax.sharding.PartitionSpec(batch_axes)
    return jax.shard_map(kernel, in_specs=(split, split, split, by_batch), out_specs=split, check_vma=False)


def width_of_head(d_model: int, num_heads: int) -> int:
    """d_model / num_heads; ValueError when it is no whole number."""
    if d_model % num_heads:
        raise ValueError(f"d_model {d_model} does not divide into {num_heads} heads; change one of them")
    return d_model // num_heads


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, Sec. 3.2).

    Parameters: `query`, `key`, `value` kernels [D, H, K], `out` kernel [H, K, D], with biases if `use_bias`.

    Attributes:
        scale: what logits are multiplied by.
        out_bias: whether `out` has one; None: as the others.
        dropout: rate on the attention weights; `dropout_axis`: see layers.Dropout.
        out_dropout: rate on what the attention gives.
        query_init, kernel_init, out_init: for the query, for key and value, and for the output.
    """

    num_heads: int
    head_width: int
    features: int
    scale: float
    dropout: float = 0.0
    dropout_axis: int | None = None
    out_dropout: float = 0.0
    use_bias: bool = True
    out_bias: bool | None = None
    query_init: Initializer = normal(0.02)
    kernel_init: Initializer = normal(0.02)
    out_init: Initializer = normal(0.02)
    dtype: Any = jnp.float32

    def setup(self) -> None:
        split = (self.num_heads, self.head_width)
        shared: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype}
        self.query = Dense(split, kernel_init=self.query_init, **shared)
        self.key = Dense(split, kernel_init=self.kernel_init, **shared)
        self.value = Dense(split, kernel_init=self.kernel_init, **shared)
        out_bias = self.use_bias if self.out_bias is None else self.out_bias
        self.out = Dense(self.features, inputs=2, use_bias=out_bias, kernel_init=self.out_init, dtype=self.dtype)
        self.weights_dropout = Dropout(self.dropout, self.dropout_axis)
        self.state_dropout = Dropout(self.out_dropout)

    def keys_values(self, x_BTD: Array, rotary: Rotary | None = None) -> KeysValues:
        """The keys, turned by `rotary` if there is one, and values of `x_BTD`. A cache holds keys that are turned."""
        key_BTHK = self.key(x_BTD)
        return KeysValues(key_BTHK if rotary is None else rotary.rotate(key_BTHK), self.value(x_BTD))

    def __call__(
        self,
        x_BLD: Array,
        keys_values: KeysValues,
        mask: Mask,
        bias_HLT: Array | None = None,
        rotary: Rotary | None = None,
        query_scale: Array | None = None,
    ) -> Array:
        """x_BLD attends to `keys_values`: [B, L, D]. `rotary` and `query_scale`, a scalar, are of the queries."""
        dropout = self.weights_dropout if self.weights_dropout.active() else None
        query_BLHK = self.query(x_BLD) if rotary is None else rotary.rotate(self.query(x_BLD))
        if query_scale is not None:
            query_BLHK = query_BLHK * query_scale.astype(query_BLHK.dtype)
        mixed_BLHK = attend(query_BLHK, *keys_values, mask, bias_HLT, self.scale, dropout)
        return self.state_dropout(self.out(mixed_BLHK))

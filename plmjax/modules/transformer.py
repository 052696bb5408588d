"""The block of a transformer, wired pre-norm or post-norm, and the stack of them.

Legend: B batch, L length, T memory length, D model width, F feed-forward width, H heads, K head width, N layers.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.attention import Attention, KeysValues, backend, width_of_head
from plmjax.modules.layers import Dense, Dropout, Initializer, LayerNorm, activation, normal
from plmjax.modules.masks import Mask

Norm = Callable[[Array], Array]


class PreNorm:
    """x + layer(norm(x)): the sum itself is never normalised (GPT-2, T5)."""

    @staticmethod
    def pre(norm: Norm, x: Array) -> Array:
        """Returns the layer's input."""
        return norm(x)

    @staticmethod
    def post(norm: Norm, x: Array, y: Array) -> Array:
        """Returns the block's value once the layer has returned y."""
        return x + y


class PostNorm:
    """norm(x + layer(x)) (Vaswani et al. 2017, GPT-1, BERT)."""

    @staticmethod
    def pre(norm: Norm, x: Array) -> Array:
        """Returns the layer's input."""
        return x

    @staticmethod
    def post(norm: Norm, x: Array, y: Array) -> Array:
        """Returns the block's value once the layer has returned y."""
        return norm(x + y)


class MLP(nn.Module):
    """down(act(up(x))): `up/kernel` [D, F], `down/kernel` [F, D], with biases if `use_bias`.

    With an `adapter_width` A, y + down(relu(up(y))) of that y, where the adapter's down is zero at first, so that it
    changes nothing (Houlsby et al. 2019, Sec. 2; Raffel et al. 2020, Sec. 3.5.1): `adapter/up/kernel` [D, A] and so on.
    """

    features: int
    hidden: int
    activation: str
    dropout: float = 0.0
    dropout_axis: int | None = None
    use_bias: bool = True
    up_init: Initializer = normal(0.02)
    down_init: Initializer = normal(0.02)
    dtype: Any = jnp.float32
    adapter_width: int = 0

    def setup(self) -> None:
        shared: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype}
        self.up = Dense(self.hidden, kernel_init=self.up_init, **shared)
        self.down = Dense(self.features, kernel_init=self.down_init, **shared)
        self.hidden_dropout = Dropout(self.dropout, self.dropout_axis)
        if self.adapter_width:
            inits: dict[str, Any] = {"up_init": self.up_init, "down_init": nn.initializers.zeros_init()}
            self.adapter = MLP(self.features, self.adapter_width, "relu", **inits, **shared)

    def hidden_units(self, x_BLD: Array) -> Array:
        """[B, L, F] after the activation."""
        return activation(self.activation)(self.up(x_BLD))

    def __call__(self, x_BLD: Array) -> Array:
        y_BLD = self.down(self.hidden_dropout(self.hidden_units(x_BLD)))
        return y_BLD + self.adapter(y_BLD) if self.adapter_width else y_BLD


class GatedMLP(MLP):
    """down(act(gate(x)) * up(x)) (Shazeer 2020): adds `gate/kernel` [D, F]."""

    def setup(self) -> None:
        super().setup()
        self.gate = Dense(self.hidden, use_bias=self.use_bias, kernel_init=self.up_init, dtype=self.dtype)

    def hidden_units(self, x_BLD: Array) -> Array:
        """[B, L, F] after the activation and the product."""
        return activation(self.activation)(self.gate(x_BLD)) * self.up(x_BLD)


class BlockInputs(NamedTuple):
    """The inputs of every block of a stack besides the states.

    Attributes:
        mask: of the self-attention.
        bias: float32 [H, L, T], added to its logits, or None.
        memory: [B, S, D], what the cross-attention reads, or None.
        memory_mask: of the cross-attention.
        rotary: a positions.Rotary by which queries and keys are turned, or None. A stack whose layers differ may be
            given several, of which it gives each layer one.
        query_scale: float32 scalar by which this layer's queries are multiplied besides, or None.
    """

    mask: Mask
    bias: Array | None = None
    memory: Array | None = None
    memory_mask: Mask = Mask()
    rotary: Any = None
    query_scale: Array | None = None


class LayerCache(NamedTuple):
    """Keys and values so far, and those of the memory if there is any, in the layout of cache.py.

    A stack is given those of all layers. It hands all of `own` on from block to block, each of which writes its layer,
    so that they are changed in place; of `memory`, [N, B, S, H, K], a block gets its own.
    """

    own: KeysValues
    memory: KeysValues | None = None
    layer: Array | None = None

    def append(self, fresh: KeysValues, start: Array) -> tuple[KeysValues, KeysValues]:
        """All of `own` with `fresh` [B, L, H, K] from column `start` on; and the layer's, [B, T, H, K] as seen."""
        key_BHKL, value_BHLK = jnp.transpose(fresh.key, (0, 2, 3, 1)), jnp.transpose(fresh.value, (0, 2, 1, 3))
        key, value = self.own.key, self.own.value
        key = lax.dynamic_update_slice(key, key_BHKL[None].astype(key.dtype), (self.layer, 0, 0, 0, start))
        value = lax.dynamic_update_slice(value, value_BHLK[None].astype(value.dtype), (self.layer, 0, 0, start, 0))
        key_BHKT, value_BHTK = (lax.dynamic_index_in_dim(x, self.layer, keepdims=False) for x in (key, value))
        seen = KeysValues(jnp.transpose(key_BHKT, (0, 3, 1, 2)), jnp.transpose(value_BHTK, (0, 2, 1, 3)))
        return KeysValues(key, value), seen


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each wired by `wiring` with its norm and residual dropout.

    `norm_before_attention` False: a pre-norm block's attention reads the states as they are, and the norm's parameters
    stay unread (the first layer of ModernBERT, whose embeddings are normalised).
    """

    wiring: type[PreNorm] | type[PostNorm]
    make_attention: Callable[[], Attention]
    make_mlp: Callable[[], MLP]
    make_norm: Callable[[], nn.Module]
    dropout: float = 0.0
    dropout_axis: int | None = None
    norm_before_attention: bool = True

    def setup(self) -> None:
        self.attention = self.make_attention()
        self.attention_norm = self.make_norm()
        self.mlp = self.make_mlp()
        self.mlp_norm = self.make_norm()
        self.residual_dropout = Dropout(self.dropout, self.dropout_axis)

    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """The block's value [B, L, D] and, when a cache is given, its `own` with these L tokens written."""
        x_BLD, own = self.self_attention_sublayer(x_BLD, inputs, cache)
        return self.feed_forward(x_BLD), own

    def self_attention_sublayer(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None
    ) -> tuple[Array, KeysValues | None]:
        """Self-attention, over the cache's tokens too."""
        y_BLD = self.wiring.pre(self.attention_norm, x_BLD) if self.norm_before_attention else x_BLD
        seen, own = self.attention.keys_values(y_BLD, inputs.rotary), None
        if cache is not None:
            own, seen = cache.append(seen, inputs.mask.query_start)
        scaled = {} if inputs.query_scale is None else {"query_scale": inputs.query_scale}
        y_BLD = self.attention(y_BLD, seen, inputs.mask, inputs.bias, inputs.rotary, **scaled)
        x_BLD = self.wiring.post(self.attention_norm, x_BLD, self.residual_dropout(y_BLD))
        return x_BLD, own

    def feed_forward(self, x_BLD: Array) -> Array:
        """The feed-forward half."""
        y_BLD = self.mlp(self.wiring.pre(self.mlp_norm, x_BLD))
        return self.wiring.post(self.mlp_norm, x_BLD, self.residual_dropout(y_BLD))


def post_norm_block(
    config: Any,
    init: Initializer,
    block: type[Block] = Block,
    make_attention: Callable[..., Any] | None = None,
    mlp_dropout: float = 0.0,
) -> Callable[..., Any]:
    """The layer of BERT and its like: post-norm, every kernel initialised by `init`.

    Args:
        config: has num_heads, d_model, d_ff, activation, norm_eps, dropout, attention_dropout, adapter_width and dtype.
        init: of the kernels.
        block: its class.
        make_attention: of another kind of attention; None: Attention.
        mlp_dropout: on the feed-forward layer's hidden units.
    """
    c = config
    dtype = jnp.dtype(c.dtype)
    if make_attention is None:
        width = width_of_head(c.d_model, c.num_heads)
        shared: dict[str, Any] = {"query_init": init, "kernel_init": init, "out_init": init, "dtype": dtype}
        make_attention = partial(Attention, c.num_heads, width, c.d_model, width**-0.5, c.attention_dropout, **shared)
    return partial(
        block,
        wiring=PostNorm,
        make_attention=make_attention,
        make_mlp=partial(
            MLP,
            c.d_model,
            c.d_ff,
            c.activation,
            mlp_dropout,
            up_init=init,
            down_init=init,
            dtype=dtype,
            adapter_width=c.adapter_width,
        ),
        make_norm=partial(LayerNorm, c.norm_eps, dtype),
        dropout=c.dropout,
    )


class CrossBlock(Block):
    """A block that also attends to a memory, between its two halves."""

    def setup(self) -> None:
        super().setup()
        self.cross_attention = self.make_attention()
        self.cross_norm = self.make_norm()

    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """Returns what Block's call does."""
        x_BLD, own = self.self_attention_sublayer(x_BLD, inputs, cache)
        return self.feed_forward(self.cross_attention_sublayer(x_BLD, inputs, cache)), own

    def cross_attention_sublayer(self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None) -> Array:
        """Cross-attention, with the cache's keys and values where there are some."""
        memory = self.memory_keys_values(inputs.memory) if cache is None else cache.memory
        y_BLD = self.wiring.pre(self.cross_norm, x_BLD)
        y_BLD = self.cross_attention(y_BLD, memory, inputs.memory_mask)
        return self.wiring.post(self.cross_norm, x_BLD, self.residual_dropout(y_BLD))

    def memory_keys_values(self, memory_BTD: Array) -> KeysValues:
        """The keys and values of the memory for the cross-attention."""
        return self.cross_attention.keys_values(memory_BTD)


def run_layers(
    step: Callable[[nn.Module, Any, Any], tuple[Any, Any]],
    block: nn.Module,
    x_BLD: Any,
    per_layer: Any,
    *,
    num_layers: int,
    remat: bool,
    unroll: bool | None,
) -> tuple[Any, Any]:
    """`step(block, x, per_layer[i]) -> (x, out_i)` through the layers; the outs come back stacked.

    Every parameter of `block` has a leading axis of `num_layers`, unrolled or not.

    Args:
        step: one layer.
        block: an unbound-name child of the calling module; its parameters are those of all layers.
        x_BLD: the first layer's input, or a pytree of all that goes from layer to layer.
        per_layer: a pytree with leading axis `num_layers`, or None.
        remat: compute a layer's activations again in the backward pass instead of storing them.
        unroll: one copy of the layer's program a layer. Compiles longer, and runs faster on a CPU, where a scan's
            backward pass takes about twice as long. None: on a CPU only.
    """
    if unroll is None:
        unroll = backend() == "cpu"
    if remat:
        # Inside a loop XLA can't merge the second computation with the first; unrolled, it would.
        step = nn.remat(step, prevent_cse=unroll)
    scan = nn.scan(
        step,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        length=num_layers,
        unroll=num_layers if unroll else 1,
    )
    return scan(block, x_BLD, per_layer)


def run_blocks(
    block: nn.Module,
    x_BLD: Array,
    inputs: BlockInputs,
    cache: LayerCache | None,
    of_layers: Mapping[str, Array] | None = None,
    **sizes: Any,
) -> tuple[Array, KeysValues | None]:
    """`block(x, inputs, its part of the cache)` through the layers; the cache's `own` comes back written.

    of_layers: fields of the inputs that each layer has for itself, [N, ...]; None: none. sizes: as run_layers'.
    """

    def with_own(own: dict[str, Any] | None) -> BlockInputs:
        return inputs if own is None else inputs._replace(**own)

    if cache is None:
        return run_layers(lambda block, x, own: block(x, with_own(own)), block, x_BLD, of_layers, **sizes)

    def step(block: Any, carry: Any, part: Any) -> tuple[Any, None]:
        x_BLD, own = carry
        layer, memory, inputs_of_layer = part
        return block(x_BLD, with_own(inputs_of_layer), LayerCache(own, memory, layer)), None

    layers = jnp.arange(sizes["num_layers"], dtype=jnp.int32)
    carry, _ = run_layers(step, block, (x_BLD, cache.own), (layers, cache.memory, of_layers), **sizes)
    return carry


class Stack(nn.Module):
    """`num_layers` blocks and a final norm if the wiring has one: `layers/...`, `final_norm/...`.

    `scale_by_inverse_layer`: whether the logits of layer i's self-attention, from 0 on, are divided by i + 1.
    """

    num_layers: int
    make_block: Callable[..., Block]
    make_final_norm: Callable[..., nn.Module] | None = None
    remat: bool = False
    unroll: bool | None = None
    scale_by_inverse_layer: bool = False

    @nn.compact
    def __call__(
        self, x_BLD: Array, inputs: BlockInputs, cache: LayerCache | None = None
    ) -> tuple[Array, KeysValues | None]:
        """[B, L, D], and when a cache is given, its `own` with these tokens written."""
        scales_N = 1 / jnp.arange(1, self.num_layers + 1, dtype=jnp.float32)
        x_BLD, own = run_blocks(
            self.make_block(name="layers"),
            x_BLD,
            inputs,
            cache,
            {"query_scale": scales_N} if self.scale_by_inverse_layer else None,
            num_layers=self.num_layers,
            remat=self.remat,
            unroll=self.unroll,
        )
        if self.make_final_norm is not None:
            x_BLD = self.make_final_norm(name="final_norm")(x_BLD)
        return x_BLD, own

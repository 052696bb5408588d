"""Stacks of LSTMs with a projection (Sak et al. 2014), as TensorFlow's LSTMCell computes them.

Legend: B batch, L length, D width of inputs and outputs, M cells, N layers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from plmjax.modules.layers import Dropout
from plmjax.modules.transformer import run_layers

FORGET_BIAS = 1.0  # added to the forget gate beside the learned bias


class LSTMState(NamedTuple):
    """The states that a stack keeps of the text before. The rows lead, so that a batch is cut and spread with it.

    Attributes:
        cell: float32 [B, N, M].
        hidden: float32 [B, N, D].
    """

    cell: Array
    hidden: Array

    def of_rows(self, continues_B: Array) -> "LSTMState":
        """The state with zeros in the rows whose text has just begun (`continues` 0)."""
        return jax.tree.map(lambda x: jnp.where((continues_B > 0)[:, None, None], x, 0.0), self)


class LSTM(nn.Module):
    """One layer: `kernel` [2 D, 4 M] of input and hidden state, `bias` [4 M]; `projection` [M, D] where M > D.

    The gates lie in TensorFlow's order: input, new value, forget, output.
    """

    features: int
    cells: int
    cell_clip: float
    projection_clip: float
    dropout: float

    @nn.compact
    def __call__(
        self, x_BLD: Array, state: LSTMState, seen_BL: Array | None, adds_input: Array
    ) -> tuple[Array, LSTMState]:
        """Outputs [B, L, D] and the state after the last token.

        Args:
            x_BLD: inputs; dropout is on them, and what `adds_input` adds is what dropout left (the released wrappers).
            state: [B, M] and [B, D].
            seen_BL: bool; elsewhere the state is kept and the output is 0. None: everywhere.
            adds_input: bool scalar, whether inputs are added to the outputs.
        """
        glorot, D = nn.initializers.glorot_uniform(), self.features
        kernel = self.param("kernel", glorot, (2 * D, 4 * self.cells), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (4 * self.cells,), jnp.float32)
        projection = self.param("projection", glorot, (self.cells, D), jnp.float32) if self.cells > D else None
        x_BLD = Dropout(self.dropout)(x_BLD)
        # What inputs give to the gates needs no loop.
        given_BLG = lax.dot_general(x_BLD, kernel[:D], (((2,), (0,)), ((), ()))) + bias[None, None]

        def step(state: LSTMState, read: Any) -> tuple[LSTMState, Array]:
            given_BG, seen_B = read
            gates_BG = given_BG + state.hidden @ kernel[D:]
            input_gate, candidate, forget_gate, output_gate = jnp.split(gates_BG, 4, axis=-1)
            kept = jax.nn.sigmoid(forget_gate + FORGET_BIAS) * state.cell
            cell = kept + jax.nn.sigmoid(input_gate) * jnp.tanh(candidate)
            cell = _clipped(cell, self.cell_clip)
            hidden = jax.nn.sigmoid(output_gate) * jnp.tanh(cell)
            if projection is not None:
                hidden = _clipped(hidden @ projection, self.projection_clip)
            after = LSTMState(cell, hidden)
            if seen_B is None:
                return after, hidden
            after = jax.tree.map(lambda new, old: jnp.where(seen_B[:, None], new, old), after, state)
            return after, jnp.where(seen_B[:, None], hidden, 0.0)

        seen_LB = None if seen_BL is None else seen_BL.T
        state, y_LBD = lax.scan(step, state, (jnp.swapaxes(given_BLG, 0, 1), seen_LB))
        y_BLD = jnp.swapaxes(y_LBD, 0, 1)
        residual_BLD = x_BLD if seen_BL is None else jnp.where(seen_BL[..., None], x_BLD, 0.0)
        return jnp.where(adds_input, y_BLD + residual_BLD, y_BLD), state


class LSTMStack(nn.Module):
    """`num_layers` LSTMs under `layers/...`; with `residual` each but the first adds its input to its output."""

    num_layers: int
    features: int
    cells: int
    cell_clip: float
    projection_clip: float
    residual: bool
    dropout: float
    unroll: bool | None

    @nn.compact
    def __call__(self, x_BLD: Array, state: LSTMState, seen_BL: Array | None) -> tuple[Array, LSTMState]:
        """Each layer's outputs [N, B, L, D], and the state after the last token."""
        by_layer = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), state)
        adds_input_N = (jnp.arange(self.num_layers) > 0) & self.residual

        def step(layer: Any, x_BLD: Array, given: Any) -> tuple[Array, Any]:
            y_BLD, after = layer(x_BLD, given[0], seen_BL, given[1])
            return y_BLD, (y_BLD, after)

        sizes = (self.features, self.cells, self.cell_clip, self.projection_clip, self.dropout)
        _, (y_NBLD, after) = run_layers(
            step,
            LSTM(*sizes, name="layers"),
            x_BLD,
            (by_layer, adds_input_N),
            num_layers=self.num_layers,
            remat=False,
            unroll=self.unroll,
        )
        return y_NBLD, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), after)


def empty_state(num_layers: int, batch: int, features: int, cells: int) -> LSTMState:
    """The state before any text."""
    return LSTMState(jnp.zeros((batch, num_layers, cells)), jnp.zeros((batch, num_layers, features)))


def _clipped(x: Array, most: float) -> Array:
    return jnp.clip(x, -most, most) if most else x

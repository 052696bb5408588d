"""The state that training carries from step to step and that checkpoints hold."""

from dataclasses import dataclass
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclass(slots=True)
class State:
    """Arrays only; the loader's position is `step`."""

    step: jax.Array  # int32, batches read
    params: Any  # nested dict of float32
    opt_state: Any  # of the optax transformation
    nonfinite: jax.Array  # int32, steps whose update was skipped; step - nonfinite updates were made
    nonfinite_in_a_row: jax.Array  # int32, of them the last ones without a break
    memory: Any = ()  # of the text before, its rows leading; for objectives that carry one

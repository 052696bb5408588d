"""Learning rates as functions of the number of updates made so far."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plmjax.errors import UserError
from plmjax.train.config import OptimizerConfig

Schedule = Callable[[jax.Array | int], jax.Array]

NAMES = ("linear", "cosine", "rsqrt", "constant")


def make_schedule(config: OptimizerConfig, steps: int) -> Schedule:
    """The learning rate of update `count` (0 for the first), float32.

    With W = `warmup_steps`, T = `decay_steps` or else `steps`, peak = `learning_rate` and end = peak * `final_scale`:

    * linear, cosine: peak * count / W up to W (BERT's and GPT's: the first update has rate 0), then down to `end` at T.
      (BERT's code draws its line from update 0 instead of W; they differ by at most W / T of the peak.)
    * constant: the same rise, then peak.
    * rsqrt: peak * sqrt(W / max(count, W)): flat, then 1/sqrt. T5 is learning_rate=0.01, warmup_steps=10000, which is
      its 1 / sqrt(max(count, 10^4)).

    Raises:
        UserError: unknown schedule.
    """
    if config.schedule not in NAMES:
        raise UserError(f"optimizer.schedule is {config.schedule!r}: it must be one of {', '.join(NAMES)}.")
    peak, warmup = config.learning_rate, config.warmup_steps
    end = config.decay_steps or steps

    def rate(count: jax.Array | int) -> jax.Array:
        count = jnp.asarray(count, jnp.float32)
        if config.schedule == "rsqrt":
            flat = float(max(warmup, 1))
            return peak * jnp.sqrt(flat / jnp.maximum(count, flat))
        progress = jnp.clip((count - warmup) / max(end - warmup, 1), 0.0, 1.0)
        if config.schedule == "constant":
            left = jnp.ones_like(progress)
        elif config.schedule == "linear":
            left = 1.0 - progress
        else:
            left = 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
        decayed = config.final_scale + (1.0 - config.final_scale) * left
        if config.schedule == "constant":
            decayed = left
        rise = jnp.minimum(count / warmup, 1.0) if warmup else 1.0
        return peak * jnp.where(count < warmup, rise, decayed)

    return rate

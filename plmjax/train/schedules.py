"""Learning rates as functions of the number of updates made so far."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plmjax.errors import UserError
from plmjax.train.config import OptimizerConfig, refuse_set

Schedule = Callable[[jax.Array | int], jax.Array]

NAMES = ("linear", "cosine", "inverse_sqrt", "rsqrt", "constant")
ENDING = ("linear", "cosine")  # which fall to an end, and to a share of the peak


def make_schedule(config: OptimizerConfig, steps: int) -> Schedule:
    """The learning rate of update `count` (0 for the first), float32.

    With W = `warmup_steps`, T = `decay_steps` or else `steps`, peak = `learning_rate`, start = `warmup_init_lr` and end
    = peak * `final_scale`:

    * linear, cosine: start + (peak - start) * count / W up to W (BERT's and GPT's start at 0), then down to `end` at T.
      (BERT's code draws its line from update 0 instead of W; they differ by at most W / T of the peak.)
    * constant: the same rise, then peak.
    * inverse_sqrt: the same rise, then peak * sqrt(W / count), which is fairseq's
      (optim/lr_scheduler/inverse_square_root_schedule.py:62-84), XLM's (xlm/optim.py:115-133; start 1e-7) and Marian's.
      The Transformer's ("noam", Vaswani et al. 2017, Sec. 5.3) has peak = (d_model * W)^-0.5 and counts from 1.
    * rsqrt: peak * sqrt(W / max(count, W)): flat, then 1/sqrt. T5 is learning_rate=0.01, warmup_steps=10000, which is
      its 1 / sqrt(max(count, 10^4)).

    Raises:
        UserError: unknown schedule, or a setting that it has no use for.
    """
    _check(config)
    peak, warmup, start = config.learning_rate, config.warmup_steps, config.warmup_init_lr
    end = config.decay_steps or steps

    def rate(count: jax.Array | int) -> jax.Array:
        count = jnp.asarray(count, jnp.float32)
        if config.schedule == "rsqrt":
            return peak * _inverse_sqrt(count, max(warmup, 1))
        if config.schedule == "inverse_sqrt":
            after = _inverse_sqrt(count, warmup)
        elif config.schedule == "constant":
            after = jnp.ones_like(count)
        else:
            progress = jnp.clip((count - warmup) / max(end - warmup, 1), 0.0, 1.0)
            left = 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
            after = config.final_scale + (1.0 - config.final_scale) * left
        rise = start + (peak - start) * jnp.minimum(count / warmup, 1.0) if warmup else peak
        return jnp.where(count < warmup, rise, peak * after)

    return rate


def _inverse_sqrt(count: jax.Array, flat: int) -> jax.Array:
    """sqrt(flat / count), 1 up to `flat`."""
    return jnp.sqrt(flat / jnp.maximum(count, float(flat)))


def _check(config: OptimizerConfig) -> None:
    if config.schedule not in NAMES:
        raise UserError(f"optimizer.schedule is {config.schedule!r}: it must be one of {', '.join(NAMES)}.")
    if config.schedule == "inverse_sqrt" and not config.warmup_steps:
        raise UserError("optimizer.schedule is 'inverse_sqrt', which needs optimizer.warmup_steps above 0: set them.")
    if config.schedule not in ENDING:
        refuse_set(config, ("decay_steps", "final_scale"), f"the schedule {config.schedule!r}")
    if config.schedule == "rsqrt":
        refuse_set(config, ("warmup_init_lr",), "the schedule 'rsqrt'")
    if not config.warmup_steps:
        refuse_set(config, ("warmup_init_lr",), "a schedule without warm-up")
    if not 0.0 <= config.warmup_init_lr <= config.learning_rate:
        raise UserError(
            f"optimizer.warmup_init_lr is {config.warmup_init_lr}: it must be from 0 to optimizer.learning_rate, "
            f"{config.learning_rate}."
        )

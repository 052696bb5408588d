"""A batch that grows over the first tokens (Brown et al. 2020, App. B), as a pure function of the step.

The size rises by steps of its first value, each time that the line from the first to the last size has come so far. A
run without a ramp has one stage.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from plmjax.errors import UserError
from plmjax.train.config import TrainConfig


class Stage(NamedTuple):
    """Steps with batches of one size."""

    first_step: int
    first_example: int  # how many examples the steps before have read
    batch_size: int


@dataclass(frozen=True)
class Ramp:
    """The stages of a run, the first of them from step 0 on."""

    stages: tuple[Stage, ...]

    def at(self, step: int) -> Stage:
        """The stage of the batch that is read after `step` updates."""
        return next(stage for stage in reversed(self.stages) if stage.first_step <= step)

    def examples(self, step: int) -> int:
        """Examples read in the first `step` updates."""
        stage = self.at(step)
        return stage.first_example + (step - stage.first_step) * stage.batch_size

    def full_batches(self, step: jax.Array | int) -> jax.Array | int:
        """float32, the examples of the first `step` updates in units of the largest batch: the time of schedules."""
        if len(self.stages) == 1:
            return step
        firsts, examples, sizes = (jnp.asarray(column) for column in zip(*self.stages, strict=True))
        number = jnp.searchsorted(firsts, step, side="right") - 1
        read = examples[number] + (step - firsts[number]) * sizes[number]
        return read.astype(jnp.float32) / self.stages[-1].batch_size


def make_ramp(train: TrainConfig) -> Ramp:
    """The stages that `train.ramp_batch_size` and `train.ramp_tokens` ask for.

    Raises:
        UserError: one of the two is missing, or the sizes do not divide each other.
    """
    full, first = train.batch_size, train.ramp_batch_size
    if not first and not train.ramp_tokens:
        return Ramp((Stage(0, 0, full),))
    if first < 1 or train.ramp_tokens < 1:
        raise UserError(
            f"train.ramp_batch_size is {first} and train.ramp_tokens {train.ramp_tokens}: give both to let the batch "
            "grow, or neither."
        )
    portion = max(full // train.microbatches, 1)
    if full % first or (train.microbatches > 1 and first % portion):
        raise UserError(
            f"train.ramp_batch_size is {first}: it must divide train.batch_size, {full}, and be a multiple of a "
            f"microbatch, {portion} examples."
        )
    stages = [Stage(0, 0, first)]
    for size in range(2 * first, full + 1, first):
        # The line from `first` reaches `size` after this share of the tokens.
        due = train.ramp_tokens * (size - first) / (full - first) / train.length
        step, examples, last = stages[-1]
        count = max(0, math.ceil((due - examples) / last))
        stages.append(Stage(step + count, examples + count * last, size))
    # A size that is passed over within a step has no stage.
    return Ramp(
        tuple(a for a, b in zip(stages, [*stages[1:], None], strict=True) if b is None or b.first_step > a.first_step)
    )

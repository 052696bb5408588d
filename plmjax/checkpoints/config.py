"""When checkpoints are written."""

from dataclasses import dataclass


@dataclass(slots=True)
class CheckpointConfig:
    """When the state is written, and what is kept."""

    every_steps: int = 1000  # 0: not by steps; the last step is always saved
    every_minutes: float = 30.0  # 0: not by the clock
    keep: int = 2  # newest checkpoints kept
    keep_every: int = 0  # also keep the steps that this divides, 0: none

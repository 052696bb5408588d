"""The configuration of a run: its network, objective, data and training.

`Config.model` is a configuration of `plmjax.modules`, `Config.objective` one of `plmjax.objectives`. The classes are
mutable so that command-line overrides work; `resolve.resolve` checks them and fills in what is derived.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from plmjax.checkpoints.config import CheckpointConfig
from plmjax.errors import UserError


@dataclass(slots=True)
class DataConfig:
    """The token store, and what it is built from."""

    store: str = ""  # folder of the token store; empty: WORKDIR/store
    prepare: Any = None  # data.prepare.PrepareOptions to build the store from where it does not exist
    seed: int = 0  # of the windows and of the order of the examples


@dataclass(slots=True)
class LoopConfig:
    """The settings that pre-training and fine-tuning share: the numbers of the loop, and where it reports."""

    steps: int = 0  # updates of the run
    batch_size: int = 32  # examples a step, over all devices and microbatches
    microbatches: int = 1  # portions whose gradients are added up; the result does not depend on it
    seed: int = 0  # of the initialisation, the noise and dropout
    log_every: int = 10  # steps between two lines of metrics
    eval_every: int = 0  # steps between two validations; the last step is always validated
    eval_batch_size: int = 0  # examples of a validation batch
    max_nonfinite: int = 10  # non-finite gradients in a row that stop the run
    compilation_cache: str = "~/.cache/plmjax/compiled"  # folder of compiled programs, empty: none
    tensorboard: bool = True  # write TensorBoard's files into the folder "tensorboard" beside metrics.jsonl
    wandb: str = ""  # Weights & Biases project, empty: off


@dataclass(slots=True)
class TrainConfig(LoopConfig):
    """The settings of the pre-training loop."""

    steps: int = 1000  # updates; the decaying schedules end here
    length: int = 128  # tokens of an example as the network reads it
    carry_optimizer: bool = False  # --init_from gives the optimizer's state too: the run goes on, not anew
    ramp_batch_size: int = 0  # examples of the first steps where the batch grows (GPT-3), 0: it does not
    ramp_tokens: int = 0  # over which it grows to batch_size; the schedules' steps are then counted in whole batches
    eval_every: int = 500  # steps between two validations; the last step is always validated
    eval_batches: int = 0  # validation batches read each time, 0: the whole split
    eval_batch_size: int = 0  # examples of a validation batch, 0: one microbatch


@dataclass(slots=True)
class OptimizerConfig:
    """The update rule and its learning rate."""

    name: str = "adamw"  # adamw, adafactor, adagrad or lamb
    learning_rate: float = 1e-3  # the highest rate, in every schedule
    schedule: str = "linear"  # after the warm-up: linear, cosine, inverse_sqrt, rsqrt or constant
    warmup_steps: int = 0  # linear rise; rsqrt: length of the flat start (T5: 10,000)
    warmup_init_lr: float = 0.0  # rate of the first update, where the rise starts; not with rsqrt
    decay_steps: int = 0  # step at which linear and cosine end, 0: train.steps
    final_scale: float = 0.0  # linear and cosine end at learning_rate times this
    b1: float = 0.9  # AdamW, LAMB: decay of the first moment
    b2: float = 0.999  # AdamW, LAMB: decay of the second moment
    eps: float = 1e-8  # AdamW, LAMB: added to the root of the second moment
    bias_correction: bool = True  # AdamW, LAMB: divide the moments by 1 - decay^step; BERT's and ALBERT's codes do not
    initial_accumulator: float = 0.1  # Adagrad: what the sums of squares start from
    weight_decay: float = 0.0  # AdamW, LAMB: decoupled
    exclude_from_weight_decay: str = "biases_and_norms"  # or "nothing" (fairseq, XLM)
    exclude_from_layer_adaptation: str = "biases_and_norms"  # of LAMB's trust ratio; or "nothing" (its paper)
    clip_norm: float = 0.0  # global gradient norm above which gradients are scaled down, 0: never


def refuse_set(config: OptimizerConfig, names: Sequence[str], by: str) -> None:
    """UserError for the first of these fields that is set to another value than its default, as `by` ignores it."""
    defaults = {one.name: one.default for one in fields(config)}
    for name in names:
        if (value := getattr(config, name)) != defaults[name]:
            raise UserError(
                f"optimizer.{name} is {value!r}, but {by} has no use for it: leave it at its default, "
                f"{defaults[name]!r}."
            )


@dataclass(slots=True)
class MeshConfig:
    """Devices on each axis of the mesh; -1 takes the rest."""

    data: int = -1  # copies of the parameters, each with its rows of the batch
    fsdp: int = 1  # rows of the batch again, and the parameters split among them
    tensor: int = 1  # heads, feed-forward width and vocabulary split among them


@dataclass(slots=True)
class Config:
    """One run."""

    model: Any  # a configuration of plmjax.modules
    objective: Any  # a configuration of plmjax.objectives
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    name: str = ""  # of the run: the default working folder is runs/<name>

"""A family of sizes over budgets: what it is made of, its runs, and what they cost."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.train.config import Config
from plmjax.train.data import TrainingBatches
from plmjax.train.flops import forward_flops
from plmjax.train.resolve import resolve
from plmjax.train.sharding import abstract_batch
from plmjax.train.state import parameter_count
from plmjax.train.step import forward


@dataclass(slots=True)
class Family:
    """Sizes, each of which is trained anew for each budget.

    A run's schedule ends at its budget, so that its loss is that of a finished run and not of one on its way.
    """

    run: Config  # what all runs share; sizes, steps, warm-up, learning rate, seed and name are set run by run
    layers: tuple[int, ...]  # of each size
    widths: tuple[int, ...]  # d_model of each size; d_ff is as many times it as in run.model
    tokens: tuple[int, ...]  # the budgets, rising: predicted tokens, at most an epoch of the store
    seeds: tuple[int, ...] = (0,)  # of the initialisation and of the data's order; a run for each
    head_width: int = 32  # a size has max(1, d_model // head_width) heads
    rate_width: int = 64  # run.optimizer.learning_rate is that of this d_model;
    rate_power: float = 0.5  # the others have it times (rate_width / d_model) ** rate_power
    warmup_share: float = 0.1  # of a run's steps
    resamples: int = 1000  # of the bootstrap of the fits
    name: str = "scaling"  # the default working folder is runs/<name>


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a family."""

    name: str  # of its folder
    budget: int  # tokens, before they are rounded to whole steps
    seed: int
    config: Config

    @property
    def size(self) -> tuple[int, int]:
        """Layers and d_model."""
        return self.config.model.num_layers, self.config.model.d_model

    @property
    def tokens(self) -> int:
        """Tokens that the run predicts."""
        train = self.config.train
        return train.steps * train.batch_size * train.length


@dataclass(frozen=True, slots=True)
class Cost:
    """What a size costs.

    Attributes:
        parameters: N, all but the tables of tokens and positions (Kaplan et al. 2020, Sec. 1.3, leave out biases and
            norms as well, of which these are about 1 / d_model).
        all_parameters: those as well.
        flops: of a training step, a token: of all matrix products, attention and the scores of the vocabulary included.
    """

    parameters: int
    all_parameters: int
    flops: float


# Fields of a run's configuration on which its result does not depend.
FREE = (
    "name",
    "data.store",  # the store's fingerprint is part of a cell's identity instead
    "data.prepare",
    "train.log_every",
    "train.eval_every",
    "train.max_nonfinite",
    "train.compilation_cache",
    "train.tensorboard",
    "train.wandb",
    "mesh",
    "checkpoint",
)


def check(family: Family) -> None:
    """UserError for a family that can't be trained or fitted, in one sentence."""
    if len(family.layers) != len(family.widths):
        raise UserError(
            f"layers has {len(family.layers)} numbers and widths {len(family.widths)}: give both for each size."
        )
    sizes = list(zip(family.layers, family.widths, strict=True))
    for name, values in (("size", sizes), ("budget", family.tokens), ("seed", family.seeds)):
        if twice := [value for value in values if list(values).count(value) > 1]:
            raise UserError(f"The {name} {twice[0]} is there twice: give each once.")
    if len(sizes) < 2 or len(family.tokens) < 2:
        raise UserError(
            f"The family has {len(sizes)} size(s) and {len(family.tokens)} budget(s): a law needs two of each at least."
        )
    if not family.seeds:
        raise UserError("seeds is empty: give at least one, such as (0,).")
    if list(family.tokens) != sorted(family.tokens):
        raise UserError(f"tokens is {family.tokens}: give the budgets from the smallest to the largest.")
    for name, number in (("head_width", family.head_width), ("rate_width", family.rate_width)):
        if number < 1:
            raise UserError(f"{name} is {number}: it must be above 0.")
    if not 0.0 <= family.warmup_share < 1.0:
        raise UserError(f"warmup_share is {family.warmup_share}: it must be at least 0 and below 1.")
    if family.resamples < 0:
        raise UserError(f"resamples is {family.resamples}: it must be at least 0.")
    _check_run(family)
    for layers, width in sizes:
        heads = _heads(family, width)
        if layers < 1 or width < 1 or width % heads:
            raise UserError(
                f"The size of {layers} layers and d_model {width} can't be built: both must be above 0, and {heads} "
                f"heads must divide d_model."
            )


def _check_run(family: Family) -> None:
    train, model = family.run.train, family.run.model
    if missing := [name for name in ("num_layers", "num_heads", "d_model", "d_ff") if not hasattr(model, name)]:
        raise UserError(
            f"run.model is {type(model).__name__}, which has no {missing[0]}: take one with sizes like GPTConfig's."
        )
    if train.ramp_batch_size:
        raise UserError(
            f"run.train.ramp_batch_size is {train.ramp_batch_size}, but all steps of a family read as many tokens: set "
            "it to 0."
        )
    per_step = train.batch_size * train.length
    if per_step < 1 or family.tokens[0] < per_step:
        raise UserError(
            f"The budget of {family.tokens[0]:,} tokens is less than a step of {train.batch_size} x {train.length}: "
            "raise it."
        )


def _heads(family: Family, width: int) -> int:
    return max(1, width // family.head_width)


def members(family: Family, workdir: Path) -> list[Member]:
    """The runs, those of the smallest budget first, so that one that is stopped has whole budgets behind it."""
    sizes = list(zip(family.layers, family.widths, strict=True))
    return [
        _member(family, workdir, layers, width, budget, seed)
        for budget in family.tokens
        for seed in family.seeds
        for layers, width in sizes
    ]


def _member(family: Family, workdir: Path, layers: int, width: int, budget: int, seed: int) -> Member:
    run, model = family.run, family.run.model
    steps = max(1, round(budget / (run.train.batch_size * run.train.length)))
    name = f"{layers}x{width}_{budget}" + (f"_seed{seed}" if len(family.seeds) > 1 else "")
    rate = run.optimizer.learning_rate * (family.rate_width / width) ** family.rate_power
    config = replace(
        run,
        name=name,
        model=replace(
            model,
            num_layers=layers,
            num_heads=_heads(family, width),
            d_model=width,
            d_ff=width * model.d_ff // model.d_model,
        ),
        data=replace(run.data, store=run.data.store or str(workdir / "store"), seed=seed),
        train=replace(run.train, steps=steps, seed=seed),
        optimizer=replace(run.optimizer, learning_rate=rate, warmup_steps=round(family.warmup_share * steps)),
    )
    return Member(name, budget, seed, config)


def cost(config: Config, store: Store) -> Cost:
    """Of a run's network and step; nothing is computed.

    Raises UserError where the run's budget is more than an epoch: L(D) is about text that was not seen before.
    """
    config = resolve(config, store.vocabulary, None, store.languages)
    batches = TrainingBatches(config, store, None)
    train = config.train
    if (epochs := batches.epoch(train.steps)) > 1.0:
        per_epoch = train.steps * train.batch_size * train.length / epochs
        raise UserError(
            f"The budget of {train.steps * train.batch_size * train.length:,} tokens is more than the store's text, "
            f"{per_epoch:,.0f}: give budgets up to that, or prepare more text."
        )
    module = build(config.model)
    params: Any = jax.eval_shape(lambda: module.init(jax.random.key(0))["params"])
    run = partial(forward, module=module, objective=config.objective, vocabulary=store.vocabulary)
    flops = 3.0 * forward_flops(run, params, abstract_batch(batches.batch(0), train.batch_size))
    everything = parameter_count(params)
    return Cost(
        parameters=everything - parameter_count(params["embeddings"]),
        all_parameters=everything,
        flops=flops / (train.batch_size * train.length),
    )

"""Checks a configuration against the store and the devices and fills in what is derived, before any work."""

import copy
from collections.abc import Sequence

from plmjax.data.tokenizers.vocabulary import Vocabulary, padded
from plmjax.errors import UserError
from plmjax.modules import build, family_of, networks_of, reads_characters
from plmjax.modules.config_checks import check_config
from plmjax.modules.facts import num_languages_of
from plmjax.train.checks import check_bounds, check_divides, check_rows
from plmjax.train.config import Config
from plmjax.train.optimizers import make_optimizer
from plmjax.train.ramp import make_ramp
from plmjax.train.schedules import ENDING, make_schedule


def resolve(config: Config, vocabulary: Vocabulary, device_count: int | None, languages: Sequence[str] = ()) -> Config:
    """A copy of `config` that can run: vocabulary rows, languages, heads, decay steps and validation batch size filled
    in.

    Args:
        config: as read; it is not changed.
        vocabulary: the store's `Vocabulary`.
        device_count: devices of all processes; None leaves the mesh unchecked.
        languages: the store's.

    Raises:
        UserError: a value out of range, or two that do not fit, in one sentence.
    """
    config = copy.deepcopy(config)
    check_without_data(config)
    if device_count is not None:
        rows = check_rows(config.train, config.mesh, device_count)
        check_divides("train.ramp_batch_size", config.train.ramp_batch_size, rows)
    _fill_model(config, vocabulary)
    _fill_languages(config, tuple(languages))
    kind = build(config.model).kind
    config.objective.check(config.model, kind, vocabulary, config.train.length)
    if config.optimizer.schedule in ENDING and not config.optimizer.decay_steps:
        config.optimizer.decay_steps = max(
            1, make_ramp(config.train).examples(config.train.steps) // config.train.batch_size
        )
    if not config.train.eval_batch_size:
        config.train.eval_batch_size = config.train.batch_size // config.train.microbatches
    return config


def check_without_data(config: Config) -> None:
    """Checks what needs neither text nor devices; UserError for a value out of range, or two that do not fit."""
    for network in networks_of(config.model).values():
        check_config(family_of(network), network)
    check_numbers(config)
    make_optimizer(config.optimizer)
    make_schedule(config.optimizer, config.train.steps)
    make_ramp(config.train)


def check_numbers(config: Config) -> None:
    """UserError for a number that no run can have."""
    check_bounds(
        config,
        positive=("train.steps", "train.length", "train.eval_every", "checkpoint.keep"),
        not_negative=(
            "train.ramp_batch_size",
            "train.ramp_tokens",
            "train.eval_batches",
            "checkpoint.every_steps",
            "checkpoint.every_minutes",
            "checkpoint.keep_every",
        ),
    )
    decay = config.optimizer.decay_steps or config.train.steps
    if config.optimizer.schedule in ENDING and config.optimizer.warmup_steps > decay:
        raise UserError(
            f"optimizer.warmup_steps is {config.optimizer.warmup_steps}, but the rate must have decayed by step "
            f"{decay}: warm up for fewer steps."
        )


def _fill_model(config: Config, vocabulary: Vocabulary) -> None:
    heads = config.objective.heads
    for name, network in networks_of(config.model).items():
        rows = padded(vocabulary.shortlist) if reads_characters(network) else vocabulary.padded_size
        if network.vocab_size not in (0, rows):
            raise UserError(
                f"model.{name + '.' if name else ''}vocab_size is {network.vocab_size}, but the store's tokenizer "
                f"needs {rows} rows: leave it 0."
            )
        network.vocab_size = rows
        # An objective for one network, which is then refused by its kind, names no heads for the networks of several.
        if hasattr(network, "heads"):
            network.heads = tuple(heads.get(name, ()) if isinstance(heads, dict) else heads)


def _fill_languages(config: Config, languages: tuple[str, ...]) -> None:
    if not languages:
        return  # windows that need some say so
    for network in networks_of(config.model).values():
        if num_languages_of(network) is None:
            continue
        if network.num_languages not in (0, len(languages)):
            raise UserError(
                f"model.num_languages is {network.num_languages}, but the store has {len(languages)} languages: "
                "leave it 0."
            )
        network.num_languages = len(languages)
    if hasattr(config.objective, "languages"):
        config.objective.languages = languages

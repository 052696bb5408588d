"""Hooks by which networks made of several prepare themselves, so that the loop knows none of them by name."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plmjax.checkpoints.checkpointer import latest
from plmjax.checkpoints.serialize import from_json
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.modules.distillation import DistillationConfig
from plmjax.train.config import Config
from plmjax.train.initialize import Loader, load_native
from plmjax.train.teacher import fill_in_teacher, init_from_teacher


@dataclass(frozen=True, slots=True)
class CompositeHooks:
    """The steps by which a composite prepares itself.

    Attributes:
        complete: (its config, that of the run's checkpoint or None, loader): fills in what other checkpoints say.
        prepare: (its config, fresh parameters, the tokenizer's fingerprint, vocabulary, loader): replaces parameters
            and yields sentences that say what it did.
    """

    complete: Callable[[Any, Any, Loader], None]
    prepare: Callable[[Any, dict[str, Any], str, Vocabulary, Loader], Iterator[str]]


HOOKS: dict[type, CompositeHooks] = {DistillationConfig: CompositeHooks(fill_in_teacher, init_from_teacher)}


def complete_model(config: Config, workdir: Path, load: Loader = load_native) -> Config:
    """`config` with a model whose networks are all known.

    A run that has a checkpoint knows them; for a new one `load` reads the checkpoints that the model names.

    Raises:
        UserError: the model names none, or one that can't be read.
    """
    if type(config.model) not in HOOKS:
        return config
    config = copy.deepcopy(config)
    found = latest(workdir / "checkpoints")
    saved = from_json(found.manifest["config"]["model"]) if found is not None else None
    HOOKS[type(config.model)].complete(config.model, saved, load)
    return config


def prepare_params(
    model: Any, params: dict[str, Any], tokenizer: str, vocabulary: Vocabulary, load: Loader = load_native
) -> Iterator[str]:
    """Replaces fresh parameters that come from elsewhere; yields a sentence for each thing that it did.

    Args:
        model: a configuration of plmjax.modules, whose networks are known.
        params: the fresh parameters, changed in place.
        tokenizer: fingerprint of the run's tokenizer.
        vocabulary: the store's.
        load: reads other checkpoints.

    Raises:
        UserError: another checkpoint can't be read or does not fit.
    """
    if type(model) in HOOKS:
        yield from HOOKS[type(model)].prepare(model, params, tokenizer, vocabulary, load)

"""The network that is fine-tuned: the checkpoint's with the task model's heads, which start fresh."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.checkpoints.checkpointer import Checkpointer
from plmjax.checkpoints.paths import path_string
from plmjax.checkpoints.provenance import git_revision, versions
from plmjax.checkpoints.serialize import to_json
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.finetune.backbones import Backbone
from plmjax.finetune.config import FineTune
from plmjax.finetune.task_models.base import LengthLimits, TaskModel
from plmjax.interop import Pretrained
from plmjax.interop.native import fingerprints_of
from plmjax.interop.registry import architecture_of
from plmjax.modules.facts import max_positions_of
from plmjax.train.initialize import VOCABULARY_ROWS, adapt_params

DROPOUTS = ("dropout", "attention_dropout", "attention_out_dropout")


def limits_of(config: Any, recipe: FineTune) -> LengthLimits:
    """The longest row; UserError where the recipe asks for more than the network has positions."""
    positions = max_positions_of(config)
    if recipe.max_length < 0 or (recipe.max_length and positions and recipe.max_length > positions):
        raise UserError(
            f"max_length is {recipe.max_length}, but the network has {positions} positions: give at most {positions}, "
            "or 0 for all of them."
        )
    return LengthLimits(recipe.max_length or positions, recipe.truncation)


def network_config(config: Any, task_model: TaskModel, recipe: FineTune) -> Any:
    """The checkpoint's config with the task model's heads and the recipe's dropout and dtype."""
    changes: dict[str, Any] = {"heads": task_model.heads}
    if task_model.num_outputs:
        changes["num_labels"] = task_model.num_outputs
    changes |= {"cells": recipe.features.cells, "normalise": recipe.features.normalise}
    if recipe.dropout is not None:
        if not 0.0 <= recipe.dropout < 1.0:
            raise UserError(f"dropout is {recipe.dropout}: it must be at least 0 and below 1.")
        changes |= dict.fromkeys(DROPOUTS, recipe.dropout)
    if recipe.dtype:
        changes["dtype"] = recipe.dtype
    changes |= recipe.update_strategy.config_changes(config)
    if task_model.backbone.new_tokens:
        changes["vocab_size"] = config.vocab_size + task_model.backbone.new_tokens
    known = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in changes.items() if name in known})


def filler(pretrained: Pretrained, backbone: Backbone) -> Callable[[Any], tuple[Any, list[str], list[str]]]:
    """Fresh parameters -> (the checkpoint's where it has them, the names left fresh, the checkpoint's left unused)."""
    source, rows = pretrained.params, pretrained.config.vocab_size + backbone.new_tokens

    def fill(fresh: Any) -> tuple[Any, list[str], list[str]]:
        return adapt_params(_with_new_rows(source, fresh) if backbone.new_tokens else source, fresh, rows, "--from")

    return fill


def _with_new_rows(source: dict[str, Any], fresh: Any) -> dict[str, Any]:
    """The source with the fresh rows of tokens that it does not have."""
    known = {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(fresh)}

    def one(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_string(path)
        if not VOCABULARY_ROWS.search(name) or name not in known:
            return leaf
        return np.concatenate([np.asarray(leaf), np.asarray(known[name])[len(leaf) :]])

    return jax.tree_util.tree_map_with_path(one, source)


def manifest_of(
    pretrained: Pretrained, config: Any, recipe: FineTune, task_model: TaskModel, about: dict[str, Any]
) -> dict[str, Any]:
    """The manifest of a fine-tuned checkpoint, by which `plmjax.load` reads it."""
    extras = dict(pretrained.extras) | task_model.extras
    if pretrained.config.vocab_size < config.vocab_size:  # tokens that the tokenizer does not have
        new = range(pretrained.config.vocab_size, config.vocab_size)
        extras["new_tokens"] = dict(zip(task_model.backbone.new_names, new, strict=True))
    return {
        "config": {"model": to_json(config), "recipe": to_json(recipe), "task": to_json(task_model.task)},
        "store": "",
        **fingerprints_of(pretrained),
        "revision": git_revision(),
        "versions": versions(),
        "huggingface": {
            "architecture": pretrained.family.architecture(config) or architecture_of(config),
            "special": dict(pretrained.special),
            "extras": extras,
            "generation": task_model.generation(pretrained.generation),
        },
        **about,
    }


def save_params(writer: Checkpointer, params: Any, step: int, manifest: dict[str, Any]) -> None:
    """Begins to write the parameters of a step, without the optimizer's state."""
    zero = jnp.zeros((), jnp.int32)
    writer.save(State(jnp.int32(step), params, (), zero, zero), manifest)

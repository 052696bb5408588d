"""The teacher of a distillation: it is found when a run begins, and the student starts from some of its layers."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.checkpoints.networks import one_network
from plmjax.checkpoints.paths import path_string
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.modules.distillation import DistillationConfig
from plmjax.train.initialize import InitialNetwork, Loader, adapt_params, load_native, without_padding_rows

STACKED = "encoder/layers/"


def fill_in_teacher(model: DistillationConfig, saved: Any, load: Loader = load_native) -> None:
    """Fills in the teacher's config where it is not known: `saved`'s, else that of the checkpoint `teacher_from`.

    Args:
        model: changed in place.
        saved: the model of the run's own checkpoint, None in a new run.
        load: reads the teacher's checkpoint.

    Raises:
        UserError: `teacher_from` names none, or one that can't be read.
    """
    if model.teacher is None:
        model.teacher = getattr(saved, "teacher", None)
    if model.teacher is None:
        model.teacher = copy.deepcopy(_load(model, load).config)
        model.teacher.vocab_size = 0  # the store's vocabulary decides


def init_from_teacher(
    model: DistillationConfig,
    params: dict[str, Any],
    tokenizer: str,
    vocabulary: Vocabulary,
    load: Loader = load_native,
) -> Iterator[str]:
    """Puts the teacher's parameters into `params`, and starts the student from them unless it starts at random.

    Yields a sentence for each thing that it did.

    Raises:
        UserError: the teacher has another tokenizer or no token head, or the student can't start from it.
    """
    source = _load(model, load)
    if source.tokenizer not in ("", tokenizer):
        raise UserError(
            f"The teacher in {model.teacher_from} has another tokenizer than the store: prepare the store with its "
            "tokenizer."
        )
    given = without_padding_rows(source.params, vocabulary.size)
    params["teacher"], fresh, _ = adapt_params(given, params["teacher"], vocabulary.size, "model.teacher_from")
    if fresh:
        raise UserError(f"The teacher in {model.teacher_from} has no {fresh[0]!r}: take a network with a token head.")
    yield f"teacher: {model.teacher_from}, {type(model.teacher).__name__}"
    if model.initialise == "random":
        return
    if model.initialise != "teacher":
        raise UserError(f"model.initialise is {model.initialise!r}; it must be 'teacher' or 'random'.")
    layers = model.copied_layers()
    params["student"] = student_from_teacher(params["student"], params["teacher"], layers)
    yield f"the student starts from the teacher's layers {', '.join(map(str, layers))}"


def student_from_teacher(student: Any, teacher: Any, layers: tuple[int, ...]) -> Any:
    """The student's parameters: the teacher's of the same paths, of its layers those that `layers` names.

    Raises:
        UserError: the teacher lacks one, or has it in another shape.
    """
    given = {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(teacher)}
    chosen = np.asarray(layers)

    def one(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        name = path_string(path)
        value = given.get(name)
        if value is not None and name.startswith(STACKED):
            value = value[chosen]
        if value is None or value.shape != leaf.shape:
            has = "lacks" if value is None else f"has as {list(value.shape)}"
            raise UserError(
                f"The student's {name!r} is {list(leaf.shape)}, which the teacher {has}: give the student the "
                "teacher's sizes, or set model.initialise to 'random'."
            )
        return jnp.array(value, copy=True, device=leaf.sharding)  # the step gives each array away once

    return jax.tree_util.tree_map_with_path(one, student)


def _load(model: DistillationConfig, load: Loader) -> InitialNetwork:
    """The teacher; of a checkpoint with several networks, the one that the others served to train."""
    if not model.teacher_from:
        raise UserError("model.teacher_from is empty: name the teacher's working folder or Hugging Face directory.")
    source = load(model.teacher_from, "model.teacher_from")
    config, params = one_network(source.config, source.params, None, Path(model.teacher_from))
    return source._replace(config=config, params=params)

"""Configurations as JSON, so that a checkpoint carries its own and evaluation and export read it again.

A dataclass becomes `{"type": "module:Class", field: value, ...}`. Reading imports nothing but modules of plmjax: a
class of a user's own module is found once the program itself has imported the module. No pickle, no `eval`.
"""

import dataclasses
import importlib
import sys
from typing import Any

from plmjax.errors import UserError
from plmjax.renames import upgraded

# Fields that a resumed run may change: they alter neither the parameters that a step gives nor the order of the data.
FREE = (
    "name",
    "data.store",  # the store's fingerprint is compared instead
    "data.prepare",
    "train.steps",
    "train.microbatches",
    "train.log_every",
    "train.eval_every",
    "train.eval_batches",
    "train.eval_batch_size",
    "train.max_nonfinite",
    "train.compilation_cache",
    "train.tensorboard",
    "train.wandb",
    "optimizer.decay_steps",
    "mesh",
    "checkpoint",
    "model.dtype",
    "model.remat",
    "model.unroll",
)

# Modules that have another content in each program: a script that is run, and the file of the flag --config.
UNNAMED = ("__main__", "config_config")


def to_json(config: Any) -> Any:
    """The configuration as dicts, lists, strings, numbers, booleans and None."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        kind = type(config)
        values = {f.name: to_json(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {"type": f"{kind.__module__}:{kind.__qualname__}", **values}
    if isinstance(config, dict):
        return {str(key): to_json(value) for key, value in config.items()}
    if isinstance(config, (list, tuple, frozenset, set)):
        return [to_json(value) for value in (sorted(config) if isinstance(config, (set, frozenset)) else config)]
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    raise TypeError(
        f"A configuration cannot hold {config!r}: only dataclasses, numbers, strings and collections of them."
    )


def from_json(data: Any) -> Any:
    """The configuration that `to_json` wrote; its sequences come back as tuples.

    Raises:
        UserError: the JSON names a class or a field that this version of plmjax does not have, or a class of a module
            that the program has not imported.
    """
    return _from_json(upgraded(data))


def _from_json(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_from_json(value) for value in data)
    if not isinstance(data, dict):
        return data
    if "type" not in data:
        return {key: _from_json(value) for key, value in data.items()}
    kind = _find_class(data["type"])
    values = {key: _from_json(value) for key, value in data.items() if key != "type"}
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(kind)})
    if unknown:
        raise UserError(
            f"The stored configuration has a field {unknown[0]!r} that {data['type']} lacks: it was written by another "
            "version of plmjax."
        )
    return kind(**values)


def _find_class(name: str) -> type:
    module_name, _, class_name = str(name).partition(":")
    module = sys.modules.get(module_name)
    if module is None and module_name.split(".")[0] == "plmjax":
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            module = None
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and dataclasses.is_dataclass(found):
        return found
    if module_name.split(".")[0] == "plmjax":
        raise UserError(f"The stored configuration names {name!r}, which this version of plmjax does not have.")
    if module_name in UNNAMED or "<locals>" in class_name:
        raise UserError(
            f"The stored configuration has a {class_name}, defined in the script, configuration file or function that "
            f"made it ({module_name}): move the class into a module, import that first, and write MODULE:"
            f"{class_name.rpartition('.')[2]} in place of {name} in the checkpoint's manifest."
        )
    if module is None:
        raise UserError(
            f"The stored configuration has a {class_name} of the module {module_name}, which plmjax does not import by "
            f"itself: import {module_name} first, or give a command --import_modules={module_name}."
        )
    raise UserError(f"The stored configuration has a {class_name}, which the module {module_name} does not have.")


def flatten(data: Any, prefix: str = "") -> dict[str, Any]:
    """JSON of a configuration as {"train.steps": 100, ...}; a class's name goes under its own path."""
    if not isinstance(data, dict):
        return {prefix: data}
    flat: dict[str, Any] = {}
    for key, value in data.items():
        path = prefix if key == "type" else f"{prefix}.{key}" if prefix else key
        flat.update({path: value} if key == "type" else flatten(value, path))
    return flat


def first_difference(saved: Any, current: Any, free: tuple[str, ...] = FREE) -> tuple[str, Any, Any] | None:
    """The first field (path, saved, current) that differs between two JSON configurations, those in `free` left out.

    A field that was added since `saved` was written has its default there.
    """
    try:
        saved = to_json(from_json(saved))
    except UserError:  # a class that the program has not imported: then it is what differs
        saved = upgraded(saved)
    old, new = flatten(saved), flatten(current)
    for path in sorted(old.keys() | new.keys()):
        if any(path == name or path.startswith(name + ".") for name in free):
            continue
        if old.get(path) != new.get(path):
            return path, old.get(path), new.get(path)
    return None

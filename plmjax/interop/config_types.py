"""Types of the fields of a config.json: one that was damaged or written by hand is refused by the name of its field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family

NAMES: dict[type, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "an object"
}  # fmt: skip


def check_types(given: JSON, family: Family, file: Path) -> None:
    """Compares the fields with those of a class's own config.json; null is the class's default.

    Raises:
        UserError: names the first field of another type.
    """
    for name, kind in _kinds(family).items():
        value = given.get(name)
        if value is not None and not _is(value, kind):
            raise UserError(f"{file} has {value!r:.60} as {name!r}: it must be {NAMES[kind]}.")


def _kinds(family: Family) -> Mapping[str, type]:
    """The type of each field that the class has where a config.json says nothing; null ones are left out."""
    config = family.read_config({"architectures": [family.base_model]}, set())
    written = family.write_config(config, family.special)
    kinds = {name: list if isinstance(value, tuple) else type(value) for name, value in written.items()}
    return {name: kind for name, kind in kinds.items() if kind in NAMES} | {"architectures": list}


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))

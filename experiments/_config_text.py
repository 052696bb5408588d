"""A configuration as text: each field as the flag that sets it, with the comment that its class has for it."""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

COLUMN = 56  # where comments begin


def config_as_text(config: Any, name: str = "config") -> str:
    """A line a field, "--config.train.steps=1000   # updates"; objects inside it have a line with their class."""
    return "\n".join(_lines(config, f"--{name}", f"a {type(config).__name__}"))


def _lines(value: Any, path: str, comment: str) -> Iterator[str]:
    if isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
        yield f"# {path.lstrip('-')}: {len(value)} objects" + (f", {comment}" if comment else "")
        for number, element in enumerate(value):
            yield from _lines(element, f"{path}[{number}]", "")
        return
    if not (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        setting = f"{path}={value!r}" if not isinstance(value, str) else f"{path}={value}"
        yield f"{setting:<{COLUMN}}  # {comment}" if comment else setting
        return
    yield f"# {path.lstrip('-')}: {type(value).__name__}" + (f", {comment}" if comment and "." in path else "")
    comments = field_comments(type(value))
    for field in dataclasses.fields(value):
        yield from _lines(getattr(value, field.name), f"{path}.{field.name}", comments.get(field.name, ""))


@cache
def field_comments(kind: type) -> dict[str, str]:
    """What a dataclass says of each field: the comment behind it, else the entry of the docstring's Attributes."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if dataclasses.is_dataclass(one):
            found |= _from_docstring(inspect.getdoc(one) or "") | _from_source(one)
    return found


def _from_source(kind: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # a class that was made without a file
        return {}
    lines = source.splitlines()
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            rest = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
            if comment := re.fullmatch(r"\s*#\s*(.*)", rest):
                found[node.target.id] = comment[1]
    return found


def _from_docstring(text: str) -> dict[str, str]:
    section = re.search(r"^Attributes:\n((?: +.*\n?|\n)*)", text, re.MULTILINE)
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", section[1] if section else ""):
        if named := re.match(r"\s*([\w, ]+):\s+(.*)", entry, re.DOTALL):
            for name in named[1].split(", "):
                found[name.strip()] = " ".join(named[2].split())
    return found

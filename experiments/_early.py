"""Refuses a misspelt flag before JAX and the libraries are imported, which takes seconds.

`python -m experiments.SCRIPT` imports this package first. What flags the script has is read from its source; whether
their values are right is found out later, by absl.
"""

import ast
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import absl.app
import absl.logging
from absl import flags

from plmjax.renames import FLAGS

absl.app.define_help_flags()
ABSL_FLAGS = frozenset(flags.FLAGS)  # absl's own, as no script has been imported yet


def refuse_unknown_flags(command: Sequence[str]) -> None:
    """Ends the program, with one line and status 2, where `python -m experiments.SCRIPT` gets a flag that it lacks.

    Args:
        command: the interpreter's whole command line.
    """
    if "-m" not in command:
        return
    place = command.index("-m") + 1
    package, _, script = command[place].partition(".") if place < len(command) else ("", "", "")
    file = Path(__file__).parent / f"{script}.py"
    if package != "experiments" or not file.is_file():
        return
    known = flags_of(file)
    if known is None:
        return
    unknown = next(filter(None, (_unknown(argument, known) for argument in command[place + 1 :])), None)
    if unknown:
        if new := FLAGS.get(script, {}).get(unknown):
            _refuse(f"The flag --{unknown} is now called --{new}: give it by that name.")
        near = difflib.get_close_matches(unknown, sorted(known - ABSL_FLAGS), 1)
        hint = f"do you mean --{near[0]}?" if near else "--help lists the flags."
        _refuse(f"Unknown flag --{unknown}: {hint}")


def _refuse(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


def flags_of(file: Path) -> set[str] | None:
    """The names of a script's flags and of absl's own; None where the source does not tell them all."""
    found = {*ABSL_FLAGS, "h"}
    shared = Path(__file__).parent / "_main.py"
    for node in [node for source in (shared, file) for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))]:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        function = node.func.attr
        if function == "define_config":
            names = [*node.args[2:3], *(word.value for word in node.keywords if word.arg == "name")]
            name = names[0].value if names and isinstance(names[0], ast.Constant) else "config"
        elif function.startswith("DEFINE_") and node.args and isinstance(node.args[0], ast.Constant):
            name = node.args[0].value
        elif function.lower().startswith("define") and not function.startswith("DEFINE_config"):
            return None
        else:
            continue
        found.add(str(name))
    return found


def _unknown(argument: str, known: set[str]) -> str | None:
    """The name of the flag that an argument gives, where there is no such flag."""
    if not argument.startswith("-") or argument in ("-", "--"):
        return None
    name = argument.lstrip("-").partition("=")[0]
    if name in known or name.partition(".")[0] in known or name.removeprefix("no") in known:
        return None
    return name

"""The pages of the site that are made from the code: the API reference and the table of what is measured."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plmjax"
CONFIGS = ROOT / "experiments" / "configs"


def rooms() -> list[str]:
    """The subpackages of plmjax, by name."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def modules_of(folder: Path) -> Iterator[str]:
    """The dotted names of the public modules of a folder that have something to show, packages first."""
    for path in sorted(folder.rglob("*.py"), key=lambda path: (path.parent, path.name != "__init__.py", path.name)):
        if (path.stem == "__init__" or not path.stem.startswith("_")) and ast.parse(path.read_text()).body:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def first_sentence(path: Path) -> str:
    """The first line of a module's docstring; empty without one."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def defined_in(path: Path) -> list[str]:
    """The public classes, functions and values that a file defines, not those that it imports."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def reference(name: str) -> str:
    """mkdocstrings' directive for a module; what a package imports is shown where it is defined."""
    path = ROOT / name.replace(".", "/")
    lines = [f"::: {name}", "    options:", "      heading_level: 2"]
    if path.is_dir():
        lines.append(f"      members: {json.dumps(defined_in(path / '__init__.py'))}")
    return "\n".join(lines)


def api_page(room: str) -> str:
    """A room's modules, each with its public classes and functions."""
    return "\n\n".join([f"# plmjax.{room}", *map(reference, modules_of(PACKAGE / room))])


def package_page() -> str:
    """The modules that stand in no room."""
    loose = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
    return "\n\n".join(["# plmjax", *map(reference, ["plmjax", *(f"plmjax.{name}" for name in loose)])])


def api_index() -> str:
    """The rooms, each with what its package says of itself."""
    lines = [
        "# API reference",
        "",
        "Every page is made from the docstrings of one subpackage. [Architecture](../reference/architecture.md) shows "
        "which subpackage imports which.",
        "",
    ]
    lines += ["| subpackage | modules |", "|---|---|"]
    for room in rooms():
        names = [name.removeprefix(f"plmjax.{room}").lstrip(".") for name in modules_of(PACKAGE / room)]
        shown = ", ".join(f"`{name}`" for name in names if name)
        lines.append(f"| [plmjax.{room}]({room}.md) | {shown} |")
    return "\n".join(lines)


def docstring_tables(path: Path) -> Iterator[list[str]]:
    """The rows of the Markdown tables in a module's docstring, heads and rules left out, as cells."""
    head = True
    for line in (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines():
        if not line.startswith("|"):
            head = True
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if set(line) <= set("|-: "):
            head = False
        elif not head:
            yield cells


def status_rows() -> list[tuple[str, list[str]]]:
    """(configuration, [variant, what, hardware and time, result]) of every row of every configuration's docstring."""
    rows = []
    for path in sorted(CONFIGS.rglob("*.py")):
        for cells in docstring_tables(path):
            if len(cells) == 4:
                rows.append((path.relative_to(CONFIGS).as_posix(), cells))
    return rows


def is_measured(cells: list[str]) -> bool:
    """Whether a row's last cell has a figure of a run, rather than a paper's or none."""
    result = cells[-1]
    return bool(result) and not result.startswith("not measured") and not result.endswith("says its README")


def status_table() -> str:
    """How many rows are measured, and all rows as two Markdown tables."""
    rows = status_rows()
    measured = [row for row in rows if is_measured(row[1])]
    rest = [row for row in rows if not is_measured(row[1])]
    parts = [f"{len(measured)} of {len(rows)} rows have a figure of a run, {len(rest)} have none."]
    for title, found in (("Measured", measured), ("Not measured", rest)):
        parts.append(f"## {title}")
        lines = ["| configuration | variant | what it is | hardware, time | result |", "|---|---|---|---|---|"]
        lines += [f"| `{file}` | {' | '.join(cells)} |" for file, cells in found]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)

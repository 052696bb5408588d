"""The changelog's tables of renamed flags, configuration fields and values, from plmjax/renames.py.

python docs/tools/renames.py     # writes it into CHANGELOG.md
"""

from collections import defaultdict
from pathlib import Path

from plmjax.renames import FIELDS, FLAGS, MOVED, VALUES

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
BEGIN, END = "<!-- renames -->", "<!-- end of renames -->"


def rows() -> list[tuple[str, str, str]]:
    """(classes, what it was called before, what it is called now), of fields and then of values."""
    of_fields, of_values = defaultdict(list), defaultdict(list)
    for kind, fields in FIELDS.items():
        for old, new in fields.items():
            of_fields[old, new].append(kind.rpartition(":")[2])
    for kind, tables in VALUES.items():
        for field, values in tables.items():
            for old, new in values.items():
                of_values[f"{field}={old}", f"{field}={new}"].append(kind.rpartition(":")[2])
    return [
        (shown(sorted(set(kinds))), f"`{old}`", f"`{new}`")
        for found in (of_fields, of_values)
        for (old, new), kinds in found.items()
    ]


def shown(kinds: list[str]) -> str:
    """Names of classes, or how many there are."""
    return ", ".join(f"`{kind}`" for kind in kinds) if len(kinds) < 6 else f"{len(kinds)} networks"


def markdown(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


def tables() -> str:
    """Flags, fields, fields that moved into another section, values."""
    flags = [(f"`{name}`", f"`--{old}`", f"`--{new}`") for name, found in FLAGS.items() for old, new in found.items()]
    moved = [(f"`{name}`", f"`{old}`", f"`{new}`") for name, found in MOVED.items() for old, new in found.items()]
    return "\n\n".join(
        [
            markdown(("command", "flag before", "now"), flags),
            markdown(("configuration class", "field or `field=value` before", "now"), [*rows(), *moved]),
        ]
    )


def with_table(text: str) -> str:
    """The changelog with today's tables between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    CHANGELOG.write_text(with_table(CHANGELOG.read_text()))

"""The changelog's table of renamed configuration fields and values, from plmjax/renames.py.

python docs/tools/renames.py     # writes it into CHANGELOG.md
"""

from collections import defaultdict
from pathlib import Path

from plmjax.renames import FIELDS, VALUES

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


def table() -> str:
    """A row a rename."""
    lines = ["| configuration class | before | now |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows()])


def with_table(text: str) -> str:
    """The changelog with today's table between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    CHANGELOG.write_text(with_table(CHANGELOG.read_text()))

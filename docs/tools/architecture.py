"""Draws the rooms of the code and which imports which, from the imports themselves.

python docs/tools/architecture.py            # writes docs/reference/architecture.svg
python docs/tools/architecture.py --check    # exit status 1 where the picture is out of date
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "reference" / "architecture.svg"
# The rooms from the top down, those of a row side by side; imports run downwards or along a row.
ROWS = (
    ("experiments",),
    ("pipelines",),
    ("finetune",),
    ("interop",),
    ("train", "tasks", "decode"),
    ("objectives", "checkpoints"),
    ("noise", "losses", "modules", "data"),
)
HOLDS = {
    "experiments": "scripts, configurations",
    "pipelines": "checkpoints on plain strings",
    "finetune": "backbones, task models",
    "interop": "Hugging Face, both ways",
    "tasks": "examples, prompts, metrics",
    "train": "step, trainer, sharding",
    "decode": "sampling, beam search",
    "objectives": "window + noise + losses",
    "checkpoints": "state, manifest",
    "noise": "masks, spans, order",
    "losses": "a value a token",
    "modules": "networks",
    "data": "text to windows",
}
HEIGHT, WIDTH = 0.62, 2.5  # of a box; rows are 1.35 apart, columns 3.1
MARK = "imports: "


def rooms(root: Path = ROOT) -> set[str]:
    """The subpackages of plmjax, and experiments."""
    return {path.parent.name for path in (root / "plmjax").glob("*/__init__.py")} | {"experiments"}


def room_of(module: str) -> str:
    """The room of a dotted module; empty for those that stand in none."""
    parts = module.split(".")
    if parts[0] == "plmjax":
        return parts[1] if len(parts) > 1 else ""
    return parts[0]


def imports(root: Path = ROOT) -> set[tuple[str, str]]:
    """(room, room that it imports), of all imports, those inside functions too."""
    known, found = rooms(root), set()
    for file in [*(root / "plmjax").rglob("*.py"), *(root / "experiments").rglob("*.py")]:
        here = room_of(".".join(file.relative_to(root).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found |= {(here, room_of(name)) for name in names}
    return {(here, there) for here, there in found if {here, there} <= known and here != there}


def without_implied(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that no longer path implies."""
    following: dict[str, set[str]] = {}
    for here, there in edges:
        following.setdefault(here, set()).add(there)

    def reaches(start: str, end: str) -> bool:
        seen, left = set(), [node for node in following.get(start, ()) if node != end]
        while left:
            node = left.pop()
            if node == end:
                return True
            if node not in seen:
                seen.add(node)
                left += following.get(node, ())
        return False

    return {(here, there) for here, there in edges if not reaches(here, there)}


def level(room: str) -> int:
    """The row of a room, from the top."""
    return next(number for number, row in enumerate(ROWS) if room in row)


def centre(room: str) -> tuple[float, float]:
    """Where a room's box is."""
    row = ROWS[level(room)]
    return 3.1 * (row.index(room) - (len(row) - 1) / 2), -1.35 * level(room)


def described(edges: set[tuple[str, str]]) -> str:
    """The edges in one line, as the picture carries them."""
    return MARK + "; ".join(f"{here} > {there}" for here, there in sorted(edges))


def draw(edges: set[tuple[str, str]], path: Path) -> None:
    """Writes the picture; an import that runs upwards is red."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    upwards = {(here, there) for here, there in edges if level(there) < level(here)}
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for here, there in sorted(without_implied(edges - upwards) | upwards):
        (x0, y0), (x1, y1) = centre(here), centre(there)
        beside = level(here) == level(there)
        color = "#b3372f" if (here, there) in upwards else "#6b7f99"
        start = (x0 + (WIDTH / 2 if x1 > x0 else -WIDTH / 2), y0) if beside else (x0, y0 - HEIGHT / 2)
        end = (x1 - (WIDTH / 2 if x1 > x0 else -WIDTH / 2), y1) if beside else (x1, y1 + HEIGHT / 2)
        if (here, there) in upwards:
            start, end = (x0, y0 + HEIGHT / 2), (x1, y1 - HEIGHT / 2)
        bend = 0.0
        if level(there) - level(here) > 1 or (here, there) in upwards:  # bent, so that it passes the boxes between by
            bend = 0.18 if x1 > x0 else -0.18
            if x1 == x0:
                side = -WIDTH / 2 if (here, there) in upwards else WIDTH / 2
                start, end, bend = (x0 + side, y0), (x1 + side, y1), -0.5
        style = {"arrowstyle": "-|>", "mutation_scale": 13, "color": color, "linewidth": 1.3, "shrinkB": 1}
        axes.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", **style))
    for room in (room for row in ROWS for room in row):
        x, y = centre(room)
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(
            FancyBboxPatch(
                corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.12", facecolor="#e8eef6", edgecolor="#33506f"
            )
        )
        axes.text(x, y + 0.1, room, ha="center", va="center", fontsize=12, fontweight="bold", color="#1d2c3d")
        axes.text(x, y - 0.15, HOLDS[room], ha="center", va="center", fontsize=8.5, color="#33506f")
    axes.set(xlim=(-6.0, 6.0), ylim=(-1.35 * (len(ROWS) - 1) - 0.4, 0.4))
    axes.axis("off")
    with matplotlib.rc_context({"svg.hashsalt": "plmjax", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None, "Description": described(edges)})


def drawn(path: Path = PICTURE) -> str:
    """The line of edges that a picture carries; empty without one."""
    found = re.search(rf"{MARK}[^<]*", path.read_text()) if path.exists() else None
    return found[0].replace("&gt;", ">") if found else ""


def main() -> None:
    if missing := rooms() ^ set(HOLDS):
        sys.exit(f"{', '.join(sorted(missing))}: put the new room into ROWS and HOLDS, or take the old one out.")
    edges = imports()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if drawn() == described(edges) else f"{PICTURE} is out of date: python docs/tools/architecture.py")
    draw(edges, PICTURE)
    print(f"{len(edges)} imports between rooms; picture: {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

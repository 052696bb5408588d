r"""Checkpoints compared on tasks: each is fine-tuned on each task with several seeds, and so is the same network from
random parameters.

    python -m experiments.downstream_table                              # the small runs of docs/results
    python -m experiments.downstream_table --config.checkpoints="('runs/bert_mini','runs/xlnet_mini')" \
        --config.tasks="('sst2','cola')"
    python -m experiments.downstream_table --report                     # of what is finished so far
    python -m experiments.downstream_table --status                     # which cells are finished, running or failed

Every seed is a cell that is done once: a changed recipe, file or checkpoint makes another cell, and the same command
goes on where it was broken off. The same command may run several times at once, on one core each, and they share the
work. A cell that fails says why, and the others go on. WORKDIR gets table.md and table.png, renewed after each cell.
"""

import sys
from pathlib import Path

from absl import flags

from experiments import _main
from experiments._config_text import config_as_text
from experiments.cells.run import run_cells
from experiments.cells.status import status_table
from experiments.downstream.grid import Grid, make_cells, read_entries
from experiments.downstream.table import draw, table

DEFAULT = Path(__file__).parent / "configs" / "downstream.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:minis", "FILE.py or FILE.py:VARIANT; --config.checkpoints and so on set it.", kinds=(Grid,)
)
WORKDIR = flags.DEFINE_string("workdir", "", "The grid's folder; by default runs/NAME, NAME being the grid's.")
REPORT = flags.DEFINE_bool("report", False, "Train nothing: show the cells that are finished.")
STATUS = flags.DEFINE_bool("status", False, "Train nothing: show where each cell stands.")
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print every field with its comment, and end.")


def main() -> None:
    grid = CONFIG.value
    if PRINT_CONFIG.value:
        print(config_as_text(grid))
        return
    workdir = _main.run_folder(WORKDIR.value, grid.name).absolute()
    cells = make_cells(grid)

    def renew() -> str:
        entries = list(read_entries(grid, cells, workdir))
        found = table(grid, entries)
        if entries:
            (workdir / "table.md").write_text(found + "\n", encoding="utf-8")
            draw(grid, entries, workdir / "table.png")
        return found

    if STATUS.value:
        print(status_table(cells, workdir))
        return
    failed = () if REPORT.value else run_cells(cells, workdir, renew).failed
    print(f"\n{renew()}\n\ntable: {workdir / 'table.md'}\npicture: {workdir / 'table.png'}")
    if failed:
        print(f"failed: {', '.join(failed)}; --status says why", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _main.run(main)

r"""Checkpoints compared on tasks: each is fine-tuned on each task with several seeds, and so is the same network from
random parameters.

    python -m experiments.downstream_table                              # the small runs of docs/results
    python -m experiments.downstream_table --config.checkpoints="('runs/bert_mini','runs/xlnet_mini')" \
        --config.tasks="('sst2','cola')"
    python -m experiments.downstream_table --report                     # of what is finished so far

Every cell has a folder of its own, as experiments.finetune writes it, and is run once: broken off, the same command
goes on. Several commands may share the work where each is given other checkpoints. WORKDIR gets table.md and table.png.
"""

from pathlib import Path

from absl import flags

from experiments import _main
from experiments.downstream.grid import read_cells, run_grid
from experiments.downstream.table import draw, table

DEFAULT = Path(__file__).parent / "configs" / "downstream.py"

CONFIG = _main.define_config(f"{DEFAULT}:minis", "FILE.py or FILE.py:VARIANT; --config.checkpoints and so on set it.")
WORKDIR = flags.DEFINE_string("workdir", "", "The grid's folder; by default runs/NAME, NAME being the grid's.")
REPORT = flags.DEFINE_bool("report", False, "Train nothing: show the cells that are finished.")


def main() -> None:
    grid = CONFIG.value
    workdir = Path(WORKDIR.value or f"runs/{grid.name}")
    if not REPORT.value:
        run_grid(grid, workdir)
    cells = list(read_cells(grid, workdir))
    found = table(grid, cells)
    print(f"\n{found}")
    if cells:
        (workdir / "table.md").write_text(found + "\n", encoding="utf-8")
        draw(grid, cells, workdir / "table.png")
        print(f"\ntable: {workdir / 'table.md'}\npicture: {workdir / 'table.png'}")


if __name__ == "__main__":
    _main.run(main)

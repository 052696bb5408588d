"""Scaling laws (Kaplan et al. 2020): a family of sizes over budgets, trained, fitted and drawn.

    python -m experiments.scaling_laws                                                  # on runs/english
    python -m experiments.scaling_laws --config=experiments/configs/scaling.py:tiny     # the built-in corpus
    python -m experiments.scaling_laws --report                                         # of what is finished so far
    python -m experiments.scaling_laws --status                                         # where each run stands

Each size is trained anew for each budget, by the loop of experiments.pretrain, the smallest budget first. Each run is a
cell below --workdir (experiments/cells): stopped or killed at any moment, the same command goes on and gives the same
numbers, and several processes may share the work. Writes results.json (the fits), table.txt and scaling.png.

What is fitted, by least squares in log loss, with bootstrapped intervals:

* L(N): the loss of each size after the largest budget. Kaplan's sizes are trained out, the largest here are not.
* L(D): the loss of the largest size after each budget of text seen once, each with its own schedule.
* L(C): the runs that no run of at most their compute matches, C being 6 N D; once more with C counted, attention and
  the vocabulary's scores included. Batches far below the critical one make it Kaplan's L(Cmin).
* L(N, D): Kaplan's joint form, of all runs; beside it a sum above a floor (Hoffmann et al. 2022).
* the size that is best for a compute: along the runs of L(C), and by the joint form.
"""

from pathlib import Path

from absl import flags

from experiments import _main
from experiments._config_text import config_as_text
from experiments.cells.status import status_table
from experiments.scaling.family import Family
from experiments.scaling.runs import make_cells, report, train_family
from plmjax.errors import UserError

DEFAULT = Path(__file__).parent / "configs" / "scaling.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:english",
    "FILE.py or FILE.py:VARIANT; --config.tokens='(250000,500000)' and so on set its fields.",
    kinds=(Family,),
)
WORKDIR = flags.DEFINE_string("workdir", "", "The family's folder; by default runs/NAME, NAME being the family's.")
REPORT = flags.DEFINE_bool("report", False, "Train nothing: fit and draw the budgets that all sizes have finished.")
STATUS = flags.DEFINE_bool("status", False, "Train nothing: show where each run stands.")
PICTURE = flags.DEFINE_string("picture", "", "Draw into this PNG file; empty: WORKDIR/scaling.png.")
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print every field with its comment, and end.")


def main() -> None:
    family = CONFIG.value
    workdir = _main.run_folder(WORKDIR.value, family.name or "scaling").absolute()
    if PRINT_CONFIG.value:
        print(config_as_text(family))
        return
    if STATUS.value:
        print(status_table(make_cells(family, workdir), workdir))
        return
    if not REPORT.value and (failed := train_family(family, workdir).failed):
        raise UserError(
            f"{len(failed)} of the runs failed ({', '.join(failed)}): --status says why; run again to retry."
        )
    report(family, workdir, Path(PICTURE.value or workdir / "scaling.png"))


if __name__ == "__main__":
    _main.run(main)

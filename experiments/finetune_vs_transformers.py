r"""Fine-tunes an encoder by plmjax and by `transformers` with PyTorch, with the same recipe, and puts both in a table.

    python -m experiments.finetune_vs_transformers --from=BERT_DIR --task=sst2_files --task.train=train.tsv \
        --task.validation=dev.tsv --task.test=test.tsv --seeds=5

--from takes a Hugging Face directory of BERT or a network like it, --task a task of classification whose metric is
accuracy (see experiments.finetune), --config a recipe with AdamW, its bias correction and a linear schedule. Each side
runs in a process of its own on the same CPUs, one after the other. The working folder gets results.txt and
results.json. The same command again runs only the seeds that are not done. It needs the `parity` extra.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from absl import flags

from experiments import _main
from experiments.vs_transformers.plan import PLAN, make_plan, store_plan
from experiments.vs_transformers.report import make_report
from experiments.vs_transformers.sides import SIDES, read_side
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.tasks.mixture import TaskMixture
from plmjax.tasks.report import as_table, write
from plmjax.tasks.supervised import SupervisedTask
from plmjax.working_folder import COMPARISON, make_writable, require_own

CONFIGS = Path(__file__).parent / "configs" / "finetune"
MODULES = {
    "plmjax": "experiments.vs_transformers.plmjax_side",
    "transformers": "experiments.vs_transformers.pytorch_side",
}

_main.expand_names("task", CONFIGS / "tasks.py")
TASK = _main.define_config(
    f"{CONFIGS / 'tasks.py'}:sst2_files",
    "NAME or FILE.py:NAME; --task.train=FILE and so on set its fields.",
    "task",
    kinds=(SupervisedTask, TaskMixture),
)
CONFIG = _main.define_config(
    f"{CONFIGS / 'bert.py'}:corrected",
    "FILE.py or FILE.py:VARIANT; --config.optimizer.learning_rate=2e-5 and so on.",
    kinds=(FineTune,),
)
FROM = flags.DEFINE_string("from", None, "Hugging Face directory.", required=True)
WORKDIR = flags.DEFINE_string("workdir", "", "Where results go; by default runs/FROM_vs_transformers.")
SEEDS = flags.DEFINE_integer("seeds", 5, "How many runs, with seeds from --config.train.seed on.", lower_bound=1)
EPOCHS = flags.DEFINE_float("epochs", 0.0, "Passes over the training examples; 0: as the recipe says.", lower_bound=0.0)
ONLY = flags.DEFINE_enum("only", None, SIDES, "Run one side; the table has the other too where it was run before.")
THREADS = flags.DEFINE_integer("threads", 0, "CPUs, one thread on each; 0: all that this process may use.", 0)


def main() -> None:
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing and ONLY.value != "plmjax":
        raise UserError(f"{' and '.join(missing)} is not installed: pip install 'plmjax[parity]', or --only=plmjax.")
    source = Path(FROM.value).expanduser().absolute()
    if not (source / "config.json").exists():
        raise UserError(f"{source} has no config.json: --from takes a Hugging Face directory.")
    recipe = CONFIG.value
    if EPOCHS.value:
        recipe.train.epochs = EPOCHS.value
    workdir = _main.run_folder(WORKDIR.value, f"{source.name}_vs_transformers")
    plan = make_plan(source, TASK.value, recipe, SEEDS.value, take_cpus(THREADS.value))
    make_writable(workdir)
    require_own(workdir, COMPARISON)
    store_plan(plan, workdir)
    for side in [ONLY.value] if ONLY.value else SIDES:
        print(f"--- {side} ---", flush=True)
        run(side, workdir, plan["threads"])
    sides = {side: found for side in SIDES if (found := read_side(workdir / side))["runs"]}
    for side, found in sides.items():
        found["runs"] = found["runs"][: SEEDS.value]
        if len(found["runs"]) < SEEDS.value:
            raise UserError(f"{side} has run {len(found['runs'])} of {SEEDS.value} seeds: run it with --only={side}.")
    report = make_report(plan, sides)
    about = {name: value for name, value in plan.items() if name != "examples"}
    write(report, workdir, json.loads(json.dumps(about | {"sides": sides})))
    print(as_table(report))
    print(f"results: {workdir / 'results.json'}")


def take_cpus(count: int) -> int:
    """Keeps this process, and those that it starts, to `count` of its CPUs; how many they are."""
    if not hasattr(os, "sched_setaffinity"):
        if count:
            raise UserError("This system does not let a program choose its CPUs: leave --threads out.")
        return os.cpu_count() or 1
    allowed = sorted(os.sched_getaffinity(0))
    if count > len(allowed):
        raise UserError(f"--threads is {count}, and this process may use {len(allowed)} CPU(s): give at most that.")
    os.sched_setaffinity(0, allowed[: count or None])
    return len(os.sched_getaffinity(0))


def run(side: str, workdir: Path, threads: int) -> None:
    """Runs one side to its end; UserError where it fails."""
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1", "HF_HUB_OFFLINE": "1"}
    # transformers imports JAX where it finds it, which would count as PyTorch's memory.
    alone = {"USE_JAX": "0", "USE_FLAX": "0", "USE_TF": "0"}
    variables = os.environ | quiet | alone | {"OMP_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", MODULES[side], str(workdir / PLAN), str(workdir / side)]
    status = subprocess.run(command, env=variables, check=False).returncode
    if status:
        raise UserError(f"The side of {side} ended with status {status}; the same command resumes it.")


if __name__ == "__main__":
    _main.run(main)

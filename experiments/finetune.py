r"""Fine-tunes a checkpoint on a task, with one seed or several.

    python -m experiments.finetune --from=runs/bert_mini --task=sst2 --seeds=5
    python -m experiments.finetune --from=BERT_DIR --task=sst2_files --task.train=train.tsv --task.validation=dev.tsv \
        --task.test=test.tsv --config=experiments/configs/finetune/bert.py --config.optimizer.learning_rate=3e-5
    python -m experiments.finetune --from=runs/bert_mini --from_random --task=cola
    python -m experiments.finetune --from=runs/bert_mini --task=xquad --task.train=xquad.en.json --all_folds --seeds=3

--from takes a working folder of experiments.pretrain, one of its checkpoints, a Hugging Face directory, or a released
ELMo's. --task takes a name of plmjax/tasks/registry.py or a file of your own (experiments/configs/finetune/tasks.py
says how), and --task.FIELD=VALUE sets its fields; --config takes a recipe. The working folder gets the checkpoint of
the seed with the best validation (`plmjax.load` and experiments.convert read it), results.json, results.txt and
predictions.jsonl, and a folder for each seed. The same command again runs only the seeds that are not done, and goes on
where one was broken off; SIGTERM and Ctrl-C save first (exit status 75).
"""

import copy
import runpy
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from experiments import _main
from experiments._config_text import config_as_text
from experiments.cells.identity import checkpoint_identity, config_identity, source_identity
from experiments.cells.sweep import run_sweep
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.folds import run_folds
from plmjax.finetune.loop import finetune
from plmjax.finetune.results import Results
from plmjax.interop.hub import local_path
from plmjax.interop.native import load_for_task
from plmjax.tasks.mixture import TaskMixture
from plmjax.tasks.report import as_table
from plmjax.tasks.supervised import SupervisedTask
from plmjax.train.backend import use_deterministic_kernels

CONFIGS = Path(__file__).parent / "configs" / "finetune"

_main.expand_names("task", CONFIGS / "tasks.py")
TASK = _main.define_config(
    f"{CONFIGS / 'tasks.py'}:classification",
    "NAME or FILE.py:NAME; --task.train=FILE and so on set its fields.",
    "task",
    kinds=(SupervisedTask, TaskMixture),
)
CONFIG = _main.define_config(
    f"{CONFIGS / 'bert.py'}:base",
    "FILE.py or FILE.py:VARIANT; --config.train.epochs=5 and so on set its fields.",
    kinds=(FineTune,),
)
FROM = flags.DEFINE_string(
    "from", None, "Checkpoint, Hugging Face directory, or a model's name on the hub.", required=True
)
PART = flags.DEFINE_string("part", None, "Of a checkpoint with several networks, the one to fine-tune.")
FROM_RANDOM = flags.DEFINE_bool("from_random", False, "Start from random parameters of the same network.")
WORKDIR = flags.DEFINE_string("workdir", "", "Where results go; by default runs/FROM_TASK or runs/FROM_TASK_random.")
SEEDS = flags.DEFINE_integer("seeds", 1, "How many runs, with seeds from --config.train.seed on.", lower_bound=1)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "On GPUs: the same bits in every run, somewhat slower. CPUs and TPUs give them anyway."
)
SWEEP = flags.DEFINE_bool("sweep", False, "Run every point of the grid that the configuration's `sweep` gives.")
FOLDS = flags.DEFINE_bool("all_folds", False, "Hold out each of --task.folds parts of the training examples in turn.")
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print every field with its comment, and end.")


def main() -> None:
    recipe, task = CONFIG.value, TASK.value
    if PRINT_CONFIG.value:
        print(config_as_text(recipe))
        print(config_as_text(task, "task"))
        return
    if DETERMINISTIC.value:
        use_deterministic_kernels()
    source = local_path(FROM.value)
    name = _main.variant_of("task") or task.kind
    end = "_random" if FROM_RANDOM.value else ""
    workdir = _main.run_folder(WORKDIR.value, f"{Path(FROM.value).absolute().name}_{name}{end}")
    pretrained = load_for_task(source, PART.value)

    def run(task: Any, recipe: FineTune, folder: Path) -> Results:
        about = {"from": str(source), "part": PART.value, "from_random": FROM_RANDOM.value}
        options: dict[str, Any] = {"seeds": SEEDS.value, "from_random": FROM_RANDOM.value, "about": about}
        results = finetune(pretrained, copy.deepcopy(task), recipe, folder, **options)
        print(as_table(results.report([])), flush=True)
        print(f"results: {folder / 'results.json'}\npredictions: {folder / 'predictions.jsonl'}")
        print(f"checkpoint: {folder}, of seed {results.best.seed} at step {results.best.best_step}", flush=True)
        return results

    if SWEEP.value:
        about = {
            "task": config_identity(task),
            "files": [source_identity(name) for name in (task.train, task.validation, *task.test)],
            "checkpoint": checkpoint_identity(source),
            "part": PART.value,
            "from_random": FROM_RANDOM.value,
            "seeds": SEEDS.value,
        }
        report = run_sweep(recipe, sweep_points(), task.metrics[0], workdir, partial(run, task), about)
        print(as_table(report))
    elif FOLDS.value:
        print(as_table(run_folds(task, workdir, lambda part, folder: run(part, recipe, folder))))
    else:
        run(task, recipe, workdir)


def sweep_points() -> list[dict[str, Any]]:
    """The points that the configuration's file gives for its variant."""
    file, _, variant = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    points = runpy.run_path(file).get("sweep")
    if points is None:
        raise UserError(f"{file} has no function `sweep`: write one that gives points.")
    return list(points(*[variant] if variant else []))


if __name__ == "__main__":
    _main.run(main)

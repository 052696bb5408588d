"""Pre-trains a network: the main job.

    python -m experiments.pretrain                       # a small GPT-2 on the built-in corpus, on this machine
    python -m experiments.pretrain --config=experiments/configs/bert.py:mini --workdir=runs/bert
    python -m experiments.pretrain --config=experiments/configs/t5.py:small --config.train.steps=1000
    python -m experiments.pretrain --config=experiments/configs/roberta.py:mini --dump_examples=3

A configuration is a file under experiments/configs, a variant after the colon, and any field set by
--config.SECTION.FIELD=VALUE. The working folder gets checkpoints/, metrics.jsonl, tensorboard/ and loss.png; the same
command again resumes the run in it, or says that it is complete.

On SIGTERM or Ctrl-C the run is saved and the exit status is 75: start it again, for instance with
`until python -m experiments.pretrain ...; do [ $? -eq 75 ] || break; done`. A mistake in flags, configuration or data
is one line and exit status 2.
"""

import sys
from pathlib import Path

import jax
from absl import flags

from experiments import _main
from experiments._config_text import config_as_text
from experiments._summary import describe_result
from plmjax.errors import UserError
from plmjax.interop.initial import load_source
from plmjax.train import distributed
from plmjax.train.backend import use_deterministic_kernels
from plmjax.train.config import Config
from plmjax.train.examples import dump_examples
from plmjax.train.loop import pretrain
from plmjax.train.trainer import EXIT_STOPPED

DEFAULT = Path(__file__).parent / "configs" / "gpt2.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:builtin",
    "FILE.py or FILE.py:VARIANT; --config.train.steps=100 and so on set its fields.",
    kinds=(Config,),
)
WORKDIR = flags.DEFINE_string("workdir", "", "The run's folder; by default runs/NAME, NAME being the configuration's.")
INIT_FROM = flags.DEFINE_string(
    "init_from",
    "",
    "A working folder, a checkpoint or a Hugging Face directory whose parameters a new run starts from.",
)
DUMP_EXAMPLES = flags.DEFINE_integer(
    "dump_examples", 0, "Print so many examples as the network gets them, and end.", lower_bound=0
)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "On GPUs: the same bits in every run, somewhat slower. CPUs and TPUs give them anyway."
)
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print every field with its comment, and end.")
COORDINATOR = flags.DEFINE_string(
    "coordinator", "", "Several hosts: HOST:PORT of the first. Not needed on TPU pods and under Slurm: --processes=-1."
)
PROCESSES = flags.DEFINE_integer("processes", 1, "Several hosts: how many processes; -1: found out by JAX.")
PROCESS_ID = flags.DEFINE_integer("process_id", -1, "Several hosts: the number of this process, from 0.")


def main() -> None:
    config = CONFIG.value
    workdir = _main.run_folder(WORKDIR.value, config.name or "unnamed")
    if PRINT_CONFIG.value:
        print(config_as_text(config))
        return
    if DETERMINISTIC.value:
        use_deterministic_kernels()
    if PROCESSES.value == 1 and (COORDINATOR.value or PROCESS_ID.value >= 0):
        raise UserError("--coordinator and --process_id are of several processes: give their number with --processes.")
    if PROCESSES.value != 1:
        distributed.start(COORDINATOR.value, PROCESSES.value, PROCESS_ID.value)
    if DUMP_EXAMPLES.value:
        print(dump_examples(config, workdir, DUMP_EXAMPLES.value, load_source))
        return
    result = pretrain(config, workdir, init_from=INIT_FROM.value, load=load_source)
    if jax.process_index() == 0:
        print(describe_result(result, config.train.steps))
    if result.status == "stopped":
        sys.exit(EXIT_STOPPED)


if __name__ == "__main__":
    _main.run(main)

"""Runs many commands of the scripts, each in a process forked from one that has imported all that they need.

Reads a JSON list of lists of arguments from standard input ("experiments.pretrain", "--workdir=..."), and writes a JSON
list of [exit status, standard output, standard error].
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

import plmjax.finetune.loop
import plmjax.interop.convert
import plmjax.pipelines
import plmjax.train.loop  # noqa: F401 imported once for all


def run(command: list[str]) -> tuple[int, str, str]:
    """Runs one command as `python -m` does."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("out", "err")]
        child = os.fork()
        if child == 0:
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
            sys.argv = command
            status = 0
            try:
                runpy.run_module(command[0], run_name="__main__", alter_sys=True)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, code = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(code), *(file.read_text() for file in files)


if __name__ == "__main__":
    json.dump([run(command) for command in json.load(sys.stdin)], sys.stdout)

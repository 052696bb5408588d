"""Runs in processes of their own: killed at any moment, or several of them at one run."""

import random
import signal
import socket
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.checkpoints.checkpointer import latest, load_params
from plmjax.checkpoints.paths import path_string
from plmjax.train.loop import pretrain
from plmjax.train.reporting import read_records
from tests.train.kit import start_run, tiny_config

STEPS = {"train__steps": 60, "train__eval_every": 30, "checkpoint__every_steps": 5}

# Kills its own process when half of the files of a save are written: after Orbax, before the manifest.
DIE_IN_SAVE = """
import os, signal
from plmjax.checkpoints import checkpointer
commit = checkpointer.commit
def die_at(target, manifest):
    if manifest["step"] == %d:
        os.kill(os.getpid(), signal.SIGKILL)
    commit(target, manifest)
checkpointer.commit = die_at
"""

# Kills its own process while Orbax writes: its temporary folder is there, and perhaps some of its files.
DIE_IN_ORBAX = """
import os, signal
from plmjax.checkpoints import checkpointer
finish = checkpointer.Checkpointer._finish
def die_at(self, target, manifest):
    if manifest["step"] == %d:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, target, manifest)
checkpointer.Checkpointer._finish = die_at
"""


def same_params(first: Path, second: Path) -> None:
    one, two = (
        {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(load_params(workdir)[0])}
        for workdir in (first, second)
    )
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def losses(workdir: Path) -> list[tuple]:
    return [(r["split"], r["step"], r["loss"]) for r in read_records(workdir / "metrics.jsonl")]


def finish(workdir: Path, store: Path, code: str = "") -> str:
    process = start_run(workdir, store, STEPS, code)
    output, _ = process.communicate(timeout=600)
    return output


@pytest.mark.slow
def test_killed_inside_a_save(tiny_store: Path, tmp_path: Path) -> None:
    """A process that dies with a step's files written and its manifest not; this process takes the run on."""
    changes = {"train__steps": 12, "checkpoint__every_steps": 5}
    process = start_run(tmp_path / "killed", tiny_store, changes, DIE_IN_SAVE % 10)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, output
    assert latest(tmp_path / "killed" / "checkpoints").step == 5
    one = jax.devices()[:1]
    assert pretrain(tiny_config(tiny_store, **changes), tmp_path / "killed", devices=one).step == 12
    pretrain(tiny_config(tiny_store, **changes), tmp_path / "whole", devices=one)
    same_params(tmp_path / "killed", tmp_path / "whole")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


@pytest.mark.slow
def test_five_kills(tiny_store: Path, tmp_path: Path) -> None:
    """Three at random moments, one while a save writes and one before its manifest: the same bits at the end."""
    assert "RESULT finished 60" in finish(tmp_path / "whole", tiny_store)
    killed = tmp_path / "killed"
    for code in (DIE_IN_ORBAX % 10, DIE_IN_SAVE % 20):
        finish(killed, tiny_store, code)
    rng = random.Random(0)
    for _ in range(3):
        process = start_run(killed, tiny_store, STEPS)
        for line in process.stdout:  # up to the training itself; then a moment more
            if line.startswith(("unigram", "step")):
                break
        time.sleep(rng.uniform(0.0, 0.6))
        process.kill()
        process.wait()
    output = finish(killed, tiny_store)
    assert "RESULT finished 60" in output or "RESULT complete 60" in output
    same_params(killed, tmp_path / "whole")
    assert losses(killed) == losses(tmp_path / "whole")


JOIN = """
from plmjax.train import distributed
distributed.start("127.0.0.1:%d", 2, %d)
import numpy as np, jax
from plmjax.data.loader import Loader
batch = Loader.batch
def spy(self, step):
    found = batch(self, step)
    if self.shuffle:
        with open(%r, "a") as file:  # not printed: the loader's threads would write into the main one's lines
            print(step, *found["example_ids"], file=file)
    return found
Loader.batch = spy
"""


@pytest.mark.slow
def test_two_processes_are_one(tiny_store: Path, tmp_path: Path) -> None:
    """The same example ids, each read by one process alone, and the same losses; then one process goes on."""
    changes = {"train__steps": 8, "train__log_every": 1, "checkpoint__every_steps": 4, "model__dropout": 0.0}
    pretrain(tiny_config(tiny_store, **changes), tmp_path / "one", devices=jax.devices()[:4])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    seen = [tmp_path / f"ids_{number}.txt" for number in range(2)]
    processes = [
        start_run(tmp_path / "two", tiny_store, changes, JOIN % (port, number, str(seen[number])), devices=2)
        for number in range(2)
    ]
    outputs = [process.communicate(timeout=900)[0] for process in processes]
    assert all("RESULT finished 8" in output for output in outputs), outputs
    lines = [[list(map(int, line.split())) for line in path.read_text().splitlines()] for path in seen]
    by_step = [{step: ids for step, *ids in one} for one in lines]
    from plmjax.data.store.store import Store
    from plmjax.train.data import TrainingBatches
    from plmjax.train.resolve import resolve

    store = Store.open(tiny_store)
    whole = TrainingBatches(resolve(tiny_config(tiny_store, **changes), store.vocabulary, None), store, None)
    for step in range(8):
        assert by_step[0][step] + by_step[1][step] == whole.batch(step)["example_ids"].tolist()
    for (split, step, loss), (_, other_step, other) in zip(
        losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True
    ):
        assert step == other_step
        assert loss == pytest.approx(other, rel=1e-5), (split, step)
    more = changes | {"train__steps": 10}
    assert pretrain(tiny_config(tiny_store, **more), tmp_path / "two", devices=jax.devices()[:1]).status == "finished"

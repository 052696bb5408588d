"""A whole family on a tiny store: trained, killed, resumed, fitted, drawn; and what its folder refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from experiments.cells.folder import CellFolder
from experiments.cells.run import finished_results
from experiments.scaling import runs as family_runs
from experiments.scaling.family import Family
from plmjax.errors import UserError
from plmjax.train.trainer import Trainer
from tests.train.kit import REPOSITORY, make_store, tiny_config

pytestmark = pytest.mark.slow

ONE = jax.devices()[:1]


def family(store: Path) -> Family:
    run = tiny_config(store, model__dropout=0.0, train__eval_every=1000, train__log_every=4, checkpoint__every_steps=5)
    return Family(run=run, layers=(1, 1), widths=(8, 16), tokens=(6 * 128, 12 * 128), resamples=20, name="tiny")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory) -> Iterator[None]:
    """Families that are trained again take the first one's programs."""
    from jax.experimental.compilation_cache import compilation_cache

    names = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (str(tmp_path_factory.mktemp("compiled")), 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def train_and_report(store: Path, workdir: Path) -> None:
    family_runs.train_family(family(store), workdir, ONE)
    family_runs.report(family(store), workdir, workdir / "scaling.png")


def finished(store: Path, workdir: Path) -> dict[str, dict]:
    """The results of the runs that are finished, by name."""
    return finished_results(family_runs.make_cells(family(store), workdir), workdir)


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory) -> Path:
    """A family that was never interrupted."""
    workdir = tmp_path_factory.mktemp("families") / "whole"
    train_and_report(store, workdir)
    return workdir


def test_results_table_and_picture(store, whole):
    runs = list(finished(store, whole).values())
    assert [run["name"] for run in runs] == ["1x8_768", "1x16_768", "1x8_1536", "1x16_1536"]
    assert all(run["compute"] == 6 * run["parameters"] * run["tokens"] for run in runs)
    assert all(run["counted_flops"] > run["compute"] and run["seconds"] > 0 for run in runs)
    assert max(run["loss"] for run in runs[2:]) < min(run["loss"] for run in runs[:2])  # longer training is better
    results = json.loads((whole / "results.json").read_text())
    assert {"L(N)", "L(D)", "L(C)", "L(C), C counted", "L(N, D)", "N(C)", "D(C)"} <= results["fits"].keys()
    assert results["fits"]["N(C)"]["values"]["exponent"] + results["fits"]["D(C)"]["values"]["exponent"] == (
        pytest.approx(1.0, abs=0.01)  # C = 6 N D
    )
    table = (whole / "table.txt").read_text()
    assert "| 1 x 8 | 616 | 5." in table
    assert "| L(D) | 2 | alpha |" in table
    assert (whole / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_family_is_left_alone(whole, store, monkeypatch):
    monkeypatch.setattr(family_runs, "train", None)
    assert len(family_runs.train_family(family(store), whole, ONE).finished) == 4


def test_a_stopped_family_goes_on_to_the_same_numbers(whole, store, tmp_path, monkeypatch):
    take, taken = Trainer._take, []

    def stop_in_the_third_run(self, *arguments):
        taken.append(self.config.name)
        if taken.count("1x8_1536") == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self, *arguments)

    monkeypatch.setattr(Trainer, "_take", stop_in_the_third_run)
    with pytest.raises(SystemExit):
        train_and_report(store, tmp_path)
    assert list(finished(store, tmp_path)) == ["1x8_768", "1x16_768"]
    taken.clear()
    train_and_report(store, tmp_path)
    assert "1x8_768" not in taken and taken.count("1x8_1536") < 12  # what was finished is not trained again
    assert (tmp_path / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_killed_before_a_run_was_written_down(whole, store, tmp_path, monkeypatch):
    workdir = tmp_path / "copy"
    shutil.copytree(whole, workdir)
    for file in workdir.glob("cells/*/result.json"):
        file.unlink()
    taken = []
    monkeypatch.setattr(Trainer, "_take", lambda self, *_: taken.append(self))
    train_and_report(store, workdir)
    assert not taken  # the runs are complete: they are only written down
    assert finished(store, workdir) == finished(store, whole)


def test_a_report_of_what_is_finished(whole, store, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(whole, workdir)
    last = family_runs.make_cells(family(store), workdir)[-1]
    (CellFolder(workdir, last).path / "result.json").unlink()
    with pytest.raises(UserError, match=r"have finished 1 budget\(s\), but a law needs two"):
        family_runs.report(family(store), workdir, tmp_path / "scaling.png")


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"widths": (8, 32)}, 2),
        ({"rate_power": 0.0}, 0),
        ({"tokens": (6 * 128, 12 * 128, 20 * 128)}, 4),
        ({"resamples": 0, "name": "renamed"}, 4),
    ],
)
def test_a_family_shares_with_another_the_runs_that_are_the_same(whole, store, changes, kept):
    other = replace(family(store), **changes)
    assert len(finished_results(family_runs.make_cells(other, whole), whole)) == kept


def test_a_setting_of_all_runs_and_the_store_make_other_runs(whole, store, tmp_path):
    other = family(store)
    other.run.optimizer = replace(other.run.optimizer, learning_rate=0.5)
    assert not finished_results(family_runs.make_cells(other, whole), whole)
    assert not finished(make_store(tmp_path / "store", seed=1), whole)


def test_how_results_are_fitted_may_change(whole, store, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(whole, workdir)
    family_runs.report(replace(family(store), resamples=0, name="renamed"), workdir, tmp_path / "scaling.png")


def test_a_family_killed_at_once_goes_on_to_the_same_numbers(whole, store, tmp_path):
    """SIGKILL, which nothing can catch, when the third run has written its first checkpoint."""
    code = (
        "import sys; from pathlib import Path; from tests.experiments.scaling.test_scaling_laws import *\n"
        "train_and_report(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(store), str(tmp_path)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
    end = time.monotonic() + 300
    third = CellFolder(tmp_path, family_runs.make_cells(family(store), tmp_path)[2]).work
    while not (third / "checkpoints" / "5" / "manifest.json").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert len(finished(store, tmp_path)) == 2
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, timeout=300)
    assert (tmp_path / "results.json").read_bytes() == (whole / "results.json").read_bytes()

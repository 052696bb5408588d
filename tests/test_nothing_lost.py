"""No script removes or overwrites what it did not write, and one process at a time works in a folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest

from experiments.cells.run import run_cells
from experiments.configs import gpt2
from plmjax.data.store import shards
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.loop import finetune
from plmjax.interop import huggingface, save, save_huggingface
from plmjax.interop.convert import convert
from plmjax.modules import build
from plmjax.modules.gpt import VARIANTS
from plmjax.pipelines import Model
from plmjax.tasks.classification import ClassificationTask
from plmjax.train.loop import pretrain
from plmjax.working_folder import (
    COMPARISON,
    EVALUATION,
    FINETUNING,
    GRID,
    MARKER,
    PRETRAINING,
    SAVED,
    STORE,
    Work,
    require_own,
    work_in,
    working_folder,
)
from tests.train.kit import REPOSITORY, make_store, tiny_config


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        file = folder / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def manifest(**config: Any) -> str:
    return json.dumps({"config": {"model": {}, **config}})


# What each kind of folder has when a version without markers wrote it.
FOLDERS: dict[str, dict[str, str]] = {
    "a pre-training run": {
        "checkpoints__5__manifest_DOT_json": manifest(objective={}),
        "metrics_DOT_jsonl": "{}\n",
        "tokenizer__vocab_DOT_txt": "a",
    },
    "a fine-tuning run": {
        "checkpoints__5__manifest_DOT_json": manifest(task={}),
        "results_DOT_json": "{}",
        "seed_0__metrics_DOT_jsonl": "{}\n",
    },
    "a token store": {"manifest_DOT_json": "{}", "tokenizer__vocab_DOT_txt": "a", "train__tokens_DOT_bin": "a"},
    "an evaluation": {"results_DOT_json": "{}", "predictions_DOT_jsonl": ""},
    "a saved model": {"checkpoints__0__manifest_DOT_json": manifest(), "tokenizer__vocab_DOT_txt": "a"},
    "a Hugging Face checkpoint": {"config_DOT_json": "{}", "model_DOT_safetensors": "a", "vocab_DOT_txt": "a"},
    "a grid of runs": {"cells__ab__result_DOT_json": "{}", "lock": ""},
    "a comparison with transformers": {"plan_DOT_json": "{}", "results_DOT_json": "{}"},
}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def network() -> Model:
    config = replace(VARIANTS["tiny"], vocab_size=40)
    return Model(config, jax.device_get(build(config).init(jax.random.key(0))["params"]), "GPT2LMHeadModel")


def scripts(network: Model) -> dict[str, Callable[[Path], Any]]:
    """What each script does to its folder, by the name of its work."""
    task = ClassificationTask(train="none.tsv")
    return {
        "a pre-training run": lambda folder: pretrain(gpt2.get_config("builtin"), folder),
        "a fine-tuning run": lambda folder: finetune(network, task, FineTune(), folder, devices=jax.devices()[:1]),
        "a token store": lambda folder: prepare(PrepareOptions(), folder, progress=False),
        "a saved model": lambda folder: save(network, folder),
        "a Hugging Face checkpoint": lambda folder: save_huggingface(network, folder),
        "a grid of runs": lambda folder: run_cells([], folder),
    }


@pytest.mark.parametrize("held", FOLDERS)
def test_a_folder_with_other_work_stays_as_it_is(held: str, tmp_path: Path, network: Model) -> None:
    folder = write(tmp_path / "folder", **FOLDERS[held])
    before = tree(folder)
    assert work_in(folder) == held
    for name, run in scripts(network).items():
        if name == held:
            continue
        with pytest.raises(UserError) as caught:
            run(folder)
        assert str(caught.value).startswith(f"{folder} holds "), name
        assert "give another" in str(caught.value) and "\n" not in str(caught.value)
        assert tree(folder) == before, name
    for target in ({"from_hf": "x", "to": str(folder)}, {"source": "x", "to_hf": str(folder)}):
        with pytest.raises(UserError, match="is not empty: name a new folder"):
            list(convert(**target))
    assert tree(folder) == before


@pytest.mark.parametrize("work", [PRETRAINING, FINETUNING, STORE, EVALUATION, GRID, COMPARISON, SAVED])
def test_a_users_own_files_are_not_overwritten(work: Work, tmp_path: Path) -> None:
    for pattern in work.writes:
        folder = tmp_path / pattern.strip("*._")
        file = write(folder, **{f"{pattern.replace('*', '0')}__mine_DOT_txt": "mine"})
        if work_in(folder) is not None:
            continue
        with pytest.raises(UserError, match=f"holds {pattern.replace('*', '0')}, which plmjax did not write"):
            require_own(file, work)
    beside = write(tmp_path / "notes", **{"notes_DOT_txt": "mine"})
    with working_folder(beside, work):
        assert work_in(beside) == work.name
    assert (beside / "notes.txt").read_text() == "mine"


def test_a_pretraining_run_within_a_fine_tuning_folder_is_not_a_seed_of_it(tmp_path: Path) -> None:
    """A seed's folder is emptied where its run has to begin again."""
    folder = write(tmp_path, **{"seed_0__checkpoints__5__manifest_DOT_json": manifest(objective={})})
    with pytest.raises(UserError, match="seed_0 holds a pre-training run, which would be overwritten"):
        require_own(folder, FINETUNING)


def test_the_marker_tells_what_a_folder_holds_from_the_start(tmp_path: Path) -> None:
    for _ in range(2):  # goes on
        with working_folder(tmp_path, FINETUNING):
            (tmp_path / "seed_0").mkdir(exist_ok=True)
    with pytest.raises(UserError, match="holds a fine-tuning run, and this is a pre-training run"):
        require_own(tmp_path, PRETRAINING)
    (tmp_path / MARKER).write_text('{"wo')  # killed at its first word: the files tell
    assert work_in(tmp_path) == FINETUNING.name


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path):
        with pytest.raises(UserError, match="no such field"), working_folder(folder, EVALUATION):
            raise UserError("no such field")
        assert not list(tmp_path.iterdir())


HOLD = """
import sys, time
from plmjax.working_folder import PRETRAINING, working_folder
with working_folder(sys.argv[1], PRETRAINING):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_told_of_the_first_until_that_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        expected = f"{tmp_path} is in use by process {holder.pid} of {socket.gethostname()}: wait for its end"
        with pytest.raises(UserError, match=expected):
            pretrain(gpt2.get_config("builtin"), tmp_path)
        assert set(os.listdir(tmp_path)) == {MARKER}
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    deadline = time.monotonic() + 10
    while True:
        try:
            with working_folder(tmp_path, PRETRAINING):
                break
        except UserError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("manifests", [True, False])
def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(manifests: bool, tmp_path: Path) -> None:
    content = {"files": {"params/x": [1, 1]}, "config": {"objective": {}}}
    files = {f"checkpoints__{step}__manifest_DOT_json": json.dumps(content) for step in (5, 10)}
    if not manifests:
        files = {f"checkpoints__{step}__params__x": "" for step in (5, 10)}
    folder = write(tmp_path / "run", metrics_DOT_jsonl='{"split": "train", "step": 5}\n', **files)
    before = tree(folder)
    with pytest.raises(UserError, match=r"None of the checkpoints in .*/checkpoints is whole \(5, 10\): put one back"):
        pretrain(tiny_config(make_store(tmp_path / "store")), folder, devices=jax.devices()[:1])
    now = tree(folder)
    assert now.pop(MARKER)
    assert now == before


def test_a_store_that_is_named_and_not_there_is_no_reason_to_train_on_another_text(tmp_path: Path) -> None:
    config = gpt2.get_config("builtin")
    config.data.store = str(tmp_path / "stroe")
    with pytest.raises(UserError, match=r"data.store is .*stroe, and there is no token store: make it with"):
        pretrain(config, tmp_path / "run", devices=jax.devices()[:1])
    assert not (tmp_path / "stroe").exists()


NO_ROOM = [OSError(28, "No space left"), OSError(122, "?"), RuntimeError("No space left on device (os error 28)")]


@pytest.mark.parametrize("error", NO_ROOM, ids=["no space", "quota", "a library's own"])
def test_a_full_disk_is_one_sentence_for_all_that_write(error: Exception, tmp_path: Path) -> None:
    expected = f"The disk that holds {tmp_path} is full: free some space and run the same again"
    with pytest.raises(UserError, match=expected), working_folder(tmp_path, EVALUATION):
        raise error
    with pytest.raises(KeyError), working_folder(tmp_path, EVALUATION):
        raise KeyError("another mistake stays what it is")


def test_a_conversion_that_a_full_disk_stops_can_be_run_again(
    network: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(network, tmp_path / "saved")
    with monkeypatch.context() as patch:

        def half(tensors: Any, folder: Path) -> None:
            (folder / "model.safetensors").write_bytes(b"half")
            raise RuntimeError("I/O error: No space left on device (os error 28)")

        patch.setattr(huggingface, "write_tensors", half)
        with pytest.raises(UserError, match="is full: free some space and run the same again"):
            list(convert(source=str(tmp_path / "saved"), to_hf=str(tmp_path / "new")))
    assert not (tmp_path / "new").exists()
    list(convert(source=str(tmp_path / "saved"), to_hf=str(tmp_path / "new")))
    assert (tmp_path / "new" / "config.json").is_file()


def test_a_store_that_a_full_disk_stops_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("\n".join(f"This is the text of line {number}." for number in range(400)))
    options = PrepareOptions(
        sources=(str(tmp_path / "a.txt"),), vocab_size=300, workers=1, sentinels=0, documents="lines"
    )
    with monkeypatch.context() as patch:

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(shards, "encode", full)
        with pytest.raises(UserError, match=r"The disk that holds .*store is full"):
            prepare(options, tmp_path / "store", progress=False)
    assert len(prepare(options, tmp_path / "store", progress=False).split("train").document_starts) > 300

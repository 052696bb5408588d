"""A student's run and its teacher: found when the run begins, not needed after, refused where it does not fit."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.paths import path_string
from plmjax.errors import UserError
from plmjax.interop import load
from plmjax.interop.weight_map import flatten, nest
from plmjax.modules.bert import BertConfig
from plmjax.modules.distilbert import DistilBertConfig
from plmjax.modules.distillation import DistillationConfig
from plmjax.objectives.distillation import Distillation
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.train.config import Config
from plmjax.train.loop import Result, pretrain
from plmjax.train.teacher import student_from_teacher
from plmjax.train.trainer import Trainer
from tests.train.kit import make_store, tiny_config

pytestmark = pytest.mark.slow

ONE = jax.devices()[:1]
SIZES = {"num_heads": 2, "d_model": 16, "d_ff": 32, "max_positions": 32, "activation": "gelu", "unroll": False}
STUDENT = DistilBertConfig(num_layers=2, **SIZES)


def run(config: Config, workdir: Path) -> Result:
    return pretrain(config, workdir, devices=ONE)


def distillation(store: Path, teacher: Path | str, **fields: Any) -> Config:
    """6 steps, with dropout in the student, so that what is drawn counts too."""
    model = DistillationConfig(replace(STUDENT), teacher_from=str(teacher), **fields)
    return tiny_config(store, model=model, objective=Distillation(), train__steps=6)


def flat_params(workdir: Path) -> dict[str, np.ndarray]:
    params, _ = load_params(workdir)
    return {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


@pytest.fixture(scope="module")
def teacher(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of four layers after 2 steps of masked LM."""
    workdir = tmp_path_factory.mktemp("teacher") / "run"
    model = BertConfig(num_layers=4, token_type_vocab=0, **SIZES)
    config = tiny_config(tiny_store, model=model, objective=MaskedLM(), train__steps=2, train__eval_batches=1)
    assert run(config, workdir).status == "finished"
    return workdir


@pytest.fixture(scope="module")
def whole(teacher: Path, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distillation of 6 steps, never interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    assert run(distillation(tiny_store, teacher), workdir).status == "finished"
    return workdir


def test_a_stopped_run_goes_on_to_the_same_bits_without_its_teacher(
    teacher: Path, whole: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, workdir = tmp_path / "teacher", tmp_path / "run"
    shutil.copytree(teacher, lent)
    take, taken = Trainer._take, []

    def stop_at_four(self: Trainer, *arguments: object) -> dict:
        taken.append(1)
        if len(taken) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self, *arguments)

    monkeypatch.setattr(Trainer, "_take", stop_at_four)
    first = run(distillation(tiny_store, lent), workdir)
    assert (first.status, first.step) == ("stopped", 3)
    shutil.rmtree(lent)
    second = run(distillation(tiny_store, lent), workdir)
    assert (second.status, second.step) == ("finished", 6)
    uninterrupted, resumed = flat_params(whole), flat_params(workdir)
    assert uninterrupted.keys() == resumed.keys()
    for name, value in uninterrupted.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_the_teacher_stays_and_the_student_moves_away_from_its_layers(teacher: Path, whole: Path) -> None:
    given, after = flatten(load(teacher).params), flat_params(whole)  # `load` leaves off rows that only pad
    for name, value in given.items():
        kept = after[f"teacher/{name}"]
        np.testing.assert_array_equal(kept[: len(value)], value, err_msg=name)
        assert not kept[len(value) :].any(), name
    students = {name.removeprefix("student/"): value for name, value in after.items() if name.startswith("student/")}
    assert students.keys() == given.keys()
    for name, value in students.items():
        origin = given[name][[0, 3]] if "/layers/" in name else given[name]  # the first and the last
        moved = np.abs(value[: len(origin)] - origin).max()
        if not name.endswith("key/bias"):  # which softmax does not see
            assert moved > 1e-4, name
        assert moved < 0.06, name  # 6 steps of at most 0.01: it began there


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (
            "nowhere",
            "model.teacher_from is '{path}', which does not exist: give a working folder or a Hugging Face directory.",
        ),
        ("", "model.teacher_from is empty: name the teacher's working folder or Hugging Face directory."),
    ],
)
def test_a_new_run_without_a_teacher_is_refused(tiny_store: Path, tmp_path: Path, where: str, sentence: str) -> None:
    path = tmp_path / where if where else ""
    with pytest.raises(UserError) as caught:
        run(distillation(tiny_store, path), tmp_path / "run")
    assert str(caught.value) == sentence.format(path=path)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_teacher_with_another_tokenizer_is_refused(teacher: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "store", seed=1)
    with pytest.raises(UserError) as caught:
        run(distillation(other, teacher), tmp_path / "run")
    assert str(caught.value) == (
        f"The teacher in {teacher} has another tokenizer than the store: prepare the store with its tokenizer."
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"initialise": "some"}, "model.initialise is 'some'; it must be 'teacher' or 'random'."),
        ({"layers": (0, 4)}, "model.layers is (0, 4): it must name 2 of the teacher's layers 0 to 3, one for each of"),
    ],
)
def test_settings_of_the_start_that_cannot_be_are_refused(
    teacher: Path, tiny_store: Path, tmp_path: Path, fields: dict[str, Any], sentence: str
) -> None:
    config = distillation(tiny_store, teacher)
    config.model = replace(config.model, **fields)
    with pytest.raises(UserError) as caught:
        run(config, tmp_path / "run")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("path", "has"),
    [("encoder/layers/kernel", "has as [2, 16, 16]"), ("embeddings/types", "lacks")],
)
def test_a_student_that_cannot_start_from_its_teacher_is_refused(path: str, has: str) -> None:
    teacher = nest({"encoder/layers/kernel": np.zeros((4, 16, 16))})
    with pytest.raises(UserError) as caught:
        student_from_teacher(nest({path: np.zeros((2, 16, 32))}), teacher, (0, 3))
    assert str(caught.value) == (
        f"The student's {path!r} is [2, 16, 32], which the teacher {has}: give the student the teacher's sizes, or set "
        "model.initialise to 'random'."
    )

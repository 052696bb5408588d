"""The whole loop on a tiny network: it learns, logs, resumes to the bit, and says in one sentence what it cannot do."""

import json
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.paths import path_string
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.losses.weighted import Weighted
from plmjax.modules.transformer_xl import TransformerXLConfig
from plmjax.objectives import CausalLM, RecurrentLM
from plmjax.objectives.recurrent_lm import Reading
from plmjax.train.loop import pretrain, train
from plmjax.train.reporting import read_records
from plmjax.train.trainer import Trainer
from tests.train.kit import make_store, tiny_config

ONE = jax.devices()[:1]
TIMES = ("tokens_per_second", "step_seconds", "input_wait", "mfu", "seconds")


def flat_params(workdir: Path) -> dict[str, np.ndarray]:
    params, _ = load_params(workdir)
    return {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def assert_same_params(first: Path, second: Path) -> None:
    one, two = flat_params(first), flat_params(second)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def timeless(workdir: Path) -> list[dict]:
    return [{k: v for k, v in r.items() if k not in TIMES} for r in read_records(workdir / "metrics.jsonl")]


@pytest.fixture(scope="module")
def finished(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps on one device, never interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    result = pretrain(tiny_config(tiny_store), workdir, devices=ONE)
    assert (result.status, result.step) == ("finished", 12)
    return workdir


def test_learns_and_writes_what_it_promises(finished: Path) -> None:
    records = list(read_records(finished / "metrics.jsonl"))
    lines = [r for r in records if r["split"] == "train"]
    assert [r["step"] for r in lines] == [4, 8, 12]
    assert [r["step"] for r in records if r["split"] == "validation"] == [0, 8, 12]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.05
    assert {"causal_lm_accuracy", "grad_norm", "learning_rate", "epoch", "input_wait", "mfu"} <= lines[0].keys()
    assert 0 < records[-1]["unigram_entropy"] < np.log(340)
    assert (finished / "loss.png").stat().st_size > 1000
    assert sorted(p.name for p in (finished / "checkpoints").iterdir()) == ["10", "12"]


def test_a_complete_run_is_left_alone(finished: Path, tiny_store: Path) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    result = pretrain(tiny_config(tiny_store), finished, devices=ONE)
    assert (result.status, result.step) == ("complete", 12)
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_a_stopped_run_resumes_to_the_same_bits(
    finished: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Trainer._take

    def stop_at_seven(self: Trainer, *arguments: object) -> dict:
        taken.append(1)
        if len(taken) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self, *arguments)

    taken: list[int] = []
    monkeypatch.setattr(Trainer, "_take", stop_at_seven)
    first = pretrain(tiny_config(tiny_store), tmp_path, devices=ONE)
    assert (first.status, first.step) == ("stopped", 6)
    # What a killed run leaves behind: lines beyond its checkpoint and half a line.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"split": "train", "step": 8, "loss": 1}\n{"split": "tr')
    second = pretrain(tiny_config(tiny_store), tmp_path, devices=ONE)
    assert (second.status, second.step) == ("finished", 12)
    assert_same_params(finished, tmp_path)
    assert timeless(finished) == timeless(tmp_path)


def test_an_opened_store_is_all_the_data_that_training_needs(finished: Path, tiny_store: Path, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "nowhere")
    assert train(config, Store.open(tiny_store), finished, devices=ONE).status == "complete"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train__batch_size": 16}, "train.batch_size = 8, but the configuration now has 16"),
        ({"optimizer__learning_rate": 0.5}, "optimizer.learning_rate = 0.01, but the configuration now has 0.5"),
        ({"model__d_ff": 64}, "model.d_ff = 32, but the configuration now has 64"),
        ({"objective__z_loss": 0.1}, "objective.z_loss = 0.0, but the configuration now has 0.1"),
    ],
)
def test_another_configuration_is_refused(finished: Path, tiny_store: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        pretrain(tiny_config(tiny_store, **changes), finished, devices=ONE)


def test_another_store_is_refused(finished: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "store", seed=1)
    with pytest.raises(UserError, match="another tokenizer"):
        pretrain(tiny_config(other), finished, devices=ONE)


def test_non_finite_gradients_end_the_run(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = CausalLM.losses

    def infinite(self: CausalLM, network: object, batch: dict, vocabulary: object, train: bool) -> tuple:
        terms, metrics = losses(self, network, batch, vocabulary, train)
        poison = jax.numpy.where(train, jax.numpy.inf, 1.0)
        return {name: Weighted(term.sum * poison, term.weight) for name, term in terms.items()}, metrics

    monkeypatch.setattr(CausalLM, "losses", infinite)
    with pytest.raises(UserError, match=r"not finite 3 times in a row, lastly in step 3"):
        pretrain(tiny_config(tiny_store, train__max_nonfinite=3), tmp_path, devices=ONE)
    written = json.loads((tmp_path / "nonfinite.json").read_text())
    assert written["step"] == 3
    assert len(written["example_ids"]) == 8


def test_a_validation_that_is_not_finite_is_not_saved(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = CausalLM.losses

    def poisoned(self: CausalLM, network: object, batch: dict, vocabulary: object, train: bool) -> tuple:
        terms, metrics = losses(self, network, batch, vocabulary, train)
        poison = jax.numpy.where(train, 1.0, jax.numpy.nan)
        return {name: Weighted(term.sum * poison, term.weight) for name, term in terms.items()}, metrics

    monkeypatch.setattr(CausalLM, "losses", poisoned)
    with pytest.raises(UserError, match=r"The validation after step 0 gives loss = nan, so this step is not saved"):
        pretrain(tiny_config(tiny_store), tmp_path, devices=ONE)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_an_update_that_is_not_finite_counts_as_a_gradient_does(tiny_store: Path, tmp_path: Path) -> None:
    """A rate beyond float32 makes the update infinite, though every gradient is finite."""
    config = tiny_config(tiny_store, optimizer__learning_rate=1e39, train__max_nonfinite=2)
    with pytest.raises(UserError, match=r"not finite 2 times in a row, lastly in step 2"):
        pretrain(config, tmp_path, devices=ONE)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0, -1.0])
def test_a_rate_that_is_none(value: float, tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"optimizer.learning_rate is {value}: it must be above 0"):
        pretrain(tiny_config(tiny_store, optimizer__learning_rate=value), tmp_path / "run", devices=ONE)
    assert not (tmp_path / "run").exists()


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no token store"):
        pretrain(tiny_config(tmp_path / "nowhere"), tmp_path / "run", devices=ONE)


def test_compiles_nothing_after_the_first_steps(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []
    before: list[int] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        if "backend_compile" in event:
            compiled.append(1)

    take = Trainer._take

    def count(self: Trainer, *arguments: object) -> dict:
        before.append(len(compiled))
        return take(self, *arguments)

    monkeypatch.setattr(Trainer, "_take", count)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        pretrain(tiny_config(tiny_store, train__eval_every=1, checkpoint__every_steps=1), tmp_path, devices=ONE)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert before[0] > 0
    assert before[2] == before[-1] == len(compiled), "something was compiled again during training"


@pytest.mark.slow
def test_a_memory_survives_a_stop(tiny_store: Path, tmp_path: Path) -> None:
    """A run that reads on resumes with what it remembered: to the bit, on one device and on eight."""
    model = TransformerXLConfig(
        num_layers=2, num_heads=2, head_width=8, d_model=16, d_ff=32, memory_length=12, unroll=False
    )
    changes = {"model": model, "objective": RecurrentLM(evaluation=Reading(memory_length=20))}
    whole = pretrain(tiny_config(tiny_store, **changes), tmp_path / "whole", devices=ONE)
    stopped = tiny_config(tiny_store, **changes, train__steps=5, optimizer__decay_steps=12)
    pretrain(stopped, tmp_path / "stopped", devices=ONE)
    pretrain(tiny_config(tiny_store, **changes, optimizer__decay_steps=12), tmp_path / "stopped", devices=ONE)
    assert_same_params(tmp_path / "whole", tmp_path / "stopped")
    assert timeless(tmp_path / "whole")[-1] == timeless(tmp_path / "stopped")[-1]
    many = pretrain(tiny_config(tiny_store, **changes, mesh__data=2, mesh__fsdp=4), tmp_path / "many")
    assert many.validation["loss"] == pytest.approx(whole.validation["loss"], rel=1e-4)

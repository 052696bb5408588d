"""A batch that grows: its sizes, the order of its examples, its schedule, and a run with it that is resumed."""

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.train.config import TrainConfig
from plmjax.train.data import TrainingBatches
from plmjax.train.loop import pretrain
from plmjax.train.ramp import make_ramp
from plmjax.train.reporting import read_records
from plmjax.train.resolve import resolve
from tests.train.kit import tiny_config
from tests.train.test_loop import ONE, assert_same_params, timeless

RAMP = {"train__batch_size": 8, "train__ramp_batch_size": 2, "train__ramp_tokens": 16 * 40}


def test_the_size_follows_the_line():
    """GPT-3 Small: from 32k to 0.5M tokens over 4 billion."""
    config = TrainConfig(batch_size=256, length=2048, ramp_batch_size=16, ramp_tokens=4_000_000_000)
    ramp = make_ramp(config)
    assert [stage.batch_size for stage in ramp.stages] == list(range(16, 257, 16))
    for stage, after in zip(ramp.stages, ramp.stages[1:], strict=False):
        read = stage.first_example + (after.first_step - stage.first_step) * stage.batch_size
        assert after.first_example == read
        line = 16 + (256 - 16) * read * 2048 / 4e9
        assert after.batch_size <= line < after.batch_size + stage.batch_size * 2048 * 240 / 4e9
    step = ramp.stages[-1].first_step + 10
    assert ramp.examples(step) == ramp.stages[-1].first_example + 2560
    np.testing.assert_allclose(ramp.full_batches(step), ramp.examples(step) / 256, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(ramp.full_batches)(np.arange(3)), np.arange(3) / 16)


def test_without_a_ramp_there_is_one_stage():
    ramp = make_ramp(TrainConfig(batch_size=8))
    assert ramp.examples(5) == 40 and ramp.full_batches(5) == 5 and len(ramp.stages) == 1


def test_a_size_that_a_step_passes_over_has_no_stage():
    ramp = make_ramp(TrainConfig(batch_size=8, length=16, ramp_batch_size=1, ramp_tokens=16 * 4))
    assert [stage.batch_size for stage in ramp.stages] == [1, 2, 6, 8]


def test_every_example_once_and_in_the_order_of_a_constant_batch(tiny_store):
    from plmjax.train.data import open_store

    config = tiny_config(tiny_store, **RAMP)
    store = open_store(config.data, tiny_store)
    batches = TrainingBatches(config, store, None)
    plain = TrainingBatches(tiny_config(tiny_store, train__batch_size=1), store, None)
    sizes = [len(batches.batch(step)["example_ids"]) for step in range(14)]
    assert sizes[0] == 2 and sizes[-1] == 8 and sizes == sorted(sizes)
    ids = np.concatenate([batches.batch(step)["example_ids"] for step in range(14)])
    assert ids.tolist() == [int(plain.batch(place)["example_ids"][0]) for place in range(len(ids))]
    stream = batches.stream(3)
    for step in range(3, 14):
        np.testing.assert_array_equal(next(stream)["example_ids"], batches.batch(step)["example_ids"])
    assert batches.epoch(14) == pytest.approx(plain.epoch(sum(sizes)))


@pytest.mark.slow
def test_the_schedule_counts_whole_batches(tiny_store, tmp_path):
    changes = RAMP | {"train__steps": 18, "train__microbatches": 4, "train__eval_every": 18}
    assert pretrain(tiny_config(tiny_store, **changes), tmp_path / "whole", devices=ONE).step == 18
    whole = list(read_records(tmp_path / "whole" / "metrics.jsonl"))
    rates = [record["learning_rate"] for record in whole if record["split"] == "train"]
    # Warm-up is 2 whole batches, 16 examples: after 4 updates of 2 examples half of it.
    assert rates[0] == pytest.approx(1e-2 * (3 * 2 / 8) / 2, rel=1e-5)
    assert rates[-1] < max(rates)


@pytest.mark.slow
def test_resuming_within_the_ramp(tiny_store, tmp_path):
    changes = RAMP | {"train__eval_every": 12, "optimizer__decay_steps": 8}
    pretrain(tiny_config(tiny_store, **changes), tmp_path / "whole", devices=ONE)
    for steps in (5, 12):
        pretrain(tiny_config(tiny_store, **changes | {"train__steps": steps}), tmp_path / "cut", devices=ONE)
    assert_same_params(tmp_path / "whole", tmp_path / "cut")
    last = [[record for record in timeless(tmp_path / name) if record["step"] == 12] for name in ("whole", "cut")]
    assert last[0] == last[1]


@pytest.mark.parametrize(
    ("changes", "devices", "sentence"),
    [
        ({"train__ramp_batch_size": 3, "train__ramp_tokens": 9}, 1, "ramp_batch_size is 3: it must divide"),
        ({"train__ramp_batch_size": 2}, 1, "ramp_tokens 0: give both"),
        (
            {"train__ramp_batch_size": 1, "train__ramp_tokens": 9, "train__microbatches": 2},
            1,
            "a microbatch, 4 examples",
        ),
        ({"train__ramp_batch_size": 4, "train__ramp_tokens": 9}, 8, "does not divide over the 8 devices"),
    ],
)
def test_what_can_not_grow(tiny_store, changes, devices, sentence):
    from plmjax.data.store.store import Store

    with pytest.raises(UserError, match=sentence):
        resolve(tiny_config(tiny_store, **changes), Store.open(tiny_store).vocabulary, devices)

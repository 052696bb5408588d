"""A family's runs, what they cost by hand, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.configs.scaling import get_config
from experiments.scaling.family import Family, check, cost, members
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from tests.train.kit import make_store, tiny_config

STEP = 8 * 16  # tokens of a step of tiny_config


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return make_store(tmp_path_factory.mktemp("data") / "store")


def family(store: Path | str = "", **changes) -> Family:
    made = Family(run=tiny_config(store), layers=(1, 2), widths=(8, 64), tokens=(6 * STEP, 20 * STEP))
    return replace(made, **changes)


def test_members_smallest_budget_first(tmp_path):
    runs = members(family(seeds=(3, 4), warmup_share=0.25), tmp_path)
    assert [run.name for run in runs[:4]] == ["1x8_768_seed3", "2x64_768_seed3", "1x8_768_seed4", "2x64_768_seed4"]
    assert [run.budget for run in runs] == [768] * 4 + [2560] * 4
    config = runs[7].config
    assert (config.model.num_layers, config.model.d_model, config.model.num_heads, config.model.d_ff) == (2, 64, 2, 128)
    assert (config.train.steps, config.optimizer.warmup_steps, runs[7].tokens) == (20, 5, 2560)
    assert (config.train.seed, config.data.seed) == (4, 4)
    assert config.data.store == str(tmp_path / "store")
    assert config.model.max_positions == 32  # as in what all runs share


def test_one_rule_of_the_learning_rate(tmp_path):
    rates = [run.config.optimizer.learning_rate for run in members(family(rate_power=1.0), tmp_path)[:2]]
    assert rates == pytest.approx([8e-2, 1e-2])
    rates = [run.config.optimizer.learning_rate for run in members(family(), tmp_path)[:2]]
    assert rates == pytest.approx([1e-2 * 8**0.5, 1e-2])


@pytest.mark.parametrize("number", [0, 1])
def test_costs_by_hand(store, tmp_path, number):
    run = members(family(store), tmp_path)[number]
    layers, width, ratio = *run.size, 2
    rows, length = Store.open(store).vocabulary.padded_size, 16
    # four square matrices and the two of the feed-forward half; their biases; two norms' scales and biases
    layer = 4 * width**2 + 2 * ratio * width**2 + 4 * width + (ratio + 1) * width + 4 * width
    found = cost(run.config, Store.open(store))
    assert found.parameters == layers * layer + 2 * width
    assert found.all_parameters == found.parameters + (rows + 32) * width
    # two FLOPs a weight of the matrices and of the scores; attention's two products with all positions of the window
    forward = 2 * layers * (4 + 2 * ratio) * width**2 + 4 * layers * length * width + 2 * width * rows
    assert found.flops == pytest.approx(3 * forward)


def test_a_budget_of_more_than_an_epoch(store, tmp_path):
    run = members(family(store, tokens=(STEP, 60 * STEP)), tmp_path)[-1]
    with pytest.raises(UserError, match=r"budget of 7,680 tokens is more than the store's text, 6,\d\d\d"):
        cost(run.config, Store.open(store))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"widths": (8,)}, "layers has 2 numbers and widths 1: give both"),
        ({"layers": (1, 1), "widths": (8, 8)}, r"The size \(1, 8\) is there twice"),
        ({"tokens": (768, 768)}, "The budget 768 is there twice"),
        ({"seeds": (1, 1)}, "The seed 1 is there twice"),
        ({"layers": (1,), "widths": (8,)}, r"has 1 size\(s\) and 2 budget\(s\): a law needs two"),
        ({"tokens": (768,)}, r"has 2 size\(s\) and 1 budget"),
        ({"seeds": ()}, "seeds is empty"),
        ({"tokens": (2560, 768)}, "from the smallest to the largest"),
        ({"tokens": (100, 768)}, "budget of 100 tokens is less than a step of 8 x 16"),
        ({"head_width": 0}, "head_width is 0"),
        ({"rate_width": 0}, "rate_width is 0"),
        ({"warmup_share": 1.0}, "warmup_share is 1.0"),
        ({"resamples": -1}, "resamples is -1"),
        ({"widths": (8, 65)}, "2 layers and d_model 65 can't be built"),
        ({"layers": (0, 1)}, "0 layers and d_model 8 can't be built"),
        ({"run": tiny_config("", train__ramp_batch_size=4)}, "ramp_batch_size is 4"),
        ({"run": replace(tiny_config(""), model=object())}, "is object, which has no num_layers"),
    ],
)
def test_what_is_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        check(family(**changes))


@pytest.mark.parametrize("variant", ["english", "tiny"])
def test_shipped_families(variant, tmp_path):
    shipped = get_config(variant)
    check(shipped)
    runs = members(shipped, tmp_path)
    assert len({run.name for run in runs}) == len(shipped.layers) * len(shipped.tokens)
    with pytest.raises(UserError, match="choose one of english, tiny"):
        get_config("huge")

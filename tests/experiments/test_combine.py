"""Every network under every objective that its kind can carry, as the table in docs/reference/matrix.md has it."""

import importlib.util
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import combine
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.modules.bert import VARIANTS
from plmjax.modules.distillation import DistillationConfig
from plmjax.objectives.base import start_memory
from plmjax.objectives.sequences import SEQUENCE_KINDS
from plmjax.train.data import TrainingBatches
from plmjax.train.optimizers import make_optimizer
from plmjax.train.resolve import resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.state import init_state
from plmjax.train.step import train_step
from tests.train.kit import make_store

DOCS = Path(__file__).parents[2] / "docs"
# The tiny store has no texts in several languages and no control codes; tests/objectives/test_cross_lingual.py and
# tests/data/test_codes.py have.
STORED = [pair for pair in combine.allowed() if pair[1] not in combine.STORES]


def is_sample(network: str, objective: str) -> bool:
    """Objectives of two sequences are all one row to a decoder: each goes to one decoder, and one of them to each."""
    in_one_row = combine.kinds_of(objective) == SEQUENCE_KINDS
    is_decoder = combine.kind_of(combine.NETWORKS[network]()) == "decoder"
    return not (in_one_row and is_decoder) or network == "t5_prefix_lm" or objective == "span_corruption"


PAIRS = [pair for pair in STORED if is_sample(*pair)]
# Every network and every objective once; the other pairs are traced by the slow tests.
COVER = [
    pair for number, pair in enumerate(PAIRS) if any(pair[i] not in {p[i] for p in PAIRS[:number]} for i in (0, 1))
]
TRACED = [pytest.param(*pair, id="+".join(pair), marks=() if pair in COVER else pytest.mark.slow) for pair in PAIRS]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store.open(make_store(tmp_path_factory.mktemp("store")))


def one_step(store: Store, network: str, objective: str):
    """(the step, its state, its batch) of the combination, two examples of 32 tokens."""
    config = combine.run(network, objective)
    config.train = replace(config.train, batch_size=2, length=32)
    config.optimizer = replace(config.optimizer, schedule="constant", warmup_steps=0)  # the first step moves
    if isinstance(config.model, DistillationConfig):
        config.model.teacher = replace(VARIANTS["tiny"], d_model=config.model.student.d_model)
    config = resolve(config, store.vocabulary, 1)
    module = build(config.model)
    optimizer = make_optimizer(config.optimizer, getattr(module, "frozen", ()))
    batch = TrainingBatches(config, store, None).batch(0)

    def step(state, batch):
        return train_step(
            state,
            batch,
            module=module,
            objective=config.objective,
            vocabulary=store.vocabulary,
            optimizer=optimizer,
            schedule=make_schedule(config.optimizer, 10),
            clip_norm=1.0,
            microbatches=1,
            seed=0,
        )

    empty = partial(start_memory, config.objective, module, 2, train=True)
    return step, lambda: init_state(module, optimizer, 0, empty), batch


@pytest.mark.parametrize(("network", "objective"), TRACED)
def test_it_builds(store, network, objective):
    """The whole training step is traced: shapes and dtypes fit, and parameters keep theirs."""
    step, start, batch = one_step(store, network, objective)
    before = jax.eval_shape(start)
    after, report = jax.eval_shape(step, before, batch)
    assert jax.tree.map(lambda x: x.shape, after.params) == jax.tree.map(lambda x: x.shape, before.params)
    assert report["losses"]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "objective"), COVER, ids="+".join)
def test_it_takes_a_step(store, network, objective):
    step, start, batch = one_step(store, network, objective)
    before = jax.jit(start)()
    after, report = jax.jit(step)(before, batch)
    assert np.isfinite(report["loss"]) and report["grad_norm"] > 0 and report["nonfinite"] == 0
    assert not jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), before.params, after.params))


def test_the_documentation_has_the_table():
    spec = importlib.util.spec_from_file_location("matrix", DOCS / "tools" / "matrix.py")
    matrix = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(matrix)
    assert matrix.PAGE.read_text() == matrix.page(), "write it again: python docs/tools/matrix.py"


@pytest.mark.parametrize(
    ("network", "objective", "fits"),
    [
        ("gpt2", "masked_lm", False),
        ("bert", "replaced_tokens", True),  # a pair is made of it
        ("gpt2", "replaced_tokens", False),
        ("bert", "cross_lingual_lm", False),  # it has no table of languages
        ("xlm", "cross_lingual_lm", True),
        ("t5", "mass", False),  # it has no positions
        ("bart", "mass", True),
        ("gpt2", "recurrent_lm", False),  # it has no memory
        ("transformer_xl", "recurrent_lm", True),
    ],
)
def test_what_fits_is_what_the_objective_takes(network, objective, fits):
    assert combine.fits(network, objective) is fits


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"no variant 'gpt2\+masked_lm': choose one of bert\+"):
        combine.get_config("gpt2+masked_lm")

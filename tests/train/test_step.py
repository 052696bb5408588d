"""One step: the same loss and gradient however the batch is cut and wherever it lies."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.checkpoints.state import State
from plmjax.data.store.store import Store
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import SegmentPair
from plmjax.modules import build
from plmjax.modules.bert import BertConfig
from plmjax.objectives import BertPretraining
from plmjax.train.config import MeshConfig, OptimizerConfig
from plmjax.train.data import TrainingBatches
from plmjax.train.evaluation import Evaluator, entropy
from plmjax.train.optimizers import make_optimizer
from plmjax.train.resolve import resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.sharding import make_mesh, to_devices
from plmjax.train.state import abstract_state, create_state, shardings_of
from plmjax.train.step import NOISE_STREAM, corrupt_batch, gradients, jit_train_step
from tests.train.kit import tiny_config

BATCH = 16


class Breakable(BertPretraining):
    """BERT's objective, but the loss of a batch with a true `poisoned` is not a number."""

    def losses(self, network: Any, batch: dict, vocabulary: Vocabulary, train: bool) -> tuple:
        terms, metrics = super().losses(network, batch, vocabulary, train)
        poison = jnp.where(batch["poisoned"].any(), jnp.nan, 1.0)
        return {name: term._replace(sum=term.sum * poison) for name, term in terms.items()}, metrics


class Setup:
    """A tiny BERT with two losses and ragged masks, and its first batches."""

    def __init__(self, store_path: Any) -> None:
        store = Store.open(store_path)
        model = BertConfig(
            num_layers=2, num_heads=2, d_model=16, d_ff=32, max_positions=48, dropout=0.0, attention_dropout=0.0,
            unroll=False,
        )  # fmt: skip
        objective = Breakable(SegmentPair(short_probability=0.8))
        changes = {"model": model, "objective": objective, "train__batch_size": BATCH, "train__length": 48}
        self.config = resolve(tiny_config(store_path, **changes), store.vocabulary, 1)
        self.parts = {
            "module": build(self.config.model),
            "objective": self.config.objective,
            "vocabulary": store.vocabulary,
        }
        self.optimizer = make_optimizer(self.config.optimizer)
        loader = TrainingBatches(self.config, store, None)
        self.batches = [loader.batch(step) | {"poisoned": np.zeros(BATCH, bool)} for step in range(2)]
        key = jax.random.fold_in(jax.random.key(0), NOISE_STREAM)
        corrupt = partial(corrupt_batch, self.config.objective, store.vocabulary, key)
        self.corrupt = jax.jit(corrupt, static_argnames="static")
        self.corrupted = self.corrupt(self.batches[0], static=False)

    def start(self, mesh_config: MeshConfig, devices: list) -> tuple[State, Any]:
        """A fresh state on a mesh, and the training step."""
        mesh = make_mesh(mesh_config, devices)
        schedule = make_schedule(OptimizerConfig(learning_rate=1e-2, warmup_steps=4, schedule="constant"), 10)
        with jax.set_mesh(mesh):
            abstract = abstract_state(self.parts["module"], self.optimizer, 0, mesh)
            options = {
                "optimizer": self.optimizer,
                "schedule": schedule,
                "clip_norm": 1.0,
                "microbatches": 1,
                "seed": 0,
            }
            step = jit_train_step(mesh, abstract, **self.parts, **options)

            def call(state: State, batch: dict) -> tuple[State, dict]:
                with jax.set_mesh(mesh):
                    state, report = step(state, to_devices(batch, mesh, BATCH))
                return state, jax.device_get(report)

            return create_state(self.parts["module"], self.optimizer, 0, abstract), call


@pytest.fixture(scope="module")
def setup(tiny_store: Any) -> Setup:
    return Setup(tiny_store)


@pytest.fixture(scope="module")
def one_device(setup: Setup) -> tuple[State, Any]:
    """The first state and the step; a test that steps must copy the state, whose memory the step takes."""
    return setup.start(MeshConfig(), jax.devices()[:1])


@pytest.fixture(scope="module")
def programs(setup: Setup, one_device: tuple[State, Any]) -> dict[int, Any]:
    """The gradients of the first batch, compiled for 1 and 4 microbatches."""
    params = jax.tree.map(np.array, one_device[0].params)

    def compiled(microbatches: int) -> Any:
        function = partial(gradients, **setup.parts, dropout_key=jax.random.key(1), microbatches=microbatches)
        return jax.jit(function).lower(params=params, batch=setup.corrupted).compile()

    return {microbatches: compiled(microbatches) for microbatches in (1, 4)}


@pytest.fixture(scope="module")
def results(setup: Setup, one_device: tuple[State, Any], programs: dict[int, Any]) -> dict[int, Any]:
    """Gradient, loss and sums for 1 and 4 microbatches."""
    params = jax.tree.map(np.array, one_device[0].params)
    return {count: program(params=params, batch=setup.corrupted) for count, program in programs.items()}


def test_the_masks_are_ragged(setup: Setup) -> None:
    counts = np.asarray(setup.corrupted["weights"]).sum(1)
    assert len(set(counts.tolist())) > 2


def test_microbatches_change_nothing(results: dict[int, Any]) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), results[4], results[1])


def test_the_loss_is_the_mean_over_the_whole_batch(results: dict[int, Any]) -> None:
    _, total, losses, _, memory = results[1]
    assert memory == ()
    assert set(losses) == {"masked_lm", "next_sentence"}
    assert float(total) == pytest.approx(sum(float(term.sum / term.weight) for term in losses.values()), rel=1e-6)


def test_the_forward_pass_for_the_weights_costs_nothing(programs: dict[int, Any]) -> None:
    """The compiler counts a loop's body once: a quarter of the work, and no whole-batch forward pass beside it.

    If that had stayed, it would add a third.
    """
    flops = {count: program.cost_analysis()["flops"] for count, program in programs.items()}
    assert flops[4] < 0.4 * flops[1]


@pytest.mark.parametrize(
    "mesh",
    [pytest.param(MeshConfig(data=8), marks=pytest.mark.slow), MeshConfig(data=2, fsdp=2, tensor=2)],
    ids=["data 8", "2 x 2 x 2"],
)
def test_meshes_change_nothing(setup: Setup, one_device: tuple[State, Any], mesh: MeshConfig) -> None:
    one, one_step = jax.tree.map(jnp.copy, one_device[0]), one_device[1]
    many, many_step = setup.start(mesh, jax.devices())
    jax.tree.map(np.testing.assert_array_equal, many.params, one.params)
    for batch in setup.batches:
        one, wanted = one_step(one, batch)
        many, report = many_step(many, batch)
        assert float(report["loss"]) == pytest.approx(float(wanted["loss"]), rel=1e-5)
        assert float(report["grad_norm"]) == pytest.approx(float(wanted["grad_norm"]), rel=1e-5)
        assert report["tokens"] == wanted["tokens"]
        assert report["losses"]["masked_lm"].weight == wanted["losses"]["masked_lm"].weight
    if mesh.tensor > 1:
        up = many.params["encoder"]["layers"]["mlp"]["up"]["kernel"]
        assert up.addressable_shards[0].data.size * 4 == up.size
        assert many.opt_state[0].mu["encoder"]["layers"]["mlp"]["up"]["kernel"].sharding == up.sharding


def test_noise_follows_the_example_and_the_epoch(setup: Setup) -> None:
    batch = setup.batches[0]
    later = batch | {"epochs": batch["epochs"] + 1}
    order = np.random.default_rng(0).permutation(BATCH)
    shuffled = setup.corrupt({name: value[order] for name, value in batch.items()}, static=False)
    np.testing.assert_array_equal(shuffled["tokens"], np.asarray(setup.corrupted["tokens"])[order])
    assert (np.asarray(setup.corrupt(later, static=False)["tokens"]) != np.asarray(setup.corrupted["tokens"])).any()
    first, second = setup.corrupt(batch, static=True), setup.corrupt(later, static=True)
    np.testing.assert_array_equal(first["tokens"], second["tokens"])


def test_a_non_finite_gradient_skips_the_update(setup: Setup, one_device: tuple[State, Any]) -> None:
    state, step = jax.tree.map(jnp.copy, one_device[0]), one_device[1]
    seen = []
    for poisoned in (False, True, True, False):
        before = jax.tree.map(np.array, (state.params, state.opt_state))
        state, report = step(state, setup.batches[0] | {"poisoned": np.full(BATCH, poisoned)})
        same = jax.tree.map(np.array_equal, before, (state.params, state.opt_state))
        assert all(jax.tree.leaves(same)) == poisoned
        seen.append((int(report["nonfinite"]), int(report["nonfinite_in_a_row"]), float(report["learning_rate"])))
    assert [pair[:2] for pair in seen] == [(0, 0), (1, 1), (2, 2), (2, 0)]
    assert [rate for *_, rate in seen] == pytest.approx([0.0, 0.0025, 0.0025, 0.0025])
    assert int(state.step) == 4


def test_validation_leaves_padding_rows_out(setup: Setup, one_device: tuple[State, Any]) -> None:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    params = one_device[0].params
    batch = setup.batches[0]
    padding = {name: np.zeros_like(value) for name, value in batch.items()} | {
        "example_ids": np.full(BATCH, -1, np.int32)
    }
    half = {name: np.concatenate([value[: BATCH // 2], padding[name][: BATCH // 2]]) for name, value in batch.items()}
    rest = {name: np.concatenate([value[BATCH // 2 :], padding[name][: BATCH // 2]]) for name, value in batch.items()}
    with jax.set_mesh(mesh):
        evaluator = Evaluator(mesh, shardings_of(params), **setup.parts)
        together, apart = (evaluator(params, batches) for batches in ([batch], [half, rest]))
        assert together == pytest.approx(apart, rel=1e-5)
        later = batch | {"epochs": batch["epochs"] + 3}
        assert evaluator(params, [later]) == together
        assert evaluator.unigram_entropy([batch]) == pytest.approx(evaluator.unigram_entropy([half, rest]))
    assert evaluator(params, []) == {}


def test_entropy() -> None:
    assert entropy(np.array([0.0, 2.0, 2.0])) == pytest.approx(np.log(2))
    assert entropy(np.zeros(3)) == 0.0

"""One step: the same loss and gradient however the batch is cut and wherever it lies."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.store import Store
from plmjax.data.windows import SegmentPair
from plmjax.modules import build
from plmjax.modules.bert import BertConfig
from plmjax.objectives import BertPretraining
from plmjax.train.config import MeshConfig, OptimizerConfig
from plmjax.train.data import training_loader
from plmjax.train.evaluation import Evaluator, entropy
from plmjax.train.optimizers import make_optimizer
from plmjax.train.resolve import resolve
from plmjax.train.schedules import make_schedule
from plmjax.train.sharding import make_mesh, to_devices
from plmjax.train.state import State, abstract_state, create_state, shardings_of
from plmjax.train.step import NOISE_STREAM, corrupt_batch, gradients, jit_train_step
from tests.train.kit import tiny_config

BATCH = 16


class Setup:
    """A tiny BERT with two losses and ragged masks, and its first batches."""

    def __init__(self, store_path: Any) -> None:
        store = Store.open(store_path)
        model = BertConfig(
            num_layers=2, num_heads=2, d_model=16, d_ff=32, max_positions=48, dropout=0.0, attention_dropout=0.0,
            unroll=False,
        )  # fmt: skip
        objective = BertPretraining(SegmentPair(short_probability=0.8))
        changes = {"model": model, "objective": objective, "train__batch_size": BATCH, "train__length": 48}
        self.config = resolve(tiny_config(store_path, **changes), store.vocabulary, 1)
        self.vocabulary = store.vocabulary
        self.parts = {
            "module": build(self.config.model),
            "objective": self.config.objective,
            "vocabulary": store.vocabulary,
        }
        self.optimizer = make_optimizer(self.config.optimizer)
        loader = training_loader(self.config, store, None)
        self.batches = [loader.batch(step) for step in range(3)]
        self.params = jax.jit(self.parts["module"].init)(jax.random.key(0))["params"]
        self.corrupted = self.corrupt(self.batches[0])

    def corrupt(self, batch: dict, static: bool = False) -> dict:
        key = jax.random.fold_in(jax.random.key(0), NOISE_STREAM)
        return corrupt_batch(self.parts["objective"], self.vocabulary, key, batch, static=static)

    def gradients(self, microbatches: int) -> Any:
        return partial(gradients, **self.parts, dropout_key=jax.random.key(1), microbatches=microbatches)

    def steps(self, mesh_config: MeshConfig, devices: list) -> tuple[State, list[dict]]:
        """The state and the reports after the three batches on a mesh."""
        mesh = make_mesh(mesh_config, devices)
        with jax.set_mesh(mesh):
            abstract = abstract_state(self.parts["module"], self.optimizer, 0, mesh)
            state = create_state(self.parts["module"], self.optimizer, 0, abstract)
            schedule = make_schedule(OptimizerConfig(learning_rate=1e-2, schedule="constant"), 10)
            step = jit_train_step(
                mesh, abstract, **self.parts, optimizer=self.optimizer, schedule=schedule, clip_norm=1.0, microbatches=1,
                seed=0,
            )  # fmt: skip
            reports = []
            for batch in self.batches:
                state, report = step(state, to_devices(batch, mesh, BATCH))
                reports.append(jax.device_get(report))
        return state, reports


@pytest.fixture(scope="module")
def setup(tiny_store: Any) -> Setup:
    return Setup(tiny_store)


@pytest.fixture(scope="module")
def whole(setup: Setup) -> Any:
    """Gradient, loss and sums with one microbatch."""
    return jax.jit(setup.gradients(1))(params=setup.params, batch=setup.corrupted)


@pytest.fixture(scope="module")
def one_device(setup: Setup) -> tuple[State, list[dict]]:
    return setup.steps(MeshConfig(), jax.devices()[:1])


def test_the_masks_are_ragged(setup: Setup) -> None:
    counts = np.asarray(setup.corrupted["weights"]).sum(1)
    assert len(set(counts.tolist())) > 2


@pytest.mark.parametrize("microbatches", [4])
def test_microbatches_change_nothing(setup: Setup, whole: Any, microbatches: int) -> None:
    parts = jax.jit(setup.gradients(microbatches))(params=setup.params, batch=setup.corrupted)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), parts, whole)


def test_the_loss_is_the_mean_over_the_whole_batch(whole: Any) -> None:
    _, total, losses, _ = whole
    assert set(losses) == {"masked_lm", "next_sentence"}
    assert float(total) == pytest.approx(sum(float(term.sum / term.weight) for term in losses.values()), rel=1e-6)


def test_the_forward_pass_for_the_weights_costs_nothing(setup: Setup) -> None:
    """With 2 microbatches the compiled program holds one portion's work in a loop: less than the whole batch's.

    The compiler's count takes a loop's body once. A whole-batch forward pass that stayed would be two thirds of a
    portion's forward and backward pass on top.
    """

    def flops(microbatches: int) -> float:
        compiled = jax.jit(setup.gradients(microbatches)).lower(params=setup.params, batch=setup.corrupted).compile()
        return compiled.cost_analysis()["flops"]

    assert flops(2) < 0.62 * flops(1)


@pytest.mark.parametrize(
    "mesh",
    [MeshConfig(data=8), MeshConfig(data=2, fsdp=2, tensor=2)],
    ids=["data 8", "2 x 2 x 2"],
)
def test_meshes_change_nothing(setup: Setup, one_device: tuple[State, list[dict]], mesh: MeshConfig) -> None:
    state, reports = setup.steps(mesh, jax.devices())
    wanted_state, wanted = one_device
    for report, other in zip(reports, wanted, strict=True):
        assert float(report["loss"]) == pytest.approx(float(other["loss"]), rel=1e-5)
        assert float(report["grad_norm"]) == pytest.approx(float(other["grad_norm"]), rel=1e-4)
        assert report["tokens"] == other["tokens"]
        assert report["losses"]["masked_lm"].weight == other["losses"]["masked_lm"].weight
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=2e-4), state.params, wanted_state.params)
    if mesh.tensor > 1:
        up = state.params["encoder"]["layers"]["mlp"]["up"]["kernel"]
        assert up.addressable_shards[0].data.size * 4 == up.size
        assert state.opt_state[0].mu["encoder"]["layers"]["mlp"]["up"]["kernel"].sharding == up.sharding


def test_noise_follows_the_example_and_the_epoch(setup: Setup) -> None:
    batch = setup.batches[0]
    later = batch | {"epochs": batch["epochs"] + 1}
    order = np.random.default_rng(0).permutation(BATCH)
    shuffled = setup.corrupt({name: value[order] for name, value in batch.items()})
    np.testing.assert_array_equal(shuffled["tokens"], np.asarray(setup.corrupted["tokens"])[order])
    assert (np.asarray(setup.corrupt(later)["tokens"]) != np.asarray(setup.corrupted["tokens"])).any()
    first, second = setup.corrupt(batch, static=True), setup.corrupt(later, static=True)
    np.testing.assert_array_equal(first["tokens"], second["tokens"])


def test_a_non_finite_gradient_skips_the_update(setup: Setup) -> None:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])

    class Breakable(BertPretraining):
        """Poisons the loss of every batch whose first example id is below 0."""

        def losses(self, network: Any, batch: dict, vocabulary: Any, train: bool) -> tuple:
            terms, metrics = super().losses(network, batch, vocabulary, train)
            poison = jnp.where(batch["poisoned"].any(), jnp.nan, 1.0)
            return {name: term._replace(sum=term.sum * poison) for name, term in terms.items()}, metrics

    schedule = make_schedule(OptimizerConfig(learning_rate=1e-2, warmup_steps=4, schedule="constant"), 10)
    parts = setup.parts | {"objective": Breakable()}
    with jax.set_mesh(mesh):
        abstract = abstract_state(parts["module"], setup.optimizer, 0, mesh)
        step = jit_train_step(
            mesh, abstract, **parts, optimizer=setup.optimizer, schedule=schedule, clip_norm=1.0, microbatches=1, seed=0
        )
        state = create_state(parts["module"], setup.optimizer, 0, abstract)
        seen = []
        for poisoned in (False, True, True, False):
            before = jax.tree.map(np.array, (state.params, state.opt_state))
            flag = {"poisoned": np.full(BATCH, poisoned)}
            state, report = step(state, to_devices(setup.batches[0] | flag, mesh, BATCH))
            same = jax.tree.map(lambda a, b: np.array_equal(a, b), before, (state.params, state.opt_state))
            assert all(jax.tree.leaves(same)) == poisoned
            seen.append((int(report["nonfinite"]), int(report["nonfinite_in_a_row"]), float(report["learning_rate"])))
    assert [pair[:2] for pair in seen] == [(0, 0), (1, 1), (2, 2), (2, 0)]
    assert [rate for *_, rate in seen] == pytest.approx([0.0, 0.0025, 0.0025, 0.0025])
    assert int(state.step) == 4


def test_validation_leaves_padding_rows_out(setup: Setup) -> None:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    batch = setup.batches[0]
    padding = {name: np.zeros_like(value) for name, value in batch.items()} | {"example_ids": np.full(BATCH, -1, np.int32)}
    half = {name: np.concatenate([value[: BATCH // 2], padding[name][: BATCH // 2]]) for name, value in batch.items()}
    rest = {name: np.concatenate([value[BATCH // 2 :], padding[name][: BATCH // 2]]) for name, value in batch.items()}
    with jax.set_mesh(mesh):
        evaluator = Evaluator(mesh, shardings_of(jax.device_put(setup.params, jax.devices()[0])), **setup.parts)
        together, apart = (evaluator(setup.params, batches) for batches in ([batch], [half, rest]))
        assert together == pytest.approx(apart, rel=1e-5)
        later = batch | {"epochs": batch["epochs"] + 3}
        assert evaluator(setup.params, [later]) == together
        assert evaluator.unigram_entropy([batch]) == pytest.approx(evaluator.unigram_entropy([half, rest]))
    assert evaluator(setup.params, []) == {}


def test_entropy() -> None:
    assert entropy(np.array([0.0, 2.0, 2.0])) == pytest.approx(np.log(2))
    assert entropy(np.zeros(3)) == 0.0

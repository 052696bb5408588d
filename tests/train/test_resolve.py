"""What cannot run is refused before any work, in one sentence that names the value and the remedy."""

from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.checkpoints.paths import path_string
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.modules.bert import BertConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config
from plmjax.modules.xlnet import XLNetConfig
from plmjax.objectives import BertPretraining, MaskedLM
from plmjax.train.config import MeshConfig
from plmjax.train.resolve import resolve
from plmjax.train.sharding import RULES, local_rows, make_mesh, spec
from tests.train.kit import tiny_config


@pytest.fixture(scope="module")
def store(tiny_store: Path) -> Store:
    return Store.open(tiny_store)


def test_fills_in_what_is_derived(store: Store) -> None:
    config = tiny_config(store.directory, train__batch_size=16, train__microbatches=2)
    done = resolve(config, store.vocabulary, 8)
    assert done.model.vocab_size == store.vocabulary.padded_size == 384
    assert done.optimizer.decay_steps == 12
    assert done.train.eval_batch_size == 8
    assert config.model.vocab_size == 0, "the given configuration is not changed"
    bert = tiny_config(store.directory, model=BertConfig(max_positions=16, heads=()), objective=BertPretraining())
    assert set(resolve(bert, store.vocabulary, 1).model.heads) >= {"token", "next_sentence"}


@pytest.mark.parametrize(
    ("changes", "devices", "sentence"),
    [
        ({"train__steps": 0}, 1, "train.steps is 0: it must be above 0"),
        ({"optimizer__clip_norm": -1.0}, 1, "optimizer.clip_norm is -1.0: it must be at least 0"),
        ({"optimizer__b2": 1.0}, 1, "optimizer.b2 is 1.0"),
        ({"optimizer__name": "sgd"}, 1, "optimizer.name is 'sgd'"),
        ({"optimizer__schedule": "step"}, 1, "optimizer.schedule is 'step'"),
        ({"optimizer__warmup_steps": 13}, 1, "warmup_steps is 13, but the rate must have decayed by step 12"),
        ({"train__microbatches": 3}, 1, "train.batch_size is 8, which 3 microbatches do not divide"),
        ({"train__microbatches": 2}, 8, "microbatch has 4 examples, which do not divide over the 8 devices"),
        ({"train__eval_batch_size": 12}, 8, "train.eval_batch_size is 12, which does not divide over the 8 devices"),
        ({"mesh__data": 3}, 8, r"mesh has data=3, fsdp=1, tensor=1, which does not fit 8 device\(s\)"),
        ({"mesh__data": 1}, 8, r"does not fit 8 device\(s\)"),
        ({"mesh__fsdp": -1}, 8, "only one may be -1"),
        ({"mesh__tensor": 0}, 8, "each must be at least 1"),
        ({"model__vocab_size": 100}, 1, "model.vocab_size is 100, but the store's tokenizer needs 384 rows"),
        ({"train__length": 33}, 1, "longer than the 32 positions"),
        (
            {"objective": MaskedLM()},
            1,
            "MaskedLM needs a network of kind 'encoder' or 'two_stream', but GPTConfig is of kind 'decoder'",
        ),
        ({"model": T5Config(num_layers=1)}, 1, "needs a network of kind 'decoder'"),
        ({"model": MeshConfig()}, 1, "MeshConfig is no network's config"),
    ],
)
def test_refuses(store: Store, changes: dict, devices: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        resolve(tiny_config(store.directory, **changes), store.vocabulary, devices)
    assert "\n" not in str(caught.value)


def shapes_of(config: object) -> dict[str, tuple[int, ...]]:
    shapes = jax.eval_shape(build(config).init, jax.random.key(0))["params"]
    return {path_string(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(vocab_size=1024, num_layers=2, heads=("token", "pool", "next_sentence")),
        GPTConfig(vocab_size=1024, num_layers=2),
        T5Config(vocab_size=1024, num_layers=2),
        XLNetConfig(vocab_size=1024, num_layers=2),
    ],
    ids=lambda config: type(config).__name__,
)
def test_every_large_parameter_is_split(config: object) -> None:
    """All but vectors and T5's bias tables lie on more than one device, split over both axes if they are matrices."""
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    for path, shape in shapes_of(config).items():
        axes = [axis for entry in spec(path, shape, mesh) for axis in np.ravel(entry) if axis]
        assert len(axes) == len(set(axes)), path
        if int(np.prod(shape)) > 50_000 and "positions" not in path:
            assert set(axes) == {"fsdp", "tensor"}, path
        if "layers/" in path and axes:
            assert spec(path, shape, mesh)[0] is None, f"the layer axis of {path} must stay whole"


def test_axes_that_do_not_divide_are_dropped() -> None:
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, tensor=2))
    assert spec("encoder/layers/mlp/up/kernel", (2, 6, 8), mesh) == jax.P(None, None, "tensor")
    assert spec("embeddings/tokens/embedding", (130, 7), mesh) == jax.P("tensor", None)
    assert spec("embeddings/tokens/embedding", (128, 7), mesh) == jax.P(("tensor", "fsdp"), None)
    assert spec("encoder/layers/mlp_norm/scale", (2, 8), mesh) == jax.P()
    assert all(len(axes) <= 3 for _, axes in RULES)


def test_one_process_reads_all_rows() -> None:
    for mesh in (MeshConfig(), MeshConfig(data=2, fsdp=2, tensor=2)):
        assert local_rows(make_mesh(mesh), 16).tolist() == list(range(16))

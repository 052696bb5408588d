"""Checkpoints: exact, on any devices, and never worse for an interruption, a damage or a full disk."""

import errno
import json
import logging
import resource
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from etils import epath

from plmjax.checkpoints.checkpointer import Checkpointer, find, latest, load_params, read_manifest, restore, steps_in
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.train.config import MeshConfig
from plmjax.train.sharding import make_mesh, tree_shardings
from plmjax.train.state import state_of

OPTIMIZER = optax.scale_by_adam()


def make_state(step: int, width: int = 64) -> State:
    """A state whose numbers depend on the step."""
    rng = np.random.default_rng(step)
    kernel = rng.normal(size=(2, 32, width)).astype(np.float32)
    params = {
        "embeddings": {"tokens": {"embedding": rng.normal(size=(128, 32)).astype(np.float32)}},
        "encoder": {"layers": {"mlp": {"up": {"kernel": kernel, "bias": np.zeros((2, width), np.float32)}}}},
    }
    state = state_of(jax.tree.map(jnp.asarray, params), OPTIMIZER)
    state.step = jnp.int32(step)
    return state


def abstract_on(mesh: jax.sharding.Mesh, state: State) -> State:
    shardings = tree_shardings(state, state.params, mesh)
    return jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), state, shardings)


def assert_equal(one: State, two: State) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, two)


def saved(directory: Path, *steps: int, keep: int = 9, keep_every: int = 0) -> Path:
    """A folder with finished checkpoints of these steps."""
    checkpointer = Checkpointer(directory, keep=keep, keep_every=keep_every)
    for step in steps:
        checkpointer.save(make_state(step), {"config": {"model": 1}})
    checkpointer.close()
    return directory


def one_device() -> jax.sharding.Mesh:
    return make_mesh(MeshConfig(), jax.devices()[:1])


def test_restores_on_any_mesh(tmp_path: Path) -> None:
    state = make_state(3)
    spread = abstract_on(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)), state)
    state = jax.tree.map(lambda x, to: jax.device_put(x, to.sharding), state, spread)
    checkpointer = Checkpointer(tmp_path, keep=1)
    checkpointer.save(state, {"config": {}})
    checkpointer.close()
    for mesh in (one_device(), make_mesh(MeshConfig(data=1, fsdp=8)), make_mesh(MeshConfig(fsdp=2), jax.devices()[:4])):
        abstract = abstract_on(mesh, state)
        found = restore(latest(tmp_path), abstract)
        assert_equal(found, state)
        for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(abstract), strict=True):
            assert leaf.sharding == wanted.sharding


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("here"), 1)
    assert_equal(restore(latest("here"), abstract_on(one_device(), make_state(1))), make_state(1))


def test_saving_does_not_see_later_steps(tmp_path: Path) -> None:
    """The next step overwrites the state's memory while the save is still writing."""
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    state = make_state(1)
    wanted = jax.tree.map(np.array, state)
    checkpointer = Checkpointer(tmp_path, keep=1)
    checkpointer.save(state, {"config": {}})
    for _ in range(20):
        state = overwrite(state)
    checkpointer.close()
    assert_equal(restore(latest(tmp_path), abstract_on(one_device(), wanted)), wanted)


def test_keeps_what_it_should(tmp_path: Path) -> None:
    saved(tmp_path, 10, 20, 30, 40, 50, keep=2, keep_every=20)
    assert steps_in(epath.Path(tmp_path)) == [50, 40, 20]


def test_params_alone_without_a_device(tmp_path: Path) -> None:
    saved(tmp_path / "checkpoints", 4)
    params, manifest = load_params(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, params, jax.tree.map(np.asarray, make_state(4).params))
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(params))
    assert manifest["step"] == 4
    assert manifest["params"]["encoder/layers/mlp/up/kernel"] == [[2, 32, 64], "float32"]
    assert find(tmp_path / "checkpoints" / "4").step == 4
    with pytest.raises(UserError, match="no complete checkpoint"):
        find(tmp_path / "elsewhere")


def test_an_unfinished_step_is_passed_over_and_cleared_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "2" / "manifest.json").unlink()
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    with caplog.at_level(logging.WARNING):
        assert latest(tmp_path).step == 1
    assert "unfinished" in caplog.text
    assert saved(tmp_path, 3)
    assert steps_in(epath.Path(tmp_path)) == [3, 1]


def damage_byte(step: Path) -> None:
    file = max((p for p in step.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def lose_file(step: Path) -> None:
    next(p for p in (step / "params").rglob("*") if p.is_file()).unlink()


def garble_manifest(step: Path) -> None:
    (step / "manifest.json").write_text('{"step": 2, "fil')


@pytest.mark.parametrize("damage", [damage_byte, lose_file, garble_manifest])
def test_a_damaged_step_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object) -> None:
    saved(tmp_path, 1, 2)
    damage(tmp_path / "2")
    with caplog.at_level(logging.WARNING):
        found = latest(tmp_path)
    assert found.step == 1
    assert "damaged" in caplog.text
    assert_equal(restore(found, abstract_on(one_device(), make_state(1))), make_state(1))
    saved(tmp_path, 2)  # the run comes by step 2 again
    assert latest(tmp_path).step == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Orbax's threads that fail as well
def test_a_full_disk_leaves_the_last_good_step(tmp_path: Path) -> None:
    """The system refuses to let a file grow beyond 4 kB, in the middle of the save."""
    saved(tmp_path, 1)
    checkpointer = Checkpointer(tmp_path, keep=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match=r"Could not save step 2 to .*; step 1 is intact"):
            checkpointer.save(make_state(2, width=4096), {"config": {}})
            checkpointer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert steps_in(epath.Path(tmp_path)) == [1]
    assert latest(tmp_path).step == 1
    checkpointer.save(make_state(3), {"config": {}})  # there is room again
    checkpointer.close()
    assert latest(tmp_path).step == 3


def test_no_room_for_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpointer = Checkpointer(tmp_path, keep=1)
    monkeypatch.setattr("plmjax.checkpoints.checkpointer.commit", refuse)
    checkpointer.save(make_state(2), {"config": {}})
    with pytest.raises(UserError, match="the disk is full; step 1 is intact"):
        checkpointer.save(make_state(3), {"config": {}})
    assert steps_in(epath.Path(tmp_path)) == [1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: make_state(1, width=32), r"'encoder/layers/mlp/up/bias' is float32\[2,64\], .* float32\[2,32\]"),
        (
            lambda s: state_of(s.params | {"pooler": {"kernel": jnp.ones(2)}}, OPTIMIZER),
            "lacks the tensor 'pooler/kernel'",
        ),
        (lambda s: state_of({"encoder": s.params["encoder"]}, OPTIMIZER), "has the tensor 'embeddings/tokens"),
        (lambda s: state_of(s.params, optax.trace(0.9)), "another model or optimizer"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, change: object, sentence: str) -> None:
    saved(tmp_path, 1)
    other = change(make_state(1))
    with pytest.raises(UserError, match=sentence):
        restore(latest(tmp_path), abstract_on(one_device(), other))


def test_the_manifest_lists_every_file(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    listed = set(json.loads((tmp_path / "1" / "manifest.json").read_text())["files"])
    present = {str(p.relative_to(tmp_path / "1")) for p in (tmp_path / "1").rglob("*") if p.is_file()}
    assert listed == present - {"manifest.json"}
    assert read_manifest(tmp_path / "1")["config"] == {"model": 1}


def test_loading_takes_no_accelerator(tmp_path: Path) -> None:
    """`load_params` in a process where JAX has no platform that works."""
    saved(tmp_path / "checkpoints", 1)
    code = f"from plmjax.checkpoints.checkpointer import load_params; print(load_params({str(tmp_path)!r})[1]['step'])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={"JAX_PLATFORMS": "cpu", "PATH": "", "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "1", done.stderr

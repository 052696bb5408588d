"""Checkpoints that survive a kill, a full disk and a change of machine.

WORKDIR/checkpoints/<step>/ holds `params/` and `rest/` (Orbax) and, written last, `manifest.json`: what made the run,
the shapes of all tensors, and the size and CRC-32 of every file. A step without a manifest is unfinished, one whose
files differ from it is damaged; both are passed over for the newest good one. Writing runs beside training.
"""

import json
import logging
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from plmjax.checkpoints.config import CheckpointConfig
from plmjax.checkpoints.paths import path_string
from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.working_folder import is_full

log = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(slots=True)
class Checkpoint:
    """A good step on disk."""

    step: int
    path: epath.Path
    manifest: dict[str, Any]


class Checkpointer:
    """Writes and keeps the checkpoints of one run.

    Args:
        directory: WORKDIR/checkpoints; several hosts share it.
        keep: newest checkpoints kept.
        keep_every: steps that this divides are kept as well; 0: none.
    """

    def __init__(self, directory: str | epath.Path, keep: int, keep_every: int = 0) -> None:
        self.directory = epath.Path(directory).absolute()
        self._keep, self._keep_every = keep, keep_every
        self._writer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        self._thread: threading.Thread | None = None
        self._failure: tuple[int, BaseException] | None = None
        logging.getLogger("absl").addFilter(_quiet_orbax)
        _quiet_threads()
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(self.directory)
        _barrier("plmjax_checkpoints_open")

    @classmethod
    def open(cls, directory: str | epath.Path, config: CheckpointConfig) -> "Checkpointer":
        """Opens the checkpoints of a run as its configuration says."""
        return cls(directory, config.keep, config.keep_every)

    def save(self, state: State, manifest: dict[str, Any]) -> None:
        """Begins to write `state`; returns once its arrays have left the device. Every process must call it.

        Args:
            state: after `state.step` batches.
            manifest: JSON to keep with it.

        Raises:
            UserError: the save before this one failed, for instance because the disk is full.
        """
        self.wait()
        step = int(state.step)
        target = self.directory / str(step)
        if jax.process_index() == 0 and target.exists():
            target.rmtree()  # damaged, or of a run that was set back: this state takes its place
        _barrier(f"plmjax_checkpoint_{step}")
        if (
            jax.default_backend() == "cpu"
        ):  # where "leaving the device" copies nothing, and the next step reuses the memory
            state = _copy(state)
        params, rest = nested(state.params), nested({"step": state.step, "rest": _rest(state)})
        manifest = manifest | {
            "format": FORMAT,
            "step": step,
            "params": describe(params),
            "rest": describe(rest),
        }
        try:
            self._writer.save(
                target, args=ocp.args.Composite(params=ocp.args.PyTreeSave(params), rest=ocp.args.PyTreeSave(rest))
            )
        except Exception as error:
            raise self._explained(step, error) from error
        self._thread = threading.Thread(target=self._finish, args=(target, manifest), name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when the last save is complete.

        Raises:
            UserError: it failed; the steps saved before are untouched.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            (step, error), self._failure = self._failure, None
            raise self._explained(step, error) from error

    def failed(self) -> bool:
        """Whether a save has failed since the last `wait`, which then raises."""
        return self._failure is not None

    def close(self) -> None:
        """Waits for the last save and releases the writer."""
        try:
            self.wait()
        finally:
            self._writer.close()

    def latest(self) -> Checkpoint | None:
        """The newest good checkpoint, or None where none was saved; warns about each newer one that is not good.

        Raises:
            UserError: steps were saved and none of them is good.
        """
        found = latest(self.directory)
        if found is None and (steps := steps_in(self.directory)):
            raise UserError(
                f"None of the checkpoints in {self.directory} is whole ({', '.join(map(str, reversed(steps)))}): put "
                "one back from a copy, or start anew in another --workdir."
            )
        return found

    def _finish(self, target: epath.Path, manifest: dict[str, Any]) -> None:
        try:
            self._writer.wait_until_finished()
            if jax.process_index() == 0:
                commit(target, manifest)
                self._prune()
        except BaseException as error:  # raised again, explained, by the next `wait`
            self._failure = int(manifest["step"]), error

    def _prune(self) -> None:
        steps = [step for step in steps_in(self.directory) if (self.directory / str(step) / MANIFEST).exists()]
        for step in steps[self._keep :]:
            if not (self._keep_every and step % self._keep_every == 0):
                path = self.directory / str(step)
                (path / MANIFEST).unlink()  # from here on it is unfinished, whatever interrupts the rest
                path.rmtree()

    def _explained(self, step: int, error: BaseException) -> UserError:
        full = is_full(Path(self.directory), error)
        if jax.process_index() == 0:
            _remove_unfinished(self.directory)
        good = latest(self.directory)
        reason = "the disk is full" if full else f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        left = f"step {good.step} is intact, and running again resumes from it" if good else "no step was saved before"
        return UserError(f"Could not save step {step} to {self.directory}: {reason}; {left}.")


@jax.jit
def _copy(state: State) -> State:
    return jax.tree.map(jnp.copy, state)


def commit(target: epath.Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest, with the checksum of every file, by which a step becomes a checkpoint."""
    files = {str(path.relative_to(target)): _checksum(path) for path in sorted(_files(target))}
    temporary = target / (MANIFEST + ".tmp")
    temporary.write_text(json.dumps(manifest | {"files": files}, indent=1))
    temporary.replace(target / MANIFEST)


def steps_in(directory: epath.Path) -> list[int]:
    """Steps with a folder, newest first, good or not."""
    if not directory.is_dir():
        return []
    return sorted((int(path.name) for path in directory.iterdir() if path.name.isdigit()), reverse=True)


def latest(directory: str | epath.Path) -> Checkpoint | None:
    """The newest good checkpoint in a folder of them, or None; warns about each newer one that is not good."""
    directory = epath.Path(directory)
    for step in steps_in(directory):
        try:
            return Checkpoint(step, directory / str(step), read_manifest(directory / str(step)))
        except UserError as error:
            log.warning("%s It is passed over for the one before.", error)
    return None


def read_manifest(path: str | epath.Path, verify: bool = True) -> dict[str, Any]:
    """The manifest of one step.

    Args:
        path: the step's folder.
        verify: also compare every file with its checksum.

    Raises:
        UserError: the step is unfinished or damaged.
    """
    path = epath.Path(path)
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise UserError(f"The checkpoint {path} is unfinished: it has no {MANIFEST}.") from None
    except (OSError, ValueError):
        raise UserError(f"The checkpoint {path} is damaged: its {MANIFEST} cannot be read.") from None
    for name, wanted in manifest["files"].items() if verify else ():
        file = path / name
        if not file.exists() or _checksum(file) != wanted:
            raise UserError(f"The checkpoint {path} is damaged: {name} is not what was written.")
    return manifest


def restore(checkpoint: Checkpoint, abstract: State) -> State:
    """The state, each array where `abstract` says, on whatever devices there are now.

    Raises:
        UserError: the checkpoint is of another network or optimizer; names the first tensor that differs.
    """
    params, rest = nested(abstract.params), nested({"step": abstract.step, "rest": _rest(abstract)})
    compare(checkpoint.manifest["params"], describe(params), checkpoint.path)
    compare(checkpoint.manifest["rest"], describe(rest), checkpoint.path)
    read = {name: _read(checkpoint.path / name, tree) for name, tree in (("params", params), ("rest", rest))}
    opt_state, nonfinite, in_a_row, memory = _like(read["rest"]["rest"], _rest(abstract))
    return State(read["rest"]["step"], _like(read["params"], abstract.params), opt_state, nonfinite, in_a_row, memory)


def restore_params(checkpoint: Checkpoint, abstract: Any) -> Any:
    """The parameters alone, sharded as `abstract` says. Raises UserError as `restore` does."""
    params = nested(abstract)
    compare(checkpoint.manifest["params"], describe(params), checkpoint.path)
    return _like(_read(checkpoint.path / "params", params), abstract)


def restore_optimizer(checkpoint: Checkpoint, abstract: Any) -> Any:
    """The optimizer's state alone, sharded as `abstract` says. Raises UserError as `restore` does."""
    state = nested({"rest": {"0": abstract}})  # the first of `_rest`
    saved = checkpoint.manifest["rest"]
    compare({name: one for name, one in saved.items() if name.startswith("rest/0/")}, describe(state), checkpoint.path)
    kept = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in saved}
    arguments = ocp.checkpoint_utils.construct_restore_args(state)
    leaves = jax.tree_util.tree_leaves_with_path(arguments, is_leaf=lambda leaf: isinstance(leaf, ocp.RestoreArgs))
    kept |= {path_string(path): argument for path, argument in leaves}
    with ocp.PyTreeCheckpointer() as reader:
        read = reader.restore(checkpoint.path.absolute() / "rest", restore_args=_unflatten(kept))
    return _like(read["rest"].get("0", {}), abstract)


def load_params(path: str | epath.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of a checkpoint as numpy arrays, and its manifest; takes no device.

    Args:
        path: a working folder, its `checkpoints` folder, or one step's folder.

    Raises:
        UserError: there is no good checkpoint.
    """
    checkpoint = find(path)
    with ocp.PyTreeCheckpointer() as reader:
        params = reader.restore(
            checkpoint.path / "params",
            restore_args=_unflatten(
                {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in checkpoint.manifest["params"]}
            ),
        )
    return params, checkpoint.manifest


def find(path: str | epath.Path) -> Checkpoint:
    """The good checkpoint that a path means: a working folder, its `checkpoints` folder (the newest) or one step's.

    Raises:
        UserError: there is none.
    """
    path = epath.Path(path).expanduser().absolute()
    if path.name.isdigit() and path.is_dir():
        return Checkpoint(int(path.name), path, read_manifest(path))
    found = latest(path / "checkpoints") or latest(path)
    if found is None:
        raise UserError(
            f"There is no complete checkpoint in {path}: give a working folder of experiments.pretrain or a step of it."
        )
    return found


def describe(tree: Any) -> dict[str, list[Any]]:
    """{path: [shape, dtype name]} of a tree of arrays or shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_string(path): [list(leaf.shape), str(leaf.dtype)] for path, leaf in leaves}


def compare(saved: dict[str, list[Any]], wanted: dict[str, list[Any]], path: epath.Path) -> None:
    """UserError naming the first tensor that differs between two descriptions."""
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) == wanted.get(name):
            continue
        tensor = f"tensor {name!r}"
        if name not in wanted:
            what = f"it has the {tensor}, which this run lacks"
        elif name not in saved:
            what = f"it lacks the {tensor}, which this run has"
        else:
            what = f"its {tensor} is {_shape(saved[name])}, this run's is {_shape(wanted[name])}"
        raise UserError(
            f"The checkpoint {path} belongs to another model or optimizer: {what}; use its configuration or another "
            "--workdir."
        )


def nested(tree: Any) -> dict[str, Any]:
    """Any pytree as nested dicts of its leaves, by the keys of their paths: files do not depend on its classes."""
    return _unflatten({path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)})


def _unflatten(flat: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, last = path.split("/")
        at = out
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = leaf
    return out


def _like(read: dict[str, Any], example: Any) -> Any:
    """Leaves of nested dicts in the structure of `example`."""
    flat = {path_string(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(read)}
    return jax.tree_util.tree_map_with_path(lambda path, _: flat[path_string(path)], example)


def _rest(state: State) -> tuple[Any, Any, Any, Any]:
    return state.opt_state, state.nonfinite, state.nonfinite_in_a_row, state.memory


def _read(path: epath.Path, tree: dict[str, Any]) -> dict[str, Any]:
    arguments = ocp.checkpoint_utils.construct_restore_args(tree)
    with ocp.PyTreeCheckpointer() as reader:  # which takes no relative path
        return reader.restore(path.absolute(), item=tree, restore_args=arguments)


def _shape(description: list[Any]) -> str:
    return f"{description[1]}[{','.join(str(size) for size in description[0])}]"


def _files(path: epath.Path) -> list[epath.Path]:
    found: list[epath.Path] = []
    for child in path.iterdir():
        found.extend(_files(child) if child.is_dir() else [child] if not child.name.startswith(MANIFEST) else [])
    return found


def _checksum(path: epath.Path) -> list[int]:
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return [size, crc]


def _remove_unfinished(directory: epath.Path) -> None:
    """Deletes what an interrupted save has left: a step without a manifest and Orbax's temporary folders.

    An interrupted save leaves one step at the most, as the next process deletes it. More of them have lost their
    manifests in another way: they stay, for `Checkpointer.latest` to speak of.
    """
    without = [path for path in directory.iterdir() if path.name.isdigit() and not (path / MANIFEST).exists()]
    unfinished = [path for path in directory.iterdir() if ".orbax-checkpoint-tmp" in path.name]
    for path in [*unfinished, *(without if len(without) == 1 else ())]:
        if path.is_dir():
            _remove(path)


def _remove(path: epath.Path, attempts: int = 20) -> None:
    """Deletes a folder where threads of a failed save may still be at work; what stays is unfinished all the same."""
    for _ in range(attempts):
        try:
            path.rmtree()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return


def _quiet_orbax(record: logging.LogRecord) -> bool:
    """Keeps Orbax from printing the tracebacks of its threads: `wait` raises what they met, explained."""
    return "orbax" not in record.pathname or record.levelno < logging.ERROR


def _quiet_threads() -> None:
    """Keeps Python from printing that threads of TensorStore find their event loop closed where a save has failed."""
    show = sys.unraisablehook
    if getattr(show, "__module__", "") == __name__:
        return

    def hook(found: Any) -> None:
        if not (isinstance(found.exc_value, RuntimeError) and str(found.exc_value) == "Event loop is closed"):
            show(found)

    sys.unraisablehook = hook


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import sync_global_devices  # several processes alone need it

        sync_global_devices(name)

"""The run's token store and its two loaders."""

from collections.abc import Iterator
from pathlib import Path

import jax
from jax.sharding import Mesh

from plmjax.data.loader import Batch, Loader
from plmjax.data.store.prepare import prepare
from plmjax.data.store.store import Store
from plmjax.data.windows import Windows
from plmjax.errors import UserError
from plmjax.train.config import Config, DataConfig
from plmjax.train.ramp import make_ramp
from plmjax.train.sharding import local_rows, to_devices

VALIDATION_SEED = 0  # of the validation windows: the same in every run


def store_path(config: DataConfig, workdir: Path) -> Path:
    """Folder of the store."""
    return Path(config.store).expanduser().absolute() if config.store else workdir / "store"


def open_store(config: DataConfig, workdir: Path) -> Store:
    """The store, built first where it does not exist and the configuration says from what.

    Raises:
        UserError: it does not exist and cannot be built, or was made with other options.
    """
    path = store_path(config, workdir)
    if config.store:
        if not path.exists():
            raise UserError(
                f"data.store is {config.store}, and there is no token store: make it with experiments.prepare "
                f"--workdir={config.store}, or correct the path."
            )
        return Store.open(path)  # named by hand: taken as it is, whatever the configuration would have made
    if config.prepare is not None:
        if not path.exists() and jax.process_index() == 0:
            print(f"making the token store {path} from {', '.join(config.prepare.sources)}", flush=True)
        return prepare(config.prepare, path)
    raise UserError("data.store names no token store: make one with experiments.prepare, and set data.store to it.")


class TrainingBatches:
    """The batches of the training split, of the size that the run's ramp gives each step.

    Args:
        config: of the run, resolved.
        store: the tokens.
        mesh: of whose batches this process reads its rows; None: all rows.
    """

    def __init__(self, config: Config, store: Store, mesh: Mesh | None):
        self.ramp = make_ramp(config.train)
        windows = _windows(config, store, "train", config.data.seed)
        if windows.consecutive and len(self.ramp.stages) > 1:
            raise UserError(
                "The batch can't grow for an objective that carries a memory from batch to batch: set "
                "train.ramp_batch_size and train.ramp_tokens to 0."
            )
        self._loaders = {}
        for stage in self.ramp.stages:
            rows = None if mesh is None else local_rows(mesh, stage.batch_size)
            self._loaders[stage] = Loader(
                windows,
                stage.batch_size,
                config.data.seed,
                rows=rows,
                first_step=stage.first_step,
                first_example=stage.first_example,
            )

    def batch(self, step: int) -> Batch:
        """The rows of the batch that is read after `step` updates."""
        return self._loaders[self.ramp.at(step)].batch(step)

    def stream(self, start: int) -> Iterator[Batch]:
        """The batches from `start` on, read ahead of their use."""
        for stage, after in zip(self.ramp.stages, [*self.ramp.stages[1:], None], strict=True):
            for step, batch in self._loaders[stage].stream(max(start, stage.first_step)):
                if after is not None and step >= after.first_step:
                    break
                yield batch

    def epoch(self, step: int) -> float:
        """How often the examples have been read in the first `step` updates."""
        last = self.ramp.stages[-1]
        return self.ramp.examples(step) / (self._loaders[last].steps_per_epoch * last.batch_size)


def validation_loader(config: Config, store: Store, mesh: Mesh) -> Loader:
    """One pass over the validation split in its own order: the rows of this process."""
    size = config.train.eval_batch_size
    windows = _windows(config, store, "validation", VALIDATION_SEED)
    return Loader(windows, size, VALIDATION_SEED, shuffle=False, rows=local_rows(mesh, size))


def _windows(config: Config, store: Store, split: str, seed: int) -> Windows:
    windows = config.objective.windows(store.split(split), store.vocabulary, config.train.length, seed)
    if len(windows) == 0:
        raise UserError(
            f"The {split} split of the store is too small for one example of {config.train.length} tokens: prepare "
            "more text or lower train.length."
        )
    return windows


def validation_batches(config: Config, loader: Loader, mesh: Mesh) -> Iterator[dict[str, jax.Array]]:
    """The validation batches on the devices, the first `eval_batches` of them unless that is 0."""
    count = min(config.train.eval_batches or loader.num_batches, loader.num_batches)
    for number in range(count):
        yield to_devices(loader.batch(number), mesh, config.train.eval_batch_size)

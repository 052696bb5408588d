"""The run's token store and its two loaders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from plmjax.data.loader import Loader
from plmjax.data.prepare import prepare
from plmjax.data.store import MANIFEST_FILE, Store
from plmjax.errors import UserError
from plmjax.train.config import Config, DataConfig
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
    if config.store and (path / MANIFEST_FILE).exists():
        return Store.open(path)  # named by hand: taken as it is, whatever the configuration would have made
    if config.prepare is not None:
        if not path.exists() and jax.process_index() == 0:
            print(f"making the token store {path} from {', '.join(config.prepare.sources)}", flush=True)
        return prepare(config.prepare, path)
    if not path.exists():
        raise UserError(
            f"There is no token store in {path}: set data.store to one, or make it with experiments.prepare."
        )
    return Store.open(path)


def training_loader(config: Config, store: Store, mesh: Mesh | None) -> Loader:
    """Batches of the training split: the rows of this process, or all of them if `mesh` is None."""
    rows = None if mesh is None else local_rows(mesh, config.train.batch_size)
    return _loader(config, store, "train", config.data.seed, config.train.batch_size, rows, shuffle=True)


def validation_loader(config: Config, store: Store, mesh: Mesh) -> Loader:
    """One pass over the validation split in its own order: the rows of this process."""
    size = config.train.eval_batch_size
    return _loader(config, store, "validation", VALIDATION_SEED, size, local_rows(mesh, size), shuffle=False)


def _loader(
    config: Config, store: Store, split: str, seed: int, size: int, rows: np.ndarray | None, *, shuffle: bool
) -> Loader:
    windows = config.objective.windows(store.split(split), store.vocabulary, config.train.length, seed)
    if len(windows) == 0:
        raise UserError(
            f"The {split} split of the store is too small for one example of {config.train.length} tokens: prepare "
            "more text or lower train.length."
        )
    return Loader(windows, size, seed, shuffle=shuffle, rows=rows)


def validation_batches(config: Config, loader: Loader, mesh: Mesh) -> Iterator[dict[str, jax.Array]]:
    """The validation batches on the devices, the first `eval_batches` of them unless that is 0."""
    count = min(config.train.eval_batches or loader.num_batches, loader.num_batches)
    for number in range(count):
        yield to_devices(loader.batch(number), mesh, config.train.eval_batch_size)


def abstract_batch(loader: Any, mesh: Mesh, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a global batch."""
    local = loader.batch(0)
    return {name: jax.ShapeDtypeStruct((batch_size, *value.shape[1:]), value.dtype) for name, value in local.items()}

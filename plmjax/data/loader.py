"""Batches as a pure function of (seed, step): the same on any number of hosts, resumed from one integer.

The only module of the data room that imports JAX, through Grain; it takes no device.
"""

from collections.abc import Iterator, Sequence

import grain
import numpy as np

from plmjax.data.windows import Windows
from plmjax.errors import UserError

Batch = dict[str, np.ndarray]

NO_EXAMPLE = -1  # the example id of a row past the end of one pass


class Loader:
    """Batches of windows.

    The position p = step * batch_size + row of the endless stream of examples holds example
    permutation_{seed, epoch}(p % examples) with epoch = p // examples. The permutation is Grain's index shuffle, which
    needs no memory and is drawn anew in each epoch.

    Windows that are consecutive keep their order instead: they are cut into batch_size equal stretches, and row r of
    step t reads the window t % steps of the r-th, steps being a stretch's windows. `continues` is 0 where t % steps is,
    and 1 elsewhere. Read both ways, they are cut into half as many stretches; the second half of the rows reads each
    from its last token to its first, and has `backward` 1.

    A loader may be one of several that follow each other with batches of other sizes: its step `first_step` then begins
    at the position `first_example` of the stream.

    Args:
        windows: the examples.
        batch_size: rows of the global batch.
        seed: of the permutations.
        shuffle: False reads the windows once, in order: `num_batches` batches, the last filled up with padding rows
            (every segment 0, example id -1).
        rows: the rows of the global batch that this process reads; None reads all.
        first_step, first_example: where the loader takes over from one of another batch size.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rows: Sequence[int] | np.ndarray | None = None,
        first_step: int = 0,
        first_example: int = 0,
    ):
        if batch_size < 1:
            raise UserError(f"A batch of {batch_size} examples is no batch: take 1 or more.")
        self.windows = windows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._offset = first_example - first_step * batch_size
        self.rows = np.arange(batch_size) if rows is None else np.asarray(rows, np.int64)
        if self.rows.size and not (self.rows.min() >= 0 and self.rows.max() < batch_size):
            raise ValueError(f"rows lie in 0..{batch_size - 1}, not {self.rows.min()}..{self.rows.max()}")
        if windows.both_ways and batch_size % 2:
            raise UserError(
                f"A batch of {batch_size} rows has no half to read from the end: take an even number of rows."
            )
        self._streams = batch_size // 2 if windows.both_ways else batch_size
        self._backward = self.rows >= self._streams  # never, unless windows are read both ways
        self._stretch = len(windows) // self._streams  # windows of a row, where they are consecutive
        if windows.consecutive and not self._stretch:
            raise UserError(
                f"There are {len(windows)} windows of text, too few for {self._streams} rows that each read a "
                "stretch of them: lower train.batch_size and train.eval_batch_size, shorten windows or give more text."
            )
        self._examples = self._stretch * batch_size if windows.consecutive else len(windows)
        self._order = grain.MapDataset.source(_Identity(self._examples)).seed(seed % 2**32).shuffle().repeat()

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every example is read once."""
        return self._examples / self.batch_size

    @property
    def num_batches(self) -> int:
        """Batches of one pass in order, the last one filled up."""
        return -(-self._examples // self.batch_size)

    def batch(self, step: int) -> Batch:
        """The batch of one step.

        Returns:
            The windows' fields with a leading axis of len(rows), and `example_ids` and `epochs`, int32 [rows].

        Raises:
            IndexError: without shuffling, a step past the end.
        """
        if step < 0 or (not self.shuffle and step >= self.num_batches):
            raise IndexError(f"step {step} of {self.num_batches}")
        ids, epochs = self._examples_of(step)
        batch = self._read(np.maximum(ids, 0))
        self._blank(batch, ids == NO_EXAMPLE)
        if self.windows.consecutive:
            batch["continues"] = np.full(len(ids), step % self._stretch > 0, np.int32)
        if self.windows.both_ways:
            batch["backward"] = self._backward.astype(np.int32)
        return batch | {"example_ids": ids.astype(np.int32), "epochs": epochs.astype(np.int32)}

    def _read(self, ids: np.ndarray) -> Batch:
        """The windows of the rows, each in the row's direction."""
        if not self._backward.any():
            return self.windows.batch(ids)
        turned = self.windows.batch_backward(ids[self._backward])
        if self._backward.all():
            return turned
        place = np.argsort(np.argsort(self._backward, kind="stable"))  # of each row, once those backward come last
        ahead = self.windows.batch(ids[~self._backward])
        return {name: np.concatenate([ahead[name], turned[name]])[place] for name in ahead}

    def _examples_of(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The example and the epoch of each row."""
        if self.windows.consecutive:
            epoch, at = divmod(step, self._stretch)
            positions = np.where(self.rows < self._streams, at, self._stretch - 1 - at)
            return self.rows % self._streams * self._stretch + positions, np.full(len(self.rows), epoch)
        positions = self._offset + step * self.batch_size + self.rows
        if self.shuffle:
            return np.array(
                [self._order[int(position)] for position in positions], np.int64
            ), positions // self._examples
        return np.where(positions < self._examples, positions, NO_EXAMPLE), np.zeros_like(positions)

    def stream(self, start_step: int = 0, threads: int = 2, ahead: int = 4) -> Iterator[tuple[int, Batch]]:
        """(step, batch) from `start_step` on, read by `threads` threads, `ahead` batches before they are asked for."""
        steps = _Steps(self, start_step)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        return iter(grain.MapDataset.source(steps).to_iter_dataset(options))

    def _blank(self, batch: Batch, empty: np.ndarray) -> None:
        if empty.any():
            for name, values in batch.items():
                values[empty] = self.windows.padding if name == "tokens" else 0


class _Identity:
    """The source 0, 1, ..., which Grain permutes. Not `range`: Grain would look into it for nothing."""

    def __init__(self, count: int):
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return int(index)


class _Steps:
    """The batches from a step on as a source: endless when they are shuffled."""

    def __init__(self, loader: Loader, start: int):
        self._loader = loader
        self._start = start

    def __len__(self) -> int:
        return 2**62 if self._loader.shuffle else max(self._loader.num_batches - self._start, 0)

    def __getitem__(self, index: int) -> tuple[int, Batch]:
        step = self._start + int(index)
        return step, self._loader.batch(step)

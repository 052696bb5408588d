"""Encoding units in this process or, once there is enough text to pay for it, in several.

Processes are spawned, never forked: a fork after JAX has started may hang.
"""

import collections
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from plmjax.data.store import shards
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer

UNITS_IN_PROCESS = 16  # about 32 M characters, some ten seconds of work

Counts = dict[str, dict[str, int]]


def encode_units(
    units: Iterable[shards.Unit], recipe: shards.Recipe, tokenizer: Tokenizer, directory: Path, processes: int
) -> Iterator[Counts]:
    """Writes the shard of each unit, unless it is there. Yields their counts in order.

    Args:
        units: read as needed.
        recipe: how to encode them.
        tokenizer: the tokenizer, for this process.
        directory: where it is saved, for the others.
        processes: how many to use at most.
    """
    units = iter(units)
    alone = units if processes == 1 else itertools.islice(units, UNITS_IN_PROCESS)
    for unit in alone:
        yield shards.finished(unit, recipe) or shards.encode(unit, recipe, tokenizer)
    if (first := next(units, None)) is not None:
        yield from _encode_in_processes(itertools.chain([first], units), recipe, directory, processes)


def _encode_in_processes(
    units: Iterable[shards.Unit], recipe: shards.Recipe, directory: Path, processes: int
) -> Iterator[Counts]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _start, (recipe, directory))
    waiting: collections.deque[Counts | Future[Counts]] = collections.deque()
    try:
        for unit in units:
            waiting.append(shards.finished(unit, recipe) or pool.submit(_encode, unit))
            if len(waiting) > 2 * processes:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(counts: "Counts | Future[Counts]") -> Counts:
    return counts.result() if isinstance(counts, Future) else counts


_state: tuple[shards.Recipe, Tokenizer]  # a worker process's own


def _start(recipe: shards.Recipe, directory: Path) -> None:
    """Readies a worker process. It ends with its parent, even when that is killed."""
    global _state
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _state = recipe, load_tokenizer(directory)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _encode(unit: shards.Unit) -> Counts:
    recipe, tokenizer = _state
    return shards.encode(unit, recipe, tokenizer, threads=1)

"""Several processes, one run: starting them, and agreeing on what each saw alone."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from plmjax.errors import UserError


def start(coordinator: str, processes: int, process_id: int) -> None:
    """Joins the run's processes; call it before anything touches a device.

    Args:
        coordinator: host:port of process 0; empty on TPU pods and under Slurm, where JAX finds it.
        processes: how many take part; -1: found by JAX.
        process_id: this one's number; -1: found by JAX.

    Raises:
        UserError: the others did not come.
    """
    if jax.config.jax_platforms == "cpu":  # type: ignore[attr-defined]
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator or None,
            processes if processes > 0 else None,
            process_id if process_id >= 0 else None,
            initialization_timeout=300,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"The processes did not find each other ({reason}): start the same command on every host."
        ) from error


def agree(flags: dict[str, bool]) -> dict[str, bool]:
    """Each flag that any process has raised; all processes must call it together."""
    if jax.process_count() == 1:
        return flags
    raised = np.asarray(multihost_utils.process_allgather(np.array(list(flags.values()), np.int32)))
    anywhere: Any = raised.reshape(jax.process_count(), -1).any(axis=0)
    return {name: bool(value) for name, value in zip(flags, anywhere, strict=True)}


def first_process_first(work: Callable[[], Any]) -> Any:
    """Runs `work` on process 0, then on the others, which find on the shared disk what it has made."""
    if jax.process_count() == 1:
        return work()
    result = work() if jax.process_index() == 0 else None
    multihost_utils.sync_global_devices("plmjax_first_process_first")
    return result if jax.process_index() == 0 else work()

"""Settings of JAX and XLA for a whole process."""

import os
from pathlib import Path

import jax


def enable_compilation_cache(directory: str) -> None:
    """Keeps compiled programs in `directory` for later runs, unless it is empty or JAX was given a cache already."""
    if directory and not jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(Path(directory).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def use_deterministic_kernels() -> None:
    """Makes GPUs add in a fixed order, which costs some speed; CPUs and TPUs always do.

    Call it before anything touches a device.
    """
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"

"""The tiny store, made once, and compiled programs, kept for the tests that need them again."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.train.kit import make_store


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a token store of some thousand tokens."""
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="package", autouse=True)
def compiled_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of compiled programs that these tests and the processes that they start share."""
    folder = tmp_path_factory.mktemp("compiled")
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    _use_cache(str(folder), 0.3)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    yield folder
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    _use_cache(*before)


def _use_cache(folder: str | None, seconds: float) -> None:
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
    compilation_cache.reset_cache()

"""Eight CPU devices, and the shared data where it is present."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile much and compute little. Without LLVM's optimiser they take half the time, and half of that again
# without the fusion emitters, whose code goes through many passes of MLIR before LLVM sees it.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + (
    " --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

import jax

jax.config.update("jax_num_cpu_devices", 8)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real text and labelled sets: $PLMJAX_DATA_DIR, or ../shared/data beside the repository."""
    path = Path(os.environ.get("PLMJAX_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path}; set PLMJAX_DATA_DIR")
    return path

"""The tensors of a Hugging Face directory, whatever file they are in."""

from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from plmjax.errors import UserError
from plmjax.interop.torch_pickle import read_state_dict
from plmjax.json_files import read_object

SAFETENSORS = "model.safetensors"
TORCH = "pytorch_model.bin"
DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


def read_tensors(directory: Path) -> dict[str, np.ndarray]:
    """Every tensor by its name, floating point as float32.

    Reads model.safetensors, its shards, pytorch_model.bin or its shards: the first that is there.

    Raises:
        UserError: there is none, a shard is missing, or a file is damaged.
    """
    for name, reader in ((SAFETENSORS, _read_safetensors), (TORCH, read_state_dict)):
        index = directory / f"{name}.index.json"
        files = [directory / name] if (directory / name).is_file() else _shards(index) if index.is_file() else []
        if files:
            tensors: dict[str, np.ndarray] = {}
            for file in files:
                tensors |= reader(file)
            return {key: _float32(value) for key, value in tensors.items()}
    raise UserError(
        f"{directory} holds no weights: neither {SAFETENSORS} nor {TORCH} nor the index of their shards is there."
    )


def write_tensors(tensors: dict[str, np.ndarray], directory: Path) -> None:
    """Writes model.safetensors, float32, as PyTorch reads it."""
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    safetensors.numpy.save_file(contiguous, directory / SAFETENSORS, metadata={"format": "pt"})


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        described = safetensors.deserialize(file.read_bytes())
        return {
            name: np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
            for name, tensor in described
        }
    except (safetensors.SafetensorError, KeyError) as error:
        raise UserError(f"{file} can't be read as safetensors ({error}): fetch it again.") from error


def _shards(index: Path) -> list[Path]:
    try:
        files = sorted({str(name) for name in read_object(index)["weight_map"].values()})
    except (KeyError, AttributeError) as error:
        raise UserError(f"{index} is no index of weights ({type(error).__name__}): fetch it again.") from error
    for name in files:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise UserError(f"{index} names the shard {name!r}, which is not beside it: fetch it.")
    return [index.parent / name for name in files]


def _float32(value: np.ndarray) -> np.ndarray:
    integer = value.dtype.kind in "biu"
    return value if integer else np.asarray(value, np.float32)

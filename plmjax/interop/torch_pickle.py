"""Reads `pytorch_model.bin` without PyTorch and without running anything that the file says.

A state dict is a pickle of tensors that refer to storages. The unpickler here knows dictionaries, numbers, strings,
storage types and the two functions that rebuild a tensor, and refuses every other global, so a file can name no code to
run. Both of torch.save's formats are read: the zip archive (since 1.6) and the older sequence of pickles.
"""

import io
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from plmjax.errors import UserError

STORAGE_DTYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
OLD_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format


class _Dict(dict):
    """Stands for collections.OrderedDict; takes the attribute `_metadata` that state dicts carry."""


@dataclass(slots=True)
class _Storage:
    """A flat run of numbers; `data` comes after the pickle in the older format."""

    dtype: Any
    count: int
    data: np.ndarray | None = None


@dataclass(slots=True)
class _Tensor:
    """A view on a storage, not looked at before the storages are there."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The numbers; ValueError when the view leaves its storage."""
        data = self.storage.data
        numbers = (self.offset, *self.shape, *self.strides)
        if data is None or len(self.shape) != len(self.strides) or min(numbers) < 0:
            raise ValueError("a tensor without a storage")
        if 0 in self.shape:
            return np.zeros(self.shape, data.dtype)
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if last >= data.size or int(np.prod(self.shape, dtype=object)) > data.size:
            raise ValueError("a tensor outside its storage")
        steps = [stride * data.itemsize for stride in self.strides]
        return np.array(np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, steps))


class _Unpickler(pickle.Unpickler):
    """Knows storages and tensors, and nothing that acts."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        known = {
            ("collections", "OrderedDict"): lambda *items: _Dict(*items),
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, tuple(shape), tuple(strides)
            ),
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no tensor")
        return known[module, name]

    def persistent_load(self, reference: Any) -> _Storage:
        kind, storage_type, key, _, count, *view = reference
        if kind != "storage" or storage_type not in STORAGE_DTYPES or any(part is not None for part in view):
            raise pickle.UnpicklingError("it holds a storage of an unknown kind")
        return self.storages.setdefault(key, _Storage(STORAGE_DTYPES[storage_type], count))


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file that torch.save wrote of a state dict, by name.

    Raises:
        UserError: the file is damaged, or holds anything but a dictionary of tensors.
    """
    try:
        with path.open("rb") as file:
            state = _read_zip(file) if zipfile.is_zipfile(file) else _read_old(file)
        return {name: tensor.array() for name, tensor in _tensors(state).items()}
    except (pickle.UnpicklingError, zipfile.BadZipFile, ValueError, TypeError, KeyError, EOFError, AttributeError,
            IndexError, ImportError, struct.error) as error:  # fmt: skip
        raise UserError(
            f"{path} is not a plain dictionary of tensors as torch.save writes it ({error}); "
            "save the model as model.safetensors."
        ) from error


def _tensors(state: Any) -> dict[str, _Tensor]:
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise ValueError(f"its entry {str(name)[:60]!r} is no tensor")
    return state


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        unpickler = _Unpickler(io.BytesIO(archive.read(pickled)))
        state = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.data = np.frombuffer(archive.read(f"{root}data/{key}"), storage.dtype)
    return state


def _read_old(file: BinaryIO) -> Any:
    file.seek(0)
    if _Unpickler(file).load() != OLD_MAGIC:
        raise ValueError("it does not begin as torch.save's files do")
    _Unpickler(file).load()  # the protocol's version
    if not _Unpickler(file).load().get("little_endian", True):
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        storage.data = np.frombuffer(file.read(count * np.dtype(storage.dtype).itemsize), storage.dtype, count)
    return state

"""Weight maps: which tensor of Hugging Face is which parameter of plmjax, read in both directions.

Legend: D model width, H heads, K head width, N layers.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from plmjax.errors import UserError

Arrays = list[np.ndarray]


class Transform(NamedTuple):
    """How one tensor is stored on either side; `to_hf(from_hf(x))` is x to the bit."""

    from_hf: Callable[[np.ndarray], Arrays]  # one tensor -> the parameters, several where it is fused
    to_hf: Callable[[Arrays], np.ndarray]


class Entry(NamedTuple):
    """One line of a table.

    Attributes:
        paths: plmjax's, several where one tensor of Hugging Face holds several.
        name: Hugging Face's; "{}" stands for the layer, along which plmjax's are stacked.
        transform: between the two.
        layers: N where the name has a layer in it, else 0.
        aliases: further names under which the same numbers may be stored (tied tables).
        lacking: the first layers that have no such tensor, whose parameters are not read: ones.
        inner: layers of a group where the name has two numbers, "{}.{}", the group's and the layer's in it; else 0.
    """

    paths: tuple[str, ...]
    name: str
    transform: Transform
    layers: int = 0
    aliases: tuple[str, ...] = ()
    lacking: int = 0
    inner: int = 0


SAME = Transform(lambda x: [x], lambda native: native[0])
LINEAR = Transform(lambda x: [x.T], lambda native: native[0].T)  # Hugging Face's [out, in]


def heads_out(heads: int, width: int) -> Transform:
    """A query, key or value kernel: Hugging Face's [H * K, D], plmjax's [D, H, K]."""
    return Transform(lambda x: [x.T.reshape(-1, heads, width)], lambda native: native[0].reshape(-1, heads * width).T)


def heads_bias(heads: int, width: int) -> Transform:
    """Hugging Face's [H * K], plmjax's [H, K]."""
    return Transform(lambda x: [x.reshape(heads, width)], lambda native: native[0].reshape(heads * width))


def heads_in(heads: int, width: int) -> Transform:
    """An output kernel: Hugging Face's [D, H * K], plmjax's [H, K, D]."""
    return Transform(lambda x: [x.T.reshape(heads, width, -1)], lambda native: native[0].reshape(heads * width, -1).T)


def fused_heads_out(heads: int, width: int) -> Transform:
    """Query, key and value side by side in a Conv1D kernel: Hugging Face's [D, 3 * H * K], plmjax's three [D, H, K]."""
    return Transform(
        lambda x: [part.reshape(-1, heads, width) for part in np.split(x, 3, axis=1)],
        lambda native: np.concatenate([part.reshape(-1, heads * width) for part in native], axis=1),
    )


def fused_heads_bias(heads: int, width: int) -> Transform:
    """Hugging Face's [3 * H * K], plmjax's three [H, K]."""
    return Transform(
        lambda x: [part.reshape(heads, width) for part in np.split(x, 3)],
        lambda native: np.concatenate([part.reshape(heads * width) for part in native]),
    )


def conv_heads_in(heads: int, width: int) -> Transform:
    """An output kernel as Conv1D: Hugging Face's [H * K, D], plmjax's [H, K, D]."""
    return Transform(
        lambda x: [x.reshape(heads, width, -1)], lambda native: native[0].reshape(heads * width, native[0].shape[-1])
    )


def rows_from(native: int, hf: int) -> Transform:
    """A position table whose position 0 has the row `native` in plmjax and the row `hf` in Hugging Face's.

    Rows before it that the other side has no place for are dropped, those that it lacks are zeros; nothing but padding
    reads them. Import has native == hf.
    """

    def shift(x: np.ndarray, rows: int) -> np.ndarray:
        return x[-rows:] if rows < 0 else np.concatenate([np.zeros((rows, x.shape[1]), x.dtype), x])

    if native == hf:
        return SAME
    return Transform(lambda x: [shift(x, native - hf)], lambda parts: shift(parts[0], hf - native))


def dense(path: str, name: str, kernel: Transform, layers: int = 0, bias: Transform = SAME) -> list[Entry]:
    """A kernel and its bias."""
    return [
        Entry((f"{path}/kernel",), f"{name}.weight", kernel, layers),
        Entry((f"{path}/bias",), f"{name}.bias", bias, layers),
    ]


def layer_norm(path: str, name: str, layers: int = 0) -> list[Entry]:
    """A norm's scale and bias."""
    return [
        Entry((f"{path}/scale",), f"{name}.weight", SAME, layers),
        Entry((f"{path}/bias",), f"{name}.bias", SAME, layers),
    ]


def import_params(
    table: Sequence[Entry], tensors: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]], ignored: str, where: str
) -> dict[str, Any]:
    """The parameters, a nested dict of float32 numpy arrays, from Hugging Face's tensors.

    Args:
        table: the names of both sides, Hugging Face's as `tensors` spells them.
        tensors: Hugging Face's, by name.
        shapes: the shape that the network gives each path, layers included.
        ignored: pattern of the names that hold nothing learned.
        where: the directory, for messages.

    Raises:
        UserError: names the tensors that are missing or unknown, one of another shape or with numbers that are not
            finite, or two that should be tied and differ.
    """
    used: set[str] = set()
    flat: dict[str, np.ndarray] = {}
    missing: list[str] = []
    for entry in table:
        layers: list[Arrays] = []
        for names in _spelled(entry):
            found = [name for name in names if name in tensors]
            used.update(found)
            if not found:
                missing.append(names[0])
                continue
            _check_finite(found, tensors, where)
            _check_tied(found, tensors, where)
            layers.append(_converted(entry, found[0], tensors[found[0]], shapes, where))
        if not missing:
            for path, *parts in zip(entry.paths, *layers, strict=True):
                unread = [np.ones(shapes[path][1:], np.float32)] * entry.lacking
                flat[path] = np.stack(unread + parts) if entry.layers else parts[0]
    unknown = sorted(name for name in tensors if name not in used and not re.fullmatch(ignored, name))
    if missing:
        raise UserError(
            f"{where} lacks {_listed(missing)}, which its config.json asks for: download it again or correct the "
            "config."
        )
    if unknown:
        raise UserError(
            f"{where} holds {_listed(unknown)}, which the network of its config.json has no place for: "
            "load a pre-training checkpoint."
        )
    return nest({path: np.ascontiguousarray(value, np.float32) for path, value in flat.items()})


def export_params(table: Sequence[Entry], params: dict[str, Any]) -> dict[str, np.ndarray]:
    """Hugging Face's tensors from the parameters; KeyError when one of them is missing."""
    flat = flatten(params)
    tensors: dict[str, np.ndarray] = {}
    for entry in table:
        native = [np.asarray(flat[path]) for path in entry.paths]
        for layer, (name, *_) in enumerate(_spelled(entry), entry.lacking):
            tensors[name] = entry.transform.to_hf([value[layer] for value in native] if entry.layers else native)
    return tensors


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"embeddings/tokens/embedding": leaf, ...} of a nested dict."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}/") if isinstance(value, dict) else {prefix + key: value}
    return flat


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Undoes `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, last = path.split("/")
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = value
    return tree


def _spelled(entry: Entry) -> Iterable[tuple[str, ...]]:
    """The name and its aliases, for each layer that has the tensor."""
    names = (entry.name, *entry.aliases)
    numbers = [divmod(i, entry.inner) if entry.inner else (i,) for i in range(entry.lacking, entry.layers or 1)]
    return [tuple(name.format(*number) for name in names) for number in numbers]


def _converted(entry: Entry, name: str, tensor: np.ndarray, shapes: dict[str, tuple[int, ...]], where: str) -> Arrays:
    """The parameters of one tensor, whose shape must be the one that the parameters' shapes give."""
    wanted = [shapes[path][1 if entry.layers else 0 :] for path in entry.paths]
    needed = entry.transform.to_hf([np.broadcast_to(np.float32(0), shape) for shape in wanted]).shape
    if tensor.shape != needed:
        raise UserError(
            f"The tensor {name} in {where} is {list(tensor.shape)}, but its config.json asks for {list(needed)}."
        )
    return entry.transform.from_hf(tensor)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the tensor{'s' * (len(names) > 1)} {', '.join(names[:3])}{more}"


def _check_finite(names: list[str], tensors: dict[str, np.ndarray], where: str) -> None:
    for name in names:
        tensor = tensors[name]
        if not np.isfinite(np.sum(tensor, dtype=np.float64)) and (count := int(np.sum(~np.isfinite(tensor)))):
            raise UserError(
                f"The tensor {name} in {where} holds NaN or infinite numbers ({count} of {tensor.size}), from which "
                "nothing can be computed: take another checkpoint."
            )


def _check_tied(names: list[str], tensors: dict[str, np.ndarray], where: str) -> None:
    for name in names[1:]:
        if not np.array_equal(tensors[names[0]], tensors[name]):
            raise UserError(
                f"{where} has different numbers in {names[0]} and {name}, which this network shares: "
                "untied tables can't be loaded."
            )

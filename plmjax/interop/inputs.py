"""Checks a caller's inputs before anything is compiled.

Legend: B batch, L length, M predicted tokens, T memory, D model width, N layers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from plmjax.errors import UserError
from plmjax.modules.facts import max_positions_of, position_offset_of, source_vocab_size_of, token_types_of

MASKS = ("attention_mask", "decoder_attention_mask")
TOKENS = ("input_ids", "decoder_input_ids")
LABELS = "labels"  # of what a decoder is to write; -100 where there is no loss
# Numbers of other shapes, and masks that may be of floating point; a list of arrays is stacked.
AXES = {
    "input_mask": "BL",
    "p_mask": "BL",
    "perm_mask": "BLL",
    "target_mapping": "BML",
    "mems": "NTBD",
    "cls_index": "B",
}


def checked_inputs(
    inputs: Mapping[str, Any], architecture: str, allowed: tuple[str, ...], config: Any, optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """The inputs as int32 [B, L], float32 of the shapes in AXES; those that are None are left out, a row for all is
    repeated, masks become 0 and 1.

    Raises:
        UserError: an input that the class `architecture` does not take or lacks, of another shape or dtype, with ids
            outside the tables of `config`, or longer than its positions.
    """
    for name in inputs:
        if name not in allowed:
            raise UserError(f"{architecture} takes no input {name!r}: it takes {', '.join(allowed)}.")
    for name in TOKENS:
        instead = name == "decoder_input_ids" and inputs.get(LABELS) is not None
        if name in allowed and name not in optional and inputs.get(name) is None and not instead:
            raise UserError(f"{architecture} needs the input {name!r}, int [batch, length].")
    arrays = {name: np.asarray(value) for name, value in inputs.items() if value is not None}
    for name, value in arrays.items():
        tokens = arrays[_measure(name, arrays)]
        if name in AXES:
            arrays[name] = _numbers(name, value, tokens, config)
            continue
        _check_shape(name, value, tokens)
        if name not in MASKS:
            _check_range(name, value, config)
        arrays[name] = np.broadcast_to(value != 0 if name in MASKS else value, tokens.shape).astype(np.int32)
    return arrays


def _measure(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The input that has the shape that `name` must have."""
    if name != LABELS and not name.startswith("decoder_"):
        return "input_ids"
    return next(one for one in ("decoder_input_ids", LABELS, "input_ids") if one in arrays)


def _check_shape(name: str, value: np.ndarray, tokens: np.ndarray) -> None:
    integers = value.dtype.kind in "biu" and value.ndim == 2
    if not integers or value.shape not in (tokens.shape, (1, *tokens.shape[1:])):
        needed = list(tokens.shape) if tokens.ndim == 2 else "[batch, length]"
        raise UserError(
            f"The input {name!r} is {value.dtype}{list(value.shape)}, where integers of shape {needed} are needed."
        )


def _numbers(name: str, value: np.ndarray, tokens: np.ndarray, config: Any) -> np.ndarray:
    """float32, or int32 where it is an index; the sizes that the tokens and the network set are checked."""
    axes = AXES[name]
    batch, length = tokens.shape if tokens.ndim == 2 else (None, None)
    sizes = {"B": batch, "L": length, "N": config.num_layers, "D": config.d_model}
    needed = [sizes.get(axis) for axis in axes]
    fits = value.ndim == len(axes) and all(
        size in (None, given) for size, given in zip(needed, value.shape, strict=False)
    )
    is_index = name.endswith("_index")
    if not fits or value.dtype.kind not in ("iu" if is_index else "biuf"):
        shape = ", ".join("any" if size is None else str(size) for size in needed)
        kind = "integers" if is_index else "numbers"
        raise UserError(
            f"The input {name!r} is {value.dtype}{list(value.shape)}, where {kind} of shape [{shape}] are needed."
        )
    if is_index and value.size and not 0 <= value.min() <= value.max() < length:
        raise UserError(f"The input {name!r} holds {value.min()} to {value.max()}, outside 0 to {length - 1}.")
    return value.astype(np.int32 if is_index else np.float32)


def _check_range(name: str, value: np.ndarray, config: Any) -> None:
    longest = max_positions_of(config)
    if longest is not None and value.shape[1] > longest:
        raise UserError(f"{name} is {value.shape[1]} tokens long, but the network has {longest} positions: shorten it.")
    if name in (*TOKENS, LABELS):
        rows = source_vocab_size_of(config) if name == "input_ids" else config.vocab_size
        value = value[value != -100] if name == LABELS else value
    elif name == "token_type_ids":
        if token_types_of(config) is None:
            return  # they only tell one text from another
        rows = max(1, config.token_type_vocab)
    elif name == "langs":
        rows = max(1, config.num_languages)
    else:
        rows = config.max_positions + position_offset_of(config)
    if value.size and not 0 <= value.min() <= value.max() < rows:
        raise UserError(f"The input {name!r} holds {value.min()} to {value.max()}, outside 0 to {rows - 1}.")

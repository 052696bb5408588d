"""What a caller hands a network, checked before anything is compiled. Legend: B batch, L length."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from plmjax.errors import UserError

MASKS = ("attention_mask", "decoder_attention_mask")
TOKENS = ("input_ids", "decoder_input_ids")


def checked_inputs(
    inputs: Mapping[str, Any], architecture: str, allowed: tuple[str, ...], config: Any
) -> dict[str, np.ndarray]:
    """The inputs as int32 [B, L]; those that are None are left out, a row for all is repeated, masks become 0 and 1.

    Raises:
        UserError: an input that the class `architecture` does not take or lacks, of another shape or dtype, with ids
            outside the tables of `config`, or longer than its positions.
    """
    for name in inputs:
        if name not in allowed:
            raise UserError(f"{architecture} takes no input {name!r}: it takes {', '.join(allowed)}.")
    for name in TOKENS:
        if name in allowed and inputs.get(name) is None:
            raise UserError(f"{architecture} needs the input {name!r}, int [batch, length].")
    arrays = {name: np.asarray(value) for name, value in inputs.items() if value is not None}
    for name, value in arrays.items():
        tokens = arrays["decoder_input_ids" if name.startswith("decoder_") else "input_ids"]
        _check_shape(name, value, tokens)
        if name not in MASKS:
            _check_range(name, value, config)
        arrays[name] = np.broadcast_to(value != 0 if name in MASKS else value, tokens.shape).astype(np.int32)
    return arrays


def _check_shape(name: str, value: np.ndarray, tokens: np.ndarray) -> None:
    integers = value.dtype.kind in "biu" and value.ndim == 2
    if not integers or value.shape not in (tokens.shape, (1, *tokens.shape[1:])):
        needed = list(tokens.shape) if tokens.ndim == 2 else "[batch, length]"
        raise UserError(
            f"The input {name!r} is {value.dtype}{list(value.shape)}, where integers of shape {needed} are needed."
        )


def _check_range(name: str, value: np.ndarray, config: Any) -> None:
    longest = getattr(config, "max_positions", None)
    if longest is not None and value.shape[1] > longest:
        raise UserError(f"{name} is {value.shape[1]} tokens long, the network has {longest} positions: shorten it.")
    if name in TOKENS:
        rows = config.vocab_size
    elif name == "token_type_ids":
        rows = max(1, config.token_type_vocab)
    else:
        rows = config.max_positions + getattr(config, "position_offset", 0)
    if value.size and not 0 <= value.min() <= value.max() < rows:
        raise UserError(f"The input {name!r} holds {value.min()} to {value.max()}, outside 0 to {rows - 1}.")

"""The numbers and names of a network's config that no network can have, refused before anything is built."""

import math
from dataclasses import fields
from typing import Any

from plmjax.errors import UserError
from plmjax.modules.layers import ACTIVATIONS

POSITIVE = frozenset({
    "num_layers", "num_decoder_layers", "num_heads", "d_model", "d_ff", "d_kv", "d_cell", "head_width",
    "max_positions", "num_labels", "norm_eps", "source_layers", "character_width",
})  # fmt: skip
NOT_NEGATIVE = frozenset({
    "adapter_width", "embedding_width", "d_embed", "init_std", "position_init_std", "residual_init_scale",
    "memory_length", "reuse_length", "token_type_vocab", "num_languages", "num_highway", "relative_buckets",
    "convolution", "clamp",
})  # fmt: skip
ACTIVATION_FIELDS = frozenset({"activation", "convolution_activation"})
DTYPES = ("float32", "bfloat16", "float16")
OWN_HEAD_WIDTH = frozenset({"d_kv", "head_width"})  # with one of these the heads need not divide d_model


def check_config(name: str, config: Any) -> None:
    """Checks every field of a network's config that has a bound.

    Args:
        name: of its family.
        config: of one network.

    Raises:
        UserError: names the first field that is out of its bounds.
    """
    values = {field.name: getattr(config, field.name) for field in fields(config)}

    def refuse(field: str, remedy: str) -> None:
        raise UserError(f"The {name} config's {field} is {values[field]!r}: {remedy}.")

    for field, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            refuse(field, "it must be a finite number")
        if field in POSITIVE and not value > 0:
            refuse(field, "it must be above 0")
        if field in NOT_NEGATIVE and value < 0:
            refuse(field, "it must be at least 0")
        if field.endswith("dropout") and not 0 <= value < 1:
            refuse(field, "it must be at least 0 and below 1")
        if field in ACTIVATION_FIELDS and value not in ACTIVATIONS:
            refuse(field, f"it must be one of {', '.join(sorted(ACTIVATIONS))}")
        if field == "dtype" and value not in DTYPES:
            refuse(field, f"it must be one of {', '.join(DTYPES)}")
    heads = values.get("num_heads")
    if heads and not OWN_HEAD_WIDTH & values.keys() and values["d_model"] % heads:
        refuse("num_heads", f"it must divide d_model, which is {values['d_model']}")

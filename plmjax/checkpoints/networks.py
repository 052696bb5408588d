"""One network of a checkpoint that holds several."""

from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from plmjax.errors import UserError
from plmjax.modules import build, networks_of
from plmjax.modules.network import CompositeNetwork


def one_network(config: Any, params: dict[str, Any], part: str | None, path: Path) -> tuple[Any, dict[str, Any]]:
    """The config and whole parameters of one of a checkpoint's networks; UserError where it has no such part."""
    networks = networks_of(config)
    if part is not None and part not in networks:
        known = ", ".join(name for name in networks if name) or "one network alone"
        raise UserError(f"The checkpoint {path} has no part {part!r}: it has {known}.")
    if "" in networks:
        return config, params
    name = part or config.kept
    _, whole = cast(CompositeNetwork, build(config)).subnetwork(params, name)
    return networks[name], jax.tree.map(np.asarray, whole)

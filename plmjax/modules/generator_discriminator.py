"""A generator and a discriminator trained together, and what of their embeddings they share.

Any two encoders make a pair: sharing takes tables of one network's parameters into the other's, by path.

Legend: B batch, L length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from plmjax.errors import UserError

# For each way of sharing, the parts of `embeddings/` that the discriminator takes from the generator.
SHARED: dict[str, tuple[str, ...]] = {
    "tied": ("tokens", "positions", "token_types", "norm"),  # ELECTRA's code: the scope electra/embeddings
    "tables": ("tokens", "positions"),  # DeBERTa v3's code (rtd_task.py:123-130): each network has a norm of its own
    "tokens": ("tokens",),
    "disentangled": ("tokens", "positions"),  # DeBERTa v3: without a gradient into the generator, plus a difference
    "none": (),
}


@dataclass(slots=True, unsafe_hash=True)
class GeneratorDiscriminatorConfig:
    """Two networks' configs and how their embeddings are shared.

    "tied": one set of embeddings, their norm too, which both networks' losses train (google-research/electra,
    model/modeling.py:187-220; the paper, Sec. 3.2, ties the tables of tokens and positions). "tables": the two tables
    alone, trained by both losses (DeBERTa v3's ES). "tokens": the token table alone. "disentangled": the
    discriminator's tables are the generator's, kept from its gradient, plus a difference that starts at zero (DeBERTa
    v3, Sec. 3.2: GDES). "none": two sets (NES).
    """

    discriminator: Any
    generator: Any
    sharing: str = "tied"  # a key of SHARED

    kept: ClassVar[str] = "discriminator"  # the network that is of use after training

    @property
    def vocab_size(self) -> int:
        """Rows of the token tables; 0 until the vocabulary is known."""
        return min(self.discriminator.vocab_size, self.generator.vocab_size)

    @property
    def max_positions(self) -> int | None:
        """Positions that both networks have; None where neither counts them."""
        known = [most for one in (self.discriminator, self.generator) if (most := getattr(one, "max_positions", None))]
        return min(known) if known else None

    def networks(self) -> Mapping[str, Any]:
        """The configs of the two by name."""
        return {"generator": self.generator, "discriminator": self.discriminator}


class GeneratorDiscriminator:
    """The two modules over one tree of parameters: `generator/...` and `discriminator/...`.

    What is shared is stored in the generator alone; under "disentangled" the discriminator holds the differences.
    """

    kind: ClassVar[str] = "generator_discriminator"
    frozen: ClassVar[tuple[str, ...]] = ()  # parts that are not trained

    def __init__(self, config: GeneratorDiscriminatorConfig, modules: Mapping[str, Any]) -> None:
        if config.sharing not in SHARED:
            raise UserError(f"model.sharing is {config.sharing!r}; it must be one of {', '.join(SHARED)}.")
        for name, module in modules.items():
            if module.kind != "encoder":
                raise UserError(
                    f"The {name} of a pair must be an encoder, but {type(module.config).__name__} is of kind "
                    f"{module.kind!r}; choose another network."
                )
        self.config, self.modules = config, modules

    def init(self, key: Array) -> dict[str, Any]:
        """{"params": nested dict of float32 arrays}."""
        whole = {
            name: module.init(jax.random.fold_in(key, number))["params"]
            for number, (name, module) in enumerate(self.modules.items())
        }
        generator, discriminator = whole["generator"]["embeddings"], dict(whole["discriminator"]["embeddings"])
        for name in SHARED[self.config.sharing]:
            if name not in discriminator or name not in generator:
                continue
            self._check_shapes(name, generator[name], discriminator[name])
            if self.config.sharing == "disentangled":
                discriminator[name] = jax.tree.map(jnp.zeros_like, discriminator[name])
            else:
                del discriminator[name]
        heads_and_layers = {name: tree for name, tree in whole["discriminator"].items() if name != "embeddings"}
        # Nothing left of the embeddings leaves no trace: a file can't hold an empty folder.
        whole["discriminator"] = heads_and_layers | ({"embeddings": discriminator} if discriminator else {})
        return {"params": whole}

    def subnetwork(self, params: Any, name: str) -> tuple[Any, Any]:
        """(module, its whole parameters) of "generator" or "discriminator"."""
        own = params[name]
        if name == "generator" or not SHARED[self.config.sharing]:
            return self.modules[name], own
        given, left = params["generator"]["embeddings"], own.get("embeddings", {})
        given = {shared: given[shared] for shared in SHARED[self.config.sharing] if shared in given}
        if self.config.sharing == "disentangled":
            held = jax.lax.stop_gradient(given)
            given = {shared: jax.tree.map(jnp.add, held[shared], left[shared]) for shared in given if shared in left}
        return self.modules[name], own | {"embeddings": {**left, **given}}

    def _check_shapes(self, name: str, ours: Any, theirs: Any) -> None:
        one, other = ([leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (ours, theirs))
        if one != other:
            raise UserError(
                f"model.sharing is {self.config.sharing!r}, but embeddings/{name} is {list(one[0])} in the generator "
                f"and {list(other[0])} in the discriminator; make them agree, or share less."
            )

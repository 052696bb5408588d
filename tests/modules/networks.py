"""The tiny networks that these tests share, and how they are called alike."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.modules import FAMILIES, Bound, build

VOCAB = 50
TINY = {
    "albert": ("albert", "tiny"),
    "bart": ("bart", "tiny"),
    "bart_lm": ("bart_lm", "tiny"),
    "bert": ("bert", "tiny"),
    "bert_two_stream": ("bert_two_stream", "tiny"),
    "roberta": ("bert", "roberta_tiny"),
    "ctrl": ("ctrl", "tiny"),
    "deberta": ("deberta", "tiny"),
    "distilbert": ("distilbert", "tiny"),
    "electra": ("electra", "tiny"),
    "gpt1": ("gpt", "gpt1_tiny"),
    "gpt2": ("gpt", "tiny"),
    "gpt3": ("gpt3", "tiny"),
    "gpt_neo": ("gpt_neo", "tiny"),
    "lamda": ("lamda", "tiny"),
    "marian": ("marian", "tiny"),
    "mbart": ("mbart", "tiny"),
    "modernbert": ("modernbert", "tiny"),
    "t5": ("t5", "tiny"),
    "t5_v1_1": ("t5", "tiny_v1_1"),
    "t5_lm": ("t5_lm", "tiny"),
    "t5_prefix_lm": ("t5_prefix_lm", "tiny"),
    "t5_shared": ("t5_shared", "tiny"),
    "transformer_xl": ("transformer_xl", "tiny"),
    "xlm": ("xlm", "tiny"),
    "xlnet": ("xlnet", "tiny"),
}


@dataclass(frozen=True)
class Network:
    """A tiny network under its name in TINY."""

    name: str
    module: Any
    params: Any

    def bound(self, params: Any = None, key: Any = None) -> Bound:
        """Called with its own parameters, or others."""
        return Bound(self.module, self.params if params is None else params, key)


def config(name: str, **fields: Any) -> Any:
    """The config of TINY[name] with `fields` changed."""
    family, variant = TINY[name]
    if family == "bert":
        fields = {"heads": ("token", "next_sentence")} | fields
    # A loop over the layers compiles in a third of the time; test_depth.py says that nothing else changes.
    return replace(FAMILIES[family].variants[variant], vocab_size=VOCAB, **({"unroll": False} | fields))


def network(name: str, **fields: Any) -> Network:
    """TINY[name], its parameters moved off their initial values so that no bias is zero and no scale is one."""
    return _network(name, tuple(sorted(fields.items())))


@lru_cache
def _network(name: str, fields: tuple[tuple[str, Any], ...]) -> Network:
    module = build(config(name, **dict(fields)))
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    # The same numbers for the same tree, whatever the fields say about how it is computed; cheaper than init.
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda s: jnp.asarray(rng.normal(0.0, 0.3, s.shape) + (len(s.shape) < 2), s.dtype), shapes)
    return Network(name, module, params)


def states(bound: Bound, tokens_BL: Any, positions_BL: Any = None, segments_BL: Any = None) -> Any:
    """The last states [B, L, D] of any kind; an encoder-decoder reads the same on both sides."""
    if bound.kind in ("encoder", "two_stream"):
        return bound.encode(tokens_BL, None, positions_BL, segments_BL)
    if bound.kind == "decoder":
        return bound.decode(tokens_BL, positions_BL, segments_BL)
    memory_BSD = bound.encode(tokens_BL, positions_BL, segments_BL)
    return bound.decode(tokens_BL, memory_BSD, segments_BL, positions_BL, segments_BL)


def tokens(batch: int, length: int, seed: int = 0) -> Any:
    """Random ids [batch, length]."""
    return jnp.asarray(np.random.default_rng(seed).integers(1, VOCAB, (batch, length)), jnp.int32)


def paths(tree: Any) -> dict[str, Any]:
    """The leaves of a tree of dicts by their path, a/b/c."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}

"""A scorer without a network, and the words and tiny networks of the tests of decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, Bound, build
from plmjax.tasks.framing import Instance
from plmjax.tasks.scoring import Score, Scorer
from plmjax.tasks.scoring_format import ScoringFormat
from tests.decode.conftest import ROWS, SIZE, WordTokenizer

Likelihood = Callable[[list[int], list[int]], float]


class FakeScorer(Scorer):
    """Scores by a function (context, text) -> log p of token ids; keeps the requests that it was asked."""

    def __init__(self, log_p: Likelihood, kind: str = "decoder", length: int = 64) -> None:
        self.network = SimpleNamespace(kind=kind, module=SimpleNamespace())
        self.tokenizer, self.scoring_format = WordTokenizer(), ScoringFormat()
        self.length = self.room = length
        self.size, self.shown = SIZE, False
        self.is_greedy: Callable[[list[int], list[int]], bool] = lambda context, text: True
        self.asked: list[Instance] = []
        self.hidden: list[bool] = []
        self._log_p = log_p

    def score(self, requests: Sequence[Instance], what: str = "", *, word_l2r: bool = False) -> list[Score]:
        self.asked += requests
        self.hidden.append(word_l2r)
        pairs = [(list(request.context), list(request.text)) for request in requests]
        return [Score(self._log_p(*pair), len(pair[1]), self.is_greedy(*pair)) for pair in pairs]


@pytest.fixture(scope="session")
def words() -> WordTokenizer:
    return WordTokenizer()


def tiny(family: str, variant: str, **changes: Any) -> Bound:
    """A tiny network of any family whose scores depend on all that it reads."""
    module = build(replace(FAMILIES[family].variants[variant], vocab_size=ROWS, unroll=False, **changes))
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    generator = np.random.default_rng(3)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = path[-1].key
        std = 2 * leaf.shape[-2] ** -0.5 if name == "kernel" else 1.0 if name == "embedding" else 0.1
        return jnp.asarray(generator.normal(0, std, leaf.shape) + (name == "scale"), jnp.float32)

    return Bound(module, jax.tree_util.tree_map_with_path(draw, shapes))

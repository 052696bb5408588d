"""Tiny random networks, and a tokenizer of whole words, for the tests of decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.decode import Sampling
from plmjax.modules import FAMILIES, Bound, build

SPECIALS = {"pad": 0, "eos": 1, "unk": 2, "cls": 3, "sep": 4, "mask": 5}
SENTINELS = (99, 98, 97)
SIZE, ROWS = 100, 128
SAMPLED = Sampling(temperature=1.5, top_k=60, top_p=0.97)  # one setting everywhere, so that compilations are shared


class WordTokenizer(Tokenizer):
    """Words parted by white space: the ids 6 to 96 are w6 to w96."""

    kind = "words"

    def __init__(self) -> None:
        self.vocabulary = make_vocabulary(SIZE, SPECIALS, SENTINELS)
        self.special_names = {token: f"[{name.upper()}]" for name, token in SPECIALS.items()}
        self.special_names |= {token: f"<extra_id_{i}>" for i, token in enumerate(SENTINELS)}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        return [[self._id(word) for word in text.split()] for text in texts]

    def piece(self, token: int) -> str:
        return self.special_names.get(token, f"w{token}")

    def _id(self, word: str) -> int:
        number = int(word[1:]) if word[1:].isdigit() else 2
        return number if word == f"w{number}" and number not in self.special_names else 2

    def _decode_non_special(self, ids: list[int]) -> str:
        return " ".join(map(self.piece, ids))

    def _files(self) -> dict[str, bytes]:
        return {}

    def _metadata(self) -> dict[str, object]:
        return {}


def tiny(family: str, variant: str, **changes: Any) -> Bound:
    """A tiny network with weights so large that what it writes depends on all that it reads.

    They are drawn by numpy, which saves the compilation of `init`, and depth is scanned to compile sooner.
    """
    module = build(replace(FAMILIES[family].variants[variant], vocab_size=ROWS, unroll=False, **changes))
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    generator = np.random.default_rng(3)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key == "scale":
            return jnp.ones(leaf.shape)
        std = {"bias": 0.1, "embedding": 1.0}.get(path[-1].key) or 2 * leaf.shape[-2] ** -0.5
        return jnp.asarray(generator.normal(0, std, leaf.shape), jnp.float32)

    return Bound(module, jax.tree_util.tree_map_with_path(draw, shapes))


@pytest.fixture(scope="session")
def words() -> WordTokenizer:
    return WordTokenizer()


@pytest.fixture(scope="session")
def bert() -> Bound:
    return tiny("bert", "tiny")


@pytest.fixture(scope="session")
def gpt1() -> Bound:
    return tiny("gpt", "gpt1_tiny")


@pytest.fixture(scope="session")
def gpt2() -> Bound:
    return tiny("gpt", "tiny")


@pytest.fixture(scope="session")
def t5() -> Bound:
    return tiny("t5", "tiny_v1_1")


@pytest.fixture(params=["gpt1", "gpt2", "t5"])
def writer(request: pytest.FixtureRequest) -> Bound:
    """Each of the networks that continue a text."""
    return request.getfixturevalue(request.param)


def rectangle(prompts: list[list[int]], left: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and segments, padded with 7, which is no padding id, so that reading the padding would show."""
    longest = max(map(len, prompts))
    fill = [[7] * (longest - len(prompt)) for prompt in prompts]
    blank = [[0] * (longest - len(prompt)) for prompt in prompts]
    ones = [[1] * len(prompt) for prompt in prompts]
    if left:
        pairs = [f + p for f, p in zip(fill, prompts, strict=True)], [b + o for b, o in zip(blank, ones, strict=True)]
    else:
        pairs = [p + f for f, p in zip(fill, prompts, strict=True)], [o + b for b, o in zip(blank, ones, strict=True)]
    return np.asarray(pairs[0]), np.asarray(pairs[1])

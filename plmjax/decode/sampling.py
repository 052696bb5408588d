"""Sampling the next token from logits: temperature, top-k, top-p, forbidden ids; pure functions.

Legend: B rows of the batch, V vocabulary rows (padding rows included). Logits are float32; a token
that is ruled out has the logit -inf, and a row keeps at least one token.

The order is temperature, then top-k, then top-p, as in Hugging Face `transformers`. Top-k sampling
is Fan et al. 2018 ("Hierarchical Neural Story Generation", Sec. 5), top-p (nucleus) sampling
Holtzman et al. 2020 ("The Curious Case of Neural Text Degeneration", Sec. 3.1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Sampling:
    """The settings of sampling. Hashable, so that they can be a static argument of a jitted function.

    Raises:
        ValueError: a number out of its range.
    """

    temperature: float = 1.0  # logits are divided by it; 0 takes the likeliest token (greedy)
    top_k: int | None = None  # keep the k likeliest tokens; None keeps all
    top_p: float | None = None  # keep the smallest set of tokens whose mass reaches p; None keeps all

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}: give 0 (greedy) or a positive number.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}: give 1 or more, or leave it out to keep every token.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give a number over 0 and up to 1.")


GREEDY = Sampling(temperature=0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class SampleAndRank:
    """Sampling of several candidates, of which the likeliest is kept (Adiwardana et al. 2020, Sec. 2.4).

    Meena has 20 at temperature 0.88. A candidate's likelihood is the network's own, without temperature, filters and
    processors.

    Raises:
        ValueError: fewer than two candidates, or a temperature of 0, at which all are the same.
    """

    sampling: Sampling = Sampling(temperature=0.88)
    candidates: int = 20

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ValueError(f"best_of is {self.candidates}: give 2 or more candidates to choose from.")
        if self.sampling.temperature == 0:
            raise ValueError(f"At temperature 0 all {self.candidates} candidates are the same: raise the temperature.")


def allowed_tokens(rows: int, size: int, forbidden: Iterable[int] = ()) -> np.ndarray:
    """Which of the table's rows may be drawn: bool [rows], False for rows >= size and for the
    forbidden ids.

    Raises:
        ValueError: nothing is left to draw, or `size` exceeds the table.
    """
    if not 0 < size <= rows:
        raise ValueError(f"The vocabulary's size {size} does not fit a table of {rows} rows.")
    allowed_V = np.arange(rows) < size
    allowed_V[[i for i in forbidden if i < rows]] = False
    if not allowed_V.any():
        raise ValueError(f"All {size} tokens of the vocabulary are forbidden, so none can be drawn.")
    return allowed_V


def keep_top_k(logits_BV: jax.Array, k: int) -> jax.Array:
    """Rules out every token with a logit under the k-th highest; ties with the k-th stay, as in
    `transformers`."""
    if k >= logits_BV.shape[-1]:
        return logits_BV
    rank_BV = _ordered_bits(logits_BV)
    least_B1 = _threshold(rank_BV, jnp.ones_like(rank_BV), k)
    return jnp.where(rank_BV < least_B1, -jnp.inf, logits_BV)


def keep_top_p(logits_BV: jax.Array, p: float) -> jax.Array:
    """Keeps the smallest set of likeliest tokens whose probability reaches p, the token that
    crosses p included.

    Among equally likely tokens the lower id comes first.
    """
    if p >= 1:  # rounding of the running sum must not cut the tail
        return logits_BV
    mass_BV = jax.nn.softmax(logits_BV, axis=-1)
    rank_BV = _ordered_bits(logits_BV)
    least_B1 = _threshold(rank_BV, mass_BV, p)
    over_B1 = jnp.sum(jnp.where(rank_BV > least_B1, mass_BV, 0), axis=-1, keepdims=True)
    equal_BV = rank_BV == least_B1
    equals_before_BV = jnp.cumsum(equal_BV, axis=-1) - 1
    needed_BV = over_B1 + equals_before_BV * mass_BV < p
    return jnp.where((rank_BV > least_B1) | (equal_BV & needed_BV), logits_BV, -jnp.inf)


def _ordered_bits(x: jax.Array) -> jax.Array:
    """uint32 numbers in the order of the float32 ones."""
    bits = jax.lax.bitcast_convert_type(x + 0.0, jnp.uint32)  # + 0.0 makes -0.0 equal to 0.0
    sign = jnp.uint32(1 << 31)
    return jnp.where(bits & sign, ~bits, bits | sign)


def _threshold(rank_BV: jax.Array, weight_BV: jax.Array, target: float) -> jax.Array:
    """The highest rank [B, 1] at and over which the tokens' weights sum up to `target`; 0 where they never do.

    Found bit by bit: 32 passes over the vocabulary, which on a CPU took a fiftieth of the time of a sort.
    """

    def try_bit(i: jax.Array, rank_B1: jax.Array) -> jax.Array:
        higher_B1 = rank_B1 | (jnp.uint32(1 << 31) >> i.astype(jnp.uint32))
        reached_B1 = jnp.sum(jnp.where(rank_BV >= higher_B1, weight_BV, 0), axis=-1, keepdims=True)
        return jnp.where(reached_B1 >= target, higher_B1, rank_B1)

    return jax.lax.fori_loop(0, 32, try_bit, jnp.zeros((rank_BV.shape[0], 1), jnp.uint32))


def filter_logits(logits_BV: jax.Array, sampling: Sampling) -> jax.Array:
    """The logits that a token is drawn from, float32 [B, V]: -inf for whatever can't be drawn.

    At temperature 0 they stay as they are, for the likeliest token passes every filter.
    """
    logits_BV = logits_BV.astype(jnp.float32)
    if sampling.temperature == 0:
        return logits_BV
    logits_BV = logits_BV / sampling.temperature
    if sampling.top_k is not None:
        logits_BV = keep_top_k(logits_BV, sampling.top_k)
    if sampling.top_p is not None:
        logits_BV = keep_top_p(logits_BV, sampling.top_p)
    return logits_BV


def _first_highest(logits_BV: jax.Array) -> jax.Array:
    """argmax over V, int32 [B], in two passes, which take a CPU a fifth of the time of XLA's one."""
    lower_BV = logits_BV < jnp.max(logits_BV, axis=-1, keepdims=True)
    index_BV = jax.lax.broadcasted_iota(jnp.int32, logits_BV.shape, 1)
    return jnp.min(jnp.where(lower_BV, logits_BV.shape[1], index_BV), axis=-1)


def sample(keys_B: jax.Array, logits_BV: jax.Array, sampling: Sampling) -> jax.Array:
    """One token a row, int32 [B], each row with its own key so that no row depends on its
    neighbours."""
    logits_BV = filter_logits(logits_BV, sampling)
    if sampling.temperature == 0:
        return _first_highest(logits_BV)
    return jax.vmap(jax.random.categorical)(keys_B, logits_BV).astype(jnp.int32)

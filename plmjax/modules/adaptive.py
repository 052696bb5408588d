"""Adaptive input embeddings and softmax: the rarer a token, the narrower its vector (Grave et al. 2016; Baevski and
Auli 2018), as Transformer-XL has them (Dai et al. 2019, Sec. 4.1).

The vocabulary, its frequent tokens first, is cut into clusters. Cluster 0, the shortlist, is scored together with one
class for each of the others; the tokens of those are scored among themselves.

Legend: B batch, L length, D model width, E embedding width of a cluster, V vocabulary rows, C clusters.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from plmjax.modules.heads import TokenHead
from plmjax.modules.layers import Dense, Embed, Initializer


class AdaptiveHead(NamedTuple):
    """Scores of the shortlist with the C - 1 classes of clusters after it, then of each cluster's own tokens."""

    clusters: tuple[TokenHead, ...]

    def logits(self) -> Array:
        """float32 [..., V]: log probabilities."""
        tails = len(self.clusters) - 1
        head = jax.nn.log_softmax(self.clusters[0].logits())
        shortlist = head.shape[-1] - tails
        parts = [head[..., :shortlist]]
        for number, cluster in enumerate(self.clusters[1:]):
            parts.append(head[..., shortlist + number, None] + jax.nn.log_softmax(cluster.logits()))
        return jnp.concatenate(parts, axis=-1)


class Clusters(NamedTuple):
    """The clusters that a vocabulary is cut into.

    Attributes:
        vocab_size: V.
        cutoffs: first token of each cluster but the shortlist; none: one softmax over everything.
        width: E of the shortlist.
        divisor: each cluster's vectors are narrower than those before by this; 1: one table for all.
    """

    vocab_size: int
    cutoffs: tuple[int, ...]
    width: int
    divisor: int

    def projects(self, features: int) -> bool:
        """Whether vectors of the model's width `features` have to be made of the tables' rows."""
        return self.divisor > 1 or self.width != features

    def bounds(self) -> list[tuple[int, int]]:
        """First token and end of each cluster. ValueError where the cutoffs do not rise within the vocabulary."""
        ends = (0, *self.cutoffs, self.vocab_size)
        if list(ends) != sorted(set(ends)):
            raise ValueError(f"cutoffs {self.cutoffs} must rise from above 0 to below the {self.vocab_size} tokens")
        return list(itertools.pairwise(ends))

    def widths(self) -> list[int]:
        """E of each cluster's table, or of the one table. ValueError where the divisor leaves nothing."""
        tables = len(self.cutoffs) + 1 if self.divisor > 1 else 1
        widths = [self.width // self.divisor**number for number in range(tables)]
        if widths[-1] < 1:
            raise ValueError(f"embed_divisor {self.divisor} leaves nothing of width {self.width} for the last cluster")
        return widths


class Projection(nn.Module):
    """A linear map `kernel` [E, D] without bias, and its transpose."""

    inputs: int
    features: int
    kernel_init: Initializer

    def setup(self) -> None:
        self.kernel = self.param("kernel", self.kernel_init, (self.inputs, self.features), jnp.float32)

    def __call__(self, x: Array) -> Array:
        """[..., E] -> [..., D]."""
        return jnp.einsum("...e,ed->...d", x, self.kernel.astype(x.dtype))

    def transposed(self, x: Array) -> Array:
        """[..., D] -> [..., E]."""
        return jnp.einsum("...d,ed->...e", x, self.kernel.astype(x.dtype))


class AdaptiveEmbeddings(nn.Module):
    """`tokens/embedding` [V, E], or one `tokens_i/embedding` a cluster; and `projection_i/kernel` [E, D] to each.

    A single table as wide as the model has no projection.
    """

    clusters: Clusters
    features: int
    embedding_init: Initializer
    projection_init: Initializer
    dtype: Any = jnp.float32

    def setup(self) -> None:
        c = self.clusters
        if c.divisor == 1:
            self.tokens: Any = Embed(c.vocab_size, c.width, self.embedding_init, self.dtype)
        else:
            self.tokens = [
                Embed(end - first, width, self.embedding_init, self.dtype)
                for (first, end), width in zip(c.bounds(), c.widths(), strict=True)
            ]
        if c.projects(self.features):
            self.projection = [Projection(width, self.features, self.projection_init) for width in c.widths()]

    def __call__(self, tokens_BL: Array) -> Array:
        """[B, L, D], times sqrt(D)."""
        c = self.clusters
        if c.divisor == 1:
            x_BLD = self._project(0, self.tokens(tokens_BL))
        else:
            x_BLD = jnp.zeros((*tokens_BL.shape, self.features), self.dtype)
            for number, (first, end) in enumerate(c.bounds()):
                # Past the last cluster a row must stay a wrong one, which Embed makes NaN.
                last = number == len(c.cutoffs)
                own_BL = (tokens_BL >= first) if last else (tokens_BL >= first) & (tokens_BL < end)
                rows_BL = jnp.where(own_BL, tokens_BL - first, 0)
                x_BLD = jnp.where(own_BL[..., None], self._project(number, self.tokens[number](rows_BL)), x_BLD)
        return x_BLD * jnp.asarray(self.features**0.5, self.dtype)

    def tables(self) -> list[Array]:
        """Each cluster's rows, float32 [its tokens, E]."""
        if self.clusters.divisor == 1:
            whole = self.tokens.table()
            return [whole[first:end] for first, end in self.clusters.bounds()]
        return [table.table() for table in self.tokens]

    def narrowed(self, number: int, x: Array) -> Array:
        """x [..., D] through the transpose of the projection of a cluster, or of all: [..., E]."""
        return self.projection[min(number, len(self.projection) - 1)].transposed(x)

    def _project(self, number: int, x: Array) -> Array:
        return self.projection[number](x) if self.clusters.projects(self.features) else x


class AdaptiveTokenHead(nn.Module):
    """Scores by the tables of an `AdaptiveEmbeddings`.

    Parameters: `bias` [V], or one `bias_i` a cluster where each has its table; `clusters/embedding` [C - 1, E] and
    `clusters/bias`, the classes of the clusters after the shortlist; and `projection_i/kernel` [D, E] for the clusters
    that do not use the embeddings' own: the first, or all unless `tie_projections`.
    """

    clusters: Clusters
    features: int
    tie_projections: bool
    embedding_init: Initializer
    projection_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, embeddings: AdaptiveEmbeddings) -> TokenHead | AdaptiveHead:
        c = self.clusters
        heads = [
            TokenHead(self._narrowed(number, x, embeddings), table, bias)
            for number, (table, bias) in enumerate(zip(embeddings.tables(), self._biases(), strict=True))
        ]
        if not c.cutoffs:
            return heads[0]
        classes = _Classes(len(c.cutoffs), c.width, self.embedding_init, name="clusters")
        return AdaptiveHead((classes(heads[0]), *heads[1:]))

    def _narrowed(self, number: int, x: Array, embeddings: AdaptiveEmbeddings) -> Array:
        c = self.clusters
        if not c.projects(self.features):
            return x
        if number > 0 and self.tie_projections:
            return embeddings.narrowed(number, x)
        width = c.width // c.divisor**number
        make = {"use_bias": False, "kernel_init": self.projection_init, "dtype": self.dtype}
        return Dense(width, name=f"projection_{number}", **make)(x)

    def _biases(self) -> list[Array]:
        c, zeros = self.clusters, nn.initializers.zeros_init()
        if c.divisor == 1:
            bias_V = self.param("bias", zeros, (c.vocab_size,), jnp.float32)
            return [bias_V[first:end] for first, end in c.bounds()]
        return [
            self.param(f"bias_{number}", zeros, (end - first,), jnp.float32)
            for number, (first, end) in enumerate(c.bounds())
        ]


class _Classes(nn.Module):
    """`embedding` [count, E] and `bias` [count]: one class a cluster, after the shortlist's."""

    count: int
    width: int
    embedding_init: Initializer

    @nn.compact
    def __call__(self, shortlist: TokenHead) -> TokenHead:
        table = self.param("embedding", self.embedding_init, (self.count, self.width), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.count,), jnp.float32)
        return TokenHead(
            shortlist.h, jnp.concatenate([shortlist.table, table]), jnp.concatenate([shortlist.bias, bias])
        )

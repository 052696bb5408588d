"""What the comparisons with the restated data codes share: a corpus, many draws under one jit, a chi-square test."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary, make_vocabulary

DRAWS = 10_000
BOUND = 1e-4  # p-value under which two samples count as drawn from different distributions; seeds are fixed
RARE = 10  # categories with fewer draws than this, both samples together, are counted as one

PAD, EOS, UNK, BOS, CLS, SEP, MASK = range(7)
ORDINARY = range(7, 100)
SENTINELS = range(119, 99, -1)


def a_vocabulary(ordinary: int = len(ORDINARY)) -> Vocabulary:
    """Special ids 0 to 6, then ordinary ones of which the even ones begin a word; the top 20 of 120 are sentinels."""
    specials = {"pad": PAD, "eos": EOS, "unk": UNK, "bos": BOS, "cls": CLS, "sep": SEP, "mask": MASK}
    others = range(7 + ordinary, 100)
    return make_vocabulary(120, specials, SENTINELS, others, word_start=[i % 2 == 0 for i in range(120)])


def a_split(documents: list[list[list[int]]], **fields) -> Split:
    """Documents of sentences of tokens, as a store's split."""
    sentences = [sentence for document in documents for sentence in document]
    starts = np.concatenate([[0], np.cumsum([len(sentence) for sentence in sentences])])
    first = np.concatenate([[0], np.cumsum([len(document) for document in documents])])
    return Split(np.concatenate(sentences).astype(np.uint16), starts[first], starts, **fields)


def random_documents(seed: int, count: int, sentences=(1, 9), tokens=(1, 25)) -> list[list[list[int]]]:
    """Documents of random sizes within half-open ranges, of ordinary tokens."""
    rng = np.random.default_rng(seed)
    return [
        [rng.integers(7, 100, rng.integers(*tokens)).tolist() for _ in range(rng.integers(*sentences))]
        for _ in range(count)
    ]


def draw(function, seed: int = 0, count: int = DRAWS):
    """`count` results of a function of a key, as numpy arrays, under one jit."""
    keys = jax.random.split(jax.random.key(seed), count)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(function))(keys))


def corruptions(objective, example, vocabulary, seed: int = 0):
    """10,000 corruptions of one example by the project's own code."""
    example = jax.tree.map(jnp.asarray, example)
    return draw(lambda key: objective.corrupt(key, example, vocabulary), seed)


def window(*texts, types=None, length: int | None = None) -> dict[str, np.ndarray]:
    """One example of these tokens, with the fields that windows of one row have."""
    tokens = np.concatenate([np.asarray(text, np.int32) for text in texts])
    length = length or len(tokens)
    filled = np.full(length, PAD, np.int32)
    filled[: len(tokens)] = tokens
    segments = (np.arange(length) < len(tokens)).astype(np.int32)
    example = {"tokens": filled, "positions": np.arange(length, dtype=np.int32), "segments": segments}
    return example | ({} if types is None else {"token_types": np.asarray(types, np.int32)})


def p_value(first, second) -> float:
    """How likely two samples [N, ...] differ at least so much if their rows come from one distribution (chi-square).

    Each distinct row is a category; those that hardly occur are one category together.
    """
    first, second = (np.asarray(rows).reshape(len(rows), -1) for rows in (first, second))
    assert first.shape[1:] == second.shape[1:], (first.shape, second.shape)
    _, kind = np.unique(np.concatenate([first, second]), axis=0, return_inverse=True)
    counts = np.stack([np.bincount(part, minlength=kind.max() + 1) for part in np.split(kind.ravel(), [len(first)])])
    is_rare = counts.sum(0) < RARE
    counts = np.concatenate([counts[:, ~is_rare], counts[:, is_rare].sum(1, keepdims=True)], axis=1)
    counts = counts[:, counts.sum(0) > 0]
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    degrees = counts.shape[1] - 1
    assert degrees > 0 or len(first) == 0 or (counts[:, 0] > 0).all(), "one category alone, and not in both"
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), degrees)) if degrees else 1.0


def joined(*fields) -> np.ndarray:
    """Fields [N, ...] side by side, as rows to be compared."""
    return np.concatenate([np.asarray(field).reshape(len(field), -1).astype(np.int64) for field in fields], axis=1)


def filled(rows, length: int, value: int = -1) -> np.ndarray:
    """Lists of different lengths as rows of one."""
    found = np.full((len(rows), length), value, np.int64)
    for row, values in zip(found, rows, strict=True):
        row[: len(values)] = values
    return found

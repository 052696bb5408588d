"""DeBERTa's masks are those of the released data code (see deberta_data.py): chosen tokens field by field from the same
random numbers, whole rows in distribution.

On purpose: a random replacement is an ordinary token, where the released one is any of the vocabulary; of the last
word, which passes the budget, at most eight pieces are masked; windows are whole sentences with a [SEP] between
documents, where the released ones are blocks of tokens of the whole text.
"""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import deberta, deberta_v3
from plmjax.noise.ngrams import choose_ngrams_by_window, ngram_shares
from tests.oracles import deberta_data
from tests.oracles.kit import BOUND, CLS, DRAWS, MASK, SEP, UNK, a_vocabulary, corruptions, joined, p_value, window

ORDINARY = [7, 8, 9]
STARTS = [i % 2 == 0 for i in range(120)]


class Given(random.Random):
    """The random numbers of a key, as `choose_ngrams_by_window` draws them."""

    def __init__(self, key, count, longest, window):
        super().__init__()
        size_key, place_key = jax.random.split(key)
        shares = jnp.asarray(ngram_shares(longest), jnp.float32)
        self.sizes = iter(np.asarray(jax.random.choice(size_key, longest, (count,), p=shares)).tolist())
        self.places = iter(np.asarray(jax.random.uniform(place_key, (count,))).tolist())
        self.below = np.cumsum([0, *ngram_shares(longest)])

    def random(self):
        size = next(self.sizes)
        return (self.below[size] + self.below[size + 1]) / 2

    def randint(self, low, high):
        return low + int(np.float32(next(self.places)) * np.float32(high - low + 1))


@pytest.mark.parametrize("longest", [1, 3])
@pytest.mark.parametrize("length", [9, 64, 200])
def test_chosen_tokens_are_equal_field_by_field(longest, length):
    """Of texts with separators, unknown and continuing pieces, from the same random numbers; one run in each window."""
    rng = np.random.default_rng(length)
    choose = jax.jit(choose_ngrams_by_window, static_argnames="window")
    shares, budget = ngram_shares(longest), max(1, round(0.15 * length))
    for number in range(30):
        text = [CLS, *rng.choice([SEP, UNK, *range(7, 60)], length - 2).tolist(), SEP]
        key = jax.random.key(number)
        words = deberta_data.words_of(text, longest, STARTS)
        count = -(-length // 6)
        chosen = deberta_data.chosen_words(len(words), longest, 6, Given(key, count, longest, 6))
        expected: list[int] = []
        for is_chosen, word in zip(chosen, words, strict=True):
            if is_chosen and len(expected) < budget:
                expected += word
        candidates = np.isin(text, [CLS, SEP, UNK], invert=True)
        starts = np.array(STARTS)[text] | (longest == 1)
        found = choose(key, jnp.asarray(candidates), jnp.asarray(starts), budget, shares, window=6)
        assert np.flatnonzero(found).tolist() == expected


def batches(masking, text):
    """10,000 masks of a text by the project's code, as rows of tokens and labels (0: not predicted)."""

    class Alone:
        corrupt = staticmethod(masking.corrupt)

    batch = corruptions(Alone, window(text, types=np.zeros(len(text))), a_vocabulary(ordinary=3))
    labels = np.zeros((DRAWS, len(text) + 1), np.int64)
    places = np.where(batch["weights"] > 0, batch["masked_positions"], len(text))
    np.put_along_axis(labels, places, np.where(places < len(text), batch["targets"], 0), axis=1)
    return joined(batch["tokens"], labels[:, :-1])


@pytest.mark.parametrize("system", ["mlm", "rtd"])
def test_masks_are_equal_in_distribution(system):
    """Tokens and labels of 10,000 masks by the paper-sized configurations, as whole rows; version 3 masks all."""
    text = [CLS, 8, 9, 8, UNK, 9, 8, 8, 9, 8, 8, SEP]
    masking = {"mlm": deberta, "rtd": deberta_v3}[system].get_config("base").objective.masking
    given = {"longest": 3} if system == "mlm" else {"longest": 1, "mask": 1.0, "keep": 0.0}
    rng = random.Random(1)
    draws = [
        deberta_data.masked(text, 0.15, is_start=STARTS, ordinary=ORDINARY, rng=rng, **given) for _ in range(DRAWS)
    ]
    tokens, labels = zip(*draws, strict=True)
    assert p_value(batches(masking, text), joined(tokens, labels)) > BOUND
    if system == "rtd":
        assert all(
            (row[np.array(target) > 0] == MASK).all() for row, target in zip(np.array(tokens), labels, strict=True)
        )


def test_a_long_text_has_no_masks_at_its_end():
    """Of 510 words one of six is chosen, which is 85, and the budget is 77: about the last 48 are never predicted."""
    key = jax.random.split(jax.random.key(0), 100)
    every = jnp.ones(510, jnp.bool_)
    choose = jax.vmap(lambda key: choose_ngrams_by_window(key, every, every, 77, ngram_shares(1), 6))
    found = np.asarray(jax.jit(choose)(key))
    assert (found.sum(1) == 77).all() and not found[:, 462:].any()
    assert (found[:, :462].reshape(100, 77, 6).sum(-1) == 1).all()

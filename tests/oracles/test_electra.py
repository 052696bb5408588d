"""ELECTRA's batches are those of the released data code (see electra_data.py): windows field by field, masks and what
the discriminator reads in distribution.

On purpose: plmjax draws masked positions without replacement unless `masking.duplicates` is "reference".
"""

import random

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import electra
from plmjax.noise import replacement
from plmjax.objectives.replaced_tokens import GeneratorMasking
from tests.oracles import electra_data
from tests.oracles.kit import (
    BOUND,
    CLS,
    DRAWS,
    MASK,
    SEP,
    UNK,
    a_split,
    a_vocabulary,
    corruptions,
    filled,
    joined,
    p_value,
    random_documents,
    window,
)

LENGTH = 48


@pytest.mark.parametrize(("sentences", "tokens"), [((1, 30), (1, 25)), ((1, 4), (1, 80)), ((20, 60), (1, 9))])
def test_windows_are_equal_field_by_field(sentences, tokens):
    """All windows of a text by the paper-sized configuration, from the same random numbers."""
    documents = random_documents(3, 60, sentences, tokens)
    windows = electra.get_config("small").objective.window.build(a_split(documents), a_vocabulary(), LENGTH, seed=5)
    expected = electra_data.windows_of(documents, LENGTH, random.Random("electra segments 5"))
    assert len(windows) == len(expected) > 60
    pairs = np.mean([1 in types for _, types in expected])
    assert 0.1 < pairs < 1  # many of the second text are one long sentence
    for number, (ids, types) in enumerate(expected):
        found, real = windows[number], len(ids)
        assert found["tokens"].tolist() == ids + [0] * (LENGTH - real)
        assert found["token_types"].tolist() == types + [0] * (LENGTH - real)
        assert found["segments"].tolist() == [1] * real + [0] * (LENGTH - real)
        assert found["positions"].tolist() == list(range(LENGTH))


def masks(masking, text, vocabulary, length=None):
    """10,000 masks of a text by the project's code, as rows of tokens, positions and labels."""

    class Alone:
        corrupt = staticmethod(masking.corrupt)

    example = window(text, types=np.zeros(length or len(text)), length=length)
    batch = corruptions(Alone, example, vocabulary)
    is_target = batch["weights"] > 0
    return batch["tokens"], *(np.where(is_target, batch[name], -1) for name in ("masked_positions", "targets"))


def test_masks_are_equal_in_distribution():
    """Tokens, positions and labels of 10,000 masks of one text, as whole rows."""
    text = [CLS, 8, 9, SEP, UNK, 7, SEP]
    found = masks(GeneratorMasking(rate=0.3, duplicates="reference"), text, a_vocabulary())
    rng = np.random.default_rng(1)
    draws = [electra_data.masked(text, 0.3, 99, rng) for _ in range(DRAWS)]
    tokens, positions, labels = zip(*draws, strict=True)
    room = found[1].shape[1]
    assert p_value(joined(*found), joined(tokens, filled(positions, room), filled(labels, room))) > BOUND


@pytest.mark.parametrize("real", [5, 64, 127])
def test_counts_of_long_texts(real):
    """How many tokens are masked of a text with padding; the released room, int(.155 * length), is never under it."""
    text = [CLS, *np.random.default_rng(real).integers(7, 100, real - 2).tolist(), SEP]
    tokens, positions, _ = masks(GeneratorMasking(duplicates="reference"), text, a_vocabulary(), 128)
    rng = np.random.default_rng(real)
    draws = [electra_data.masked(text, 0.15, int(0.155 * 128), rng) for _ in range(2_000)]
    assert set((positions >= 0).sum(1)) == {len(draws[0][1])}
    expected = np.array([sum(token == MASK for token in row) for row, _, _ in draws])
    assert p_value((tokens == MASK).sum(1), expected) > BOUND


def test_what_the_discriminator_reads_is_equal_field_by_field():
    """From the same samples at the same positions, of which some come twice and some are the original."""
    rng = np.random.default_rng(0)
    put = jnp.asarray
    for _ in range(50):
        text = [CLS, *rng.integers(7, 20, 10).tolist(), SEP]
        positions, samples = rng.integers(1, 11, 4), rng.integers(7, 20, 4)
        ids, labels = electra_data.replaced(text, positions.tolist(), samples.tolist())
        found = replacement.put(put(text, jnp.int32), put(positions), put(samples, jnp.int32), jnp.ones(4))
        assert found.tolist() == ids
        assert (np.asarray(found) != text).astype(int).tolist() == labels

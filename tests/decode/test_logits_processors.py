"""The processors beside a plain reading of what they say; numbers that change compile nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.decode.logits_processors import NoRepeatNGrams, TokenHistory, make_logits_processors

VOCABULARY, COLUMNS = 5, 24


def banned(row: list[int], size: int) -> set[int]:
    """The tokens that would end an n-gram that is there already."""
    if size == 0:
        return set()
    ends = range(size - 1, len(row))
    last = row[len(row) - size + 1 :]
    if len(last) < size - 1 or -1 in last:
        return set()
    return {row[t] for t in ends if row[t - size + 1 : t] == last and row[t] >= 0}


def test_repeated_ngrams_are_ruled_out_and_their_size_is_a_number():
    generator = np.random.default_rng(0)
    run = jax.jit(lambda rule, scores_BV, written: rule(scores_BV, written))
    seen = 0
    for size in (0, 1, 2, 3, 4):
        for end in (1, 2, 3, 9, COLUMNS):
            tokens = generator.integers(0, 3, (6, COLUMNS))
            tokens[3:, : min(end, 5)] = -1
            tokens[:, end:] = -1
            scores = run(NoRepeatNGrams(size), jnp.zeros((6, VOCABULARY)), TokenHistory(tokens, end, 0, 9))
            for row, score in zip(tokens.tolist(), np.asarray(scores), strict=True):
                assert set(np.flatnonzero(np.isneginf(score)).tolist()) == banned(row[:end], size)
                seen += len(banned(row[:end], size))
    assert seen > 60
    assert run._cache_size() == 1


def test_settings_share_their_structure_where_any_is_asked_for():
    assert make_logits_processors() == ()
    structures = {
        jax.tree.structure(make_logits_processors(**settings))
        for settings in ({"repetition_penalty": 1.2}, {"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 2})
    }
    assert len(structures) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size is -1"),
        ({"min_new_tokens": -1}, "min_new_tokens is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        make_logits_processors(**settings)
